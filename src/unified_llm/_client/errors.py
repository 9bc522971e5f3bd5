"""Exceptions made of failures, with what happened and what to do next. The only place that states such advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from unified_llm import exceptions as exc
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy import retry_after
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.failure_rules import REFUSALS
from unified_llm._providers import registry
from unified_llm.types.records import Attempt, Usage

# kind: (exception, what happened, what to do next)
_MESSAGES: Final[Mapping[FailureKind, tuple[type[exc.LLMError], str, str]]] = {
    "connect": (
        exc.ConnectionError,
        "no connection could be made",
        "check that the server runs and the address is right",
    ),
    "tls": (
        exc.ConfigurationError,
        "its certificate was refused",
        "pass the bundle of your network's authority as verify_ssl=",
    ),
    "pool": (exc.ConnectionError, "every connection of this client was busy", "make fewer calls at once"),
    "setup": (
        exc.ConfigurationError,
        "this process cannot connect to it",
        "check verify_ssl=, the proxy settings of this machine, and that the packages it needs are installed",
    ),
    "unsendable": (exc.ValidationError, "the request cannot be sent", "fix the request"),
    "connection": (exc.ConnectionError, "the connection broke", "try again"),
    "stale": (exc.ConnectionError, "a kept connection was closed before any response", "try again"),
    "timeout": (exc.TimeoutError, "no answer came in time", "raise timeout= or deadline=, or ask for less"),
    "auth": (exc.AuthenticationError, "the key was refused", "check the key"),
    "permission": (exc.PermissionDeniedError, "the key may not do this", "check what the key's account is allowed"),
    "quota": (exc.QuotaExceededError, "the account has no credit left", "check its plan and billing"),
    "rate_limit": (exc.RateLimitError, "too many requests", "wait, or add a fallback at another provider"),
    "model_not_found": (exc.ModelNotFoundError, "it has no such model", "see list_models() for what it has"),
    "not_found": (exc.ConfigurationError, "there is no such path", "check base_url="),
    "redirect": (
        exc.ConfigurationError,
        "it redirects elsewhere, which is never followed",
        "pass the final address as base_url=",
    ),
    "bad_request": (exc.BadRequestError, "it refused the request as invalid", "see .detail for its own words"),
    "unsupported": (exc.UnsupportedOperationError, "it does not know a parameter", "see .detail for its own words"),
    "context": (
        exc.ContextOverflowError,
        "the prompt is longer than the model's context window",
        "shorten it, or add a fallback with a larger window",
    ),
    "too_large": (exc.ContextOverflowError, "the request is too large", "send less at once"),
    "filter": (exc.ContentFilterError, "its content filter blocked the prompt", "rephrase the prompt"),
    "conflict": (exc.ServiceUnavailableError, "it was busy with another request", "try again"),
    "request_timeout": (exc.TimeoutError, "it gave up waiting for the request", "try again"),
    "server": (exc.ServiceUnavailableError, "it failed", "try again later, or add a fallback at another provider"),
    "loading": (exc.ServiceUnavailableError, "it is still loading the model", "wait, or raise deadline="),
    "malformed": (exc.GenerationError, "something came back that is no answer", "check base_url= and any proxy"),
    "empty": (exc.GenerationError, "an empty answer came back", "try again"),
    "truncated": (exc.GenerationError, "the answer ended before its end was announced", "try again"),
    "invalid": (
        exc.GenerationError,
        "the answer does not fit the schema that was asked for",
        "see .detail for where, or add a fallback that answers by schema",
    ),
    "oversized": (
        exc.GenerationError,
        "the response was larger than is accepted",
        "ask for less, or raise max_response_bytes= of this target",
    ),
}


def from_failure(target: Target, failure: Failure, attempts: Sequence[Attempt] = (), others: str = "") -> exc.LLMError:
    """Make the exception for the failure of one target.

    Args:
        target: The target.
        failure: Its failure.
        attempts: Every attempt of the call.
        others: What happened to other targets, as sentences that each begin with a blank.
    """
    kind, happened, advice = _MESSAGES[failure.kind]
    if (spec := registry.find(target.provider)) and failure.kind in spec.advice:
        advice = spec.advice[failure.kind].format(model=target.model)
    if failure.about_input:
        happened, advice = "it sent no usable vector for a text", "leave out blank texts, or add a fallback"
    if failure.reason or failure.advice:
        happened, advice = failure.reason or happened, failure.advice or advice
    elif failure.detail and failure.kind == "unsendable":
        happened = failure.detail.rstrip(".")  # written by a codec, which names the field and never its value
    elif failure.detail and target.format == "mlx":
        happened, _, advice = failure.detail.rstrip(".").partition(": ")  # written by the MLX backend
    if {attempt.target for attempt in attempts} - {target.name}:  # there is one, which failed too or was skipped
        advice = advice.partition(", or add a fallback")[0]
    details = ", ".join(
        detail
        for detail in (
            f"HTTP {failure.status}" if failure.status and str(failure.status) not in happened else "",
            failure.code or "",
            f"request {failure.request_id}" if failure.request_id else "",
        )
        if detail
    )
    error = kind(
        f"{target.name}: {happened}{f' ({details})' if details else ''}{f'; {advice}' if advice else ''}.{others}",
        provider=target.provider,
        model=target.model or None,
        status_code=failure.status,
        request_id=failure.request_id,
        code=failure.code,
        detail=failure.detail,
        attempts=attempts,
    )
    if isinstance(error, exc.RateLimitError):
        error.retry_after = retry_after.read(failure).retry_after
    if isinstance(error, exc.GenerationError):
        error.answer = failure.answer
    return error


def from_call_failed(failed: CallFailed, attempts: Sequence[Attempt], deadline: float | None) -> exc.LLMError:
    """Make the exception for a call that no target answered."""
    skips = _describe_skips(failed, attempts)
    if failed.final:
        return from_failure(*failed.final, attempts, skips)
    if refused := _refused_by_all(failed, attempts, skips):
        return refused
    alone = skips if len(failed.failures) == 1 else ""
    errors = tuple(from_failure(target, failure, attempts, alone) for target, failure in failed.failures)
    if not errors:
        limit = f" of {deadline:g} s" if deadline is not None else ""
        return exc.TimeoutError(f"The deadline{limit} passed before any target answered.", attempts=attempts)
    if len(errors) == 1:
        return errors[0]
    last, lines = errors[-1], "\n".join(f"  {error}" for error in errors)
    late = " before the deadline" if failed.expired else ""
    return exc.AllTargetsFailedError(
        f"None of {len(errors)} targets answered{late}:\n{lines}{skips}",
        errors=errors,
        attempts=attempts,
        provider=last.provider,
        model=last.model,
        status_code=last.status_code,
        request_id=last.request_id,
    )


def _describe_skips(failed: CallFailed, attempts: Sequence[Attempt]) -> str:
    """Name the targets that were skipped and never asked, and why, as a sentence that begins with a blank."""
    others = {target.name for target, _ in failed.failures}
    others |= {attempt.target for attempt in attempts if attempt.outcome != "skipped"}
    skips = {attempt.target: attempt.reason for attempt in attempts if attempt.target not in others}
    reasons = "; ".join(f"{name}: {reason}" for name, reason in skips.items())
    return f" Skipped: {reasons}." if reasons else ""


def _refused_by_all(failed: CallFailed, attempts: Sequence[Attempt], skips: str) -> exc.LLMError | None:
    """Make the exception for a request that no target accepts: the first refusal, whose message names the others.

    None where another failure is among them, such as an outage: then a target may have accepted it.
    """
    asked = [(target, failure) for target, failure in failed.failures if failure.kind != "unsendable"]
    if not all(failure.kind in REFUSALS for _, failure in asked):
        return None
    skipped = [(target, failure) for target, failure in failed.failures if failure.kind == "unsendable"]
    refused = ", ".join(target.name for target, _ in asked[1:])
    others = f" Refused as well by {refused}." if refused else ""
    if asked:
        others += "".join(f" Skipped: {from_failure(*skip)}" for skip in skipped) + skips
        return from_failure(*asked[0], attempts, others)
    if len(skipped) > 1:
        lines = "\n".join(f"  {from_failure(*skip)}" for skip in skipped)
        return exc.ValidationError(
            f"The request can be sent to none of {len(skipped)} targets:\n{lines}", attempts=attempts
        )
    return None


def interrupted(
    failed: CallFailed, attempts: Sequence[Attempt], partial: str, usage: Usage | None
) -> exc.StreamInterruptedError:
    """Make the exception for a stream that broke after its first chunk was handed out."""
    target, failure = failed.final or failed.failures[-1]
    _, happened, advice = _MESSAGES[failure.kind]
    happened = f"{happened}; {advice}" if failure.kind == "oversized" else failure.reason or happened
    error = exc.StreamInterruptedError(
        f"{target.name}: the stream broke after it had begun ({happened}); what had arrived is in "
        ".partial, and nothing was asked twice.",
        provider=target.provider,
        model=target.model or None,
        status_code=failure.status,
        request_id=failure.request_id,
        code=failure.code,
        detail=failure.detail,
        attempts=attempts,
        partial=partial,
        usage=usage,
    )
    error.__cause__ = from_failure(target, failure)
    return error
