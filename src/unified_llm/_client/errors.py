"""Exceptions made of failures, with what happened and what to do next. The only place that states such advice."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from unified_llm import exceptions as exc
from unified_llm._client.long_prompts import TOO_LONG
from unified_llm._core import defaults
from unified_llm._core.api_key import NoKey
from unified_llm._core.base_url import netloc_of
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.provider_words import quote_detail, read_name
from unified_llm._core.target import Target
from unified_llm._lib.show_seconds import show_seconds
from unified_llm._policy import retry_after
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.failure_rules import REFUSALS
from unified_llm._providers import registry
from unified_llm.types.records import Attempt, Usage

NO_MODEL: Final = "no model was named"
"""Reason for which a target was skipped."""
_MOST_LISTED: Final = 5  # targets named in one sentence
_MOST_LINES: Final = 20  # targets with a line of their own
# The part of an advice that is left out where the chain has another target.
_ADD_FALLBACK: Final = re.compile(r"(?:, or )?add a fallback\b.*")
_FALLBACK: Final = re.compile(r"add a fallback\b.*")
_IN_TIME: Final = "in time"
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
    "timeout": (exc.TimeoutError, f"no response came {_IN_TIME}", "raise timeout= or deadline=, or ask for less"),
    "auth": (exc.AuthenticationError, "the API key was refused", "check the API key"),
    "permission": (
        exc.PermissionDeniedError,
        "the API key lacks the permission",
        "check what the account of the API key may do",
    ),
    "quota": (exc.QuotaExceededError, "the account has no credit left", "check its plan and billing"),
    "rate_limit": (exc.RateLimitError, "too many requests", "wait, or add a fallback at another provider"),
    "model_not_found": (exc.ModelNotFoundError, "it has no such model", "see list_models() for what it has"),
    "not_found": (exc.ConfigurationError, "there is no such path", "check base_url="),
    "redirect": (
        exc.ConfigurationError,
        "it redirects elsewhere, which is never followed",
        "pass the final address as base_url=",
    ),
    "bad_request": (exc.BadRequestError, "it refused the request as invalid", ""),
    "unsupported": (exc.UnsupportedOperationError, "it does not know a parameter", ""),
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
    "malformed": (exc.GenerationError, "what came back is no response of this API", "check base_url= and any proxy"),
    "empty": (exc.GenerationError, "an empty response came back", "try again"),
    "truncated": (exc.GenerationError, "the response ended before its end was announced", "try again"),
    "invalid": (
        exc.GenerationError,
        "the response does not fit the schema that was requested",
        "add a fallback that supports schemas",
    ),
    "oversized": (
        exc.GenerationError,
        "the response was larger than is accepted",
        "ask for less, or raise max_response_bytes= of this target",
    ),
}
# What ``.detail`` holds, for kinds whose other words say little.
_IN_DETAIL: Final[Mapping[FailureKind, str]] = {
    "bad_request": ".detail holds the provider's message",
    "unsupported": ".detail holds the provider's message",
    "invalid": ".detail says where",
}


@dataclass(frozen=True, slots=True)
class FailedCall:
    """What the messages about the targets of one call have in common.

    Attributes:
        attempts: Every attempt of the call.
        chain: The targets of the call, those included that were skipped.
        takes_fallbacks: Another target could have served the call.
        same_model: Only one with the same model could have: for embeddings.
        deadline: Seconds that the call was allowed, or None.
        not_retried: Why targets were not retried, by their health keys, where that is no matter of the failure.
        unconfigured: What targets lack that the client left out of the chain, by their names.
    """

    attempts: Sequence[Attempt] = ()
    chain: Sequence[Target] = ()
    takes_fallbacks: bool = True
    same_model: bool = False
    deadline: float | None = None
    not_retried: Mapping[Hashable, str] = field(default_factory=dict[Hashable, str])
    unconfigured: Mapping[str, str] = field(default_factory=dict[str, str])

    def has_others(self, target: Target) -> bool:
        """Return whether the call had another target than this one."""
        names = {attempt.target for attempt in self.attempts} | {other.name for other in self.chain}
        return bool(names - {target.name} or self.unconfigured)

    def seconds_of_last(self, target: Target) -> float | None:
        """Return how long the last attempt on a target took, if the attempts are known."""
        return next((attempt.seconds for attempt in reversed(self.attempts) if attempt.target == target.name), None)


_NO_CALL: Final = FailedCall()


def kinds_raised_as(exception: type) -> list[str]:
    """Return the kinds of failure that are raised as this exception, or as one derived from it."""
    return [kind for kind, (raised, _, _) in _MESSAGES.items() if issubclass(raised, exception)]


def from_failure(target: Target, failure: Failure, call: FailedCall = _NO_CALL, others: str = "") -> exc.LLMError:
    """Make the exception for the failure of one target.

    Args:
        target: The target.
        failure: Its failure.
        call: The call.
        others: What happened to other targets, as sentences that each begin with a blank.
    """
    kind, happened, advice = _describe(target, failure)
    if failure.kind == "timeout" and (seconds := call.seconds_of_last(target)):
        happened = happened.replace(_IN_TIME, f"within {show_seconds(seconds)}")
    wait = retry_after.read(failure).retry_after if kind is exc.RateLimitError else None
    if wait and advice.startswith("wait"):
        advice = f"wait {show_seconds(wait)}{advice.removeprefix('wait')}"
    if call.has_others(target) or not call.takes_fallbacks:
        advice = _ADD_FALLBACK.sub("", advice)
    elif call.same_model:
        advice = _FALLBACK.sub("add a fallback with the same model", advice)
    parts = [
        f"{happened}{_facts(failure, happened)}",
        f"not retried: {reason}" if (reason := call.not_retried.get(target.health_key)) else "",
        advice,
    ]
    in_message = failure.kind == "unsendable" or target.format == "mlx"  # whose detail is what happened
    quoted = "" if in_message else quote_detail(failure.detail, happened)
    error = kind(f"{target.name}: {'; '.join(filter(None, parts))}.{quoted}{others}", **_fields(target, failure, call))
    if isinstance(error, exc.RateLimitError):
        error.retry_after = wait
    if isinstance(error, exc.GenerationError):
        error.answer = failure.answer
    return error


def _fields(target: Target, failure: Failure, call: FailedCall) -> dict[str, Any]:
    """Return the attributes that every exception about one target has."""
    return {
        "provider": target.provider,
        "model": target.model or None,
        "status_code": failure.status,
        "request_id": failure.request_id,
        "code": failure.code,
        "param": failure.param,
        "detail": failure.detail,
        "response_body": failure.body,
        "response_headers": {**failure.headers},
        "attempts": call.attempts,
    }


def _describe(target: Target, failure: Failure) -> tuple[type[exc.LLMError], str, str]:
    """Return the exception's class, what happened and what to do next."""
    kind, happened, advice = _MESSAGES[failure.kind]
    if (spec := registry.find(target.provider)) and failure.kind in spec.advice:
        advice = spec.advice[failure.kind].format(model=target.model)
    if failure.kind == "connect" and target.base_url:
        happened = f"no connection to {netloc_of(target.base_url)} could be made"
    if failure.about_input:
        happened, advice = "it sent no usable vector for a text", "leave out blank texts, or add a fallback"
    if failure.detail and target.format == "mlx":
        happened, _, advice = failure.detail.rstrip(".").partition(": ")  # written by the MLX backend
    elif failure.reason or failure.advice:
        happened, advice = failure.reason or happened, failure.advice or advice
    elif failure.detail and failure.kind == "unsendable":
        happened = failure.detail.rstrip(".")  # written by a codec, which names the field and never its value
    elif failure.detail and failure.kind in _IN_DETAIL and not defaults.default("error_details"):
        advice = ", or ".join(filter(None, [_IN_DETAIL[failure.kind], advice]))
    if failure.kind in {"auth", "permission"} and target.no_key and target.sends_no_key:
        happened, advice = _without_key(target.no_key, failure, happened, advice)
    return kind, happened, advice


def _without_key(no_key: NoKey, failure: Failure, happened: str, advice: str) -> tuple[str, str]:
    """Say that no API key was sent, and why, where the server may have refused the request for that."""
    sent_none = f"no API key was sent: {no_key.reason}" if no_key.reason else "no API key was sent"
    if failure.about_key:
        return (happened, advice) if failure.reason else (f"it refused the request, and {sent_none}", no_key.advice)
    # A page of a proxy, or a gateway whose upstream provider refused.
    return f"{happened}; {sent_none}", f"{advice}, or {no_key.advice}"


def _facts(failure: Failure, happened: str) -> str:
    """Return status, codes, field and identifier of the request in brackets, as far as they are known."""
    status = str(failure.status or "")
    codes = [code for code in (failure.code, failure.subcode) if code and code != status]
    facts = [
        f"HTTP {status}" if status and status not in happened else "",
        *codes,
        f"param {failure.param}" if failure.param else "",
        f"request {request}" if (request := read_name(failure.request_id)) else "",
    ]
    return f" ({', '.join(filter(None, facts))})" if any(facts) else ""


def from_call_failed(failed: CallFailed, call: FailedCall) -> exc.LLMError:
    """Make the exception for a call that no target answered."""
    call = replace(call, not_retried=failed.not_retried)
    if failed.final:
        return from_failure(*failed.final, call, _describe_skips(call, [failed.final[0]]))
    if refused := _refused_by_all(failed, call):
        return refused
    skips = _describe_skips(call, [target for target, _ in failed.failures])
    if failed.expired:
        skips += _describe_untried(call)
    if not failed.failures:
        limit = f" of {show_seconds(call.deadline)}" if call.deadline is not None else ""
        return exc.TimeoutError(
            f"The deadline{limit} passed before any target answered.{skips}", attempts=call.attempts
        )
    if len(failed.failures) == 1:
        return from_failure(*failed.failures[0], call, skips)
    errors = tuple(from_failure(target, failure, call) for target, failure in failed.failures)
    last, late = errors[-1], " before the deadline" if failed.expired else ""
    return exc.AllTargetsFailedError(
        f"None of {len(errors)} targets answered{late}:\n{_lines(errors)}{skips}",
        errors=errors,
        attempts=call.attempts,
        provider=last.provider,
        model=last.model,
        status_code=last.status_code,
        request_id=last.request_id,
    )


def _lines(errors: Sequence[exc.LLMError]) -> str:
    """Return one line for each error; only the first of many."""
    lines = [f"  {error}" for error in errors[:_MOST_LINES]]
    if len(errors) > _MOST_LINES:
        lines.append(f"  and {len(errors) - _MOST_LINES} more, which are in .errors.")
    return "\n".join(lines)


def _describe_skips(call: FailedCall, listed: Sequence[Target]) -> str:
    """Name the targets that were skipped and never called, and why, but for those that the message lists already."""
    others = {target.name for target in listed}
    others |= {attempt.target for attempt in call.attempts if attempt.outcome != "skipped"}
    skipped = {attempt.target: attempt.reason for attempt in call.attempts}
    if call.takes_fallbacks:
        skipped = {**call.unconfigured, **skipped}
    return _name_targets({name: skipped[name] for name in skipped if name not in others}, call, "skipped")


def _describe_untried(call: FailedCall) -> str:
    """Name the targets that a call did not come to before its deadline."""
    seen = {attempt.target for attempt in call.attempts}
    untried = {target.name: None for target in call.chain if target.name not in seen}
    return _name_targets(untried, call, "not called before the deadline")


def _name_targets(reasons: Mapping[str, str | None], call: FailedCall, happened: str) -> str:
    """Say what happened to targets that were not called, and why, as a sentence that begins with a blank."""
    if not reasons:
        return ""
    all_fallbacks = call.chain and not {call.chain[0].name, *call.unconfigured} & set(reasons)
    noun = "fallback" if all_fallbacks else "target"
    several = f"{noun}s were" if len(reasons) > 1 else f"{noun} was"
    return f" {len(reasons)} {several} {happened}: {list_targets(reasons)}."


def list_targets(reasons: Mapping[str, str | None]) -> str:
    """List targets with the reason of each, such as ``it cannot call tools``; only the first of many."""
    listed = [_with_reason(name, reason) for name, reason in reasons.items()][:_MOST_LISTED]
    more = len(reasons) - len(listed)
    separator = "; " if any(reasons.values()) else ", "
    return separator.join([*listed, f"and {more} more"] if more else listed)


def _with_reason(name: str, reason: str | None) -> str:
    if not reason:
        return name
    return f"{name} {reason[3:]}" if reason.startswith("it ") else f"{name}: {reason.rstrip('.')}"


def _refused_by_all(failed: CallFailed, call: FailedCall) -> exc.LLMError | None:
    """Make the exception for a request that no target accepts: the first refusal, whose message names the others.

    None where another failure is among them, such as an outage: then a target may have accepted it.
    """
    asked = [(target, failure) for target, failure in failed.failures if failure.kind != "unsendable"]
    if not all(failure.kind in REFUSALS for _, failure in asked):
        return None
    if asked:
        others = {target.name: None for target, _ in asked[1:]}
        refused = f" Refused as well by {list_targets(others)}." if others else ""
        return from_failure(*asked[0], call, refused + _describe_skips(call, [target for target, _ in asked]))
    if len(failed.failures) < 2:  # the message is about that one alone
        return None
    errors = [from_failure(target, failure, call) for target, failure in failed.failures]
    skips = _describe_skips(call, [target for target, _ in failed.failures])
    return exc.ValidationError(
        f"The request can be sent to none of {len(errors)} targets:\n{_lines(errors)}{skips}", attempts=call.attempts
    )


def nothing_able(attempts: Sequence[Attempt]) -> exc.LLMError:
    """Make the exception for a request that no target can serve, from the attempts that record why."""
    reasons = {attempt.target: attempt.reason for attempt in attempts}
    listed = list_targets(reasons)
    if NO_MODEL in reasons.values():
        return exc.ValidationError(
            f'No target can serve this request ({listed}). Name the model: pass model="...".', attempts=attempts
        )
    if any((reason or "").startswith(TOO_LONG) for reason in reasons.values()):
        return exc.ContextOverflowError(
            f"No target can serve this request ({listed}). Shorten the prompt, or add a fallback with a larger window.",
            attempts=attempts,
        )
    advice = "Add a fallback that can." if len(reasons) == 1 else "Change the request, or add a target that can."
    return exc.UnsupportedOperationError(f"No target can serve this request ({listed}). {advice}", attempts=attempts)


def interrupted(failed: CallFailed, call: FailedCall, partial: str, usage: Usage | None) -> exc.StreamInterruptedError:
    """Make the exception for a stream that broke after its first chunk was handed out."""
    target, failure = failed.final or failed.failures[-1]
    _, happened, advice = _MESSAGES[failure.kind]
    happened = f"{happened}; {advice}" if failure.kind == "oversized" else failure.reason or happened
    error = exc.StreamInterruptedError(
        f"{target.name}: the stream broke after it had begun: {happened}{_facts(failure, happened)}. What had "
        "arrived is in .partial; the request was not sent again."
        f"{quote_detail(failure.detail, happened)}",
        **_fields(target, failure, call),
        partial=partial,
        usage=usage,
    )
    error.__cause__ = from_failure(target, failure, call)
    return error
