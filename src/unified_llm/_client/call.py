"""One call: dropping the targets that cannot serve it, and making the response from what the policy returns.

Shared by the sync and the async client; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unified_llm._client import errors
from unified_llm._client.call_options import CallOptions
from unified_llm._client.cut_prompts import warn_if_cut
from unified_llm._client.embedding_batches import PartResult
from unified_llm._client.fitted_request import FittedRequest, fit, needs_no_fit
from unified_llm._client.long_prompts import PromptLength
from unified_llm._client.model_loader import loader_for
from unified_llm._client.original_request import SplitRequest, gets_original, split_original
from unified_llm._client.queued_calls import is_queued
from unified_llm._client.token_estimates import estimator_of
from unified_llm._client.vector_space import space_of
from unified_llm._config import timeouts
from unified_llm._core.codec import AnyRequest, wants_stream
from unified_llm._core.model_loading import ModelLoader
from unified_llm._core.observer import CallObserver
from unified_llm._core.outcome import Done
from unified_llm._core.runtime import Runtime, current
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
from unified_llm._observe import logs, otel
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import CallFailed, CallState, Hedging
from unified_llm._policy.failure_rules import is_of_size_or_input
from unified_llm._policy.trace import Trace
from unified_llm._providers.capabilities import missing
from unified_llm._state import learned_windows, process_health, process_limits
from unified_llm._structured.attempts import Emulation
from unified_llm._structured.plan import plan_emulation
from unified_llm.exceptions import GenerationError, LLMError
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    FurtherRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
)
from unified_llm.types.responses import EmbeddingResponse, FurtherResponse, LLMResponse, RerankResponse


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call that is ready to be made.

    Attributes:
        request: The request.
        chain: Every target, in order, those included that cannot serve it.
        state: The state that the policy works on.
        started: The instant at which the call began.
        deadline: Seconds that it may take, or None.
        observer: What observes the call besides the log, or None.
        structured: How each target is asked, where some may need another form: for JSON, for a forced tool call.
        primary: The target that the call was written for; None where the client skips it.
        fits_as_it_is: The primary gets the request as it is, which needs no look at it.
        unconfigured: What targets lack that the client left out of the chain, by their names.
        original: The request as a program wrote it for the primary (``gets_original``); None where that gets
            ``request``.
        written_for: The API of OpenAI that a program wrote the call for, where the primary has another.
        loader: Loads the models of its targets; None where there is none to load.
    """

    request: AnyRequest
    chain: Sequence[Target]
    state: CallState
    started: float
    deadline: float | None
    observer: CallObserver | None
    structured: Emulation | None = None
    primary: Target | None = None
    fits_as_it_is: bool = False
    unconfigured: Mapping[str, str] | None = None
    original: LLMRequest | EmbeddingRequest | None = None
    written_for: str | None = None
    loader: ModelLoader | None = None

    def fit(self, request: AnyRequest, target: Target) -> FittedRequest | None:
        """Fit the request of an attempt to its target, and record what differs; None where nothing has to be done."""
        fitted = fit(request, target, self.primary, self.written_for)
        if fitted is not None:
            trace = self.state.trace
            trace.adjusted = {**(trace.adjusted or {}), id(target): fitted.adjusted}
        return fitted

    @property
    def used_fallback(self) -> bool:
        """True if another target than the first of the chain answered."""
        served = self.state.trace.served
        return served is not None and served is not self.chain[0]

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.state.now() - self.started

    def log_end(self, usage: Usage | None) -> None:
        """Log that the call was answered, and what is to be warned of."""
        trace = self.state.trace
        logs.log_response(trace, self.chain[0], usage, seconds=self.elapsed, now=self.state.now())
        if trace.served is not None and isinstance(self.request, LLMRequest):
            warn_if_cut(self.request, trace.served, usage, self.state.now())

    def error(self, failed: CallFailed, partial: str = "", usage: Usage | None = None) -> LLMError:
        """Make the exception for the failed call.

        Args:
            failed: What the policy returned.
            partial: The text that a stream had handed out.
            usage: The tokens that a stream had reported.
        """
        call = errors.FailedCall(
            self.state.trace.attempts,
            self.chain,
            takes_fallbacks=_takes_fallbacks(self.request),
            deadline=self.deadline,
            unconfigured=self.unconfigured or {},
        )
        if failed.committed:
            return errors.interrupted(failed, call, partial, usage)
        return errors.from_call_failed(failed, call)


def _takes_fallbacks(request: AnyRequest) -> bool:
    """Return whether another target could serve a request: what is stored in one account is in no other."""
    return not isinstance(request, (ModelRequest, ModelsRequest)) and not getattr(request, "one_account", False)


def prepare_call(
    request: AnyRequest,
    chain: Sequence[Target],
    options: CallOptions,
    *,
    hedges: HedgeBudget,
    on_attempt: Callable[[Attempt], None] | None,
    on_model_gone: Callable[[Target], None],
    until: float | None = None,
    skips_primary: bool = False,
) -> PreparedCall:
    """Drop targets that lack a capability; build the call's state.

    Args:
        request: The request.
        chain: The targets, in order.
        options: The options of this call.
        hedges: The client's budget for hedges.
        on_attempt: The user's callback for attempts.
        on_model_gone: Called with a target whose provider has no such model.
        until: The instant at which the deadline passes, where the call is one of several under one deadline.
        skips_primary: The client left the target that the call was written for out of the chain.

    Raises:
        UnsupportedOperationError: No target can serve the request.
        ContextOverflowError: The prompt is certainly too long for each that could.
        ValidationError: A target that might has no model.
    """
    chain = timeouts.for_call(chain, request, options.timeout, options.retries)
    runtime = current()
    if runtime.observe_chain is not None:
        runtime.observe_chain(chain)
    trace = Trace(_notify_all(runtime, logs.on_attempt(on_attempt)), logs.log_retry)
    started = runtime.now()
    primary = None if skips_primary else chain[0]
    split = split_original(request, chain, primary)
    structured = plan_emulation(split.request, chain)
    if structured is not None and not structured.asks_natively(chain[0]):
        split = split.without_original()
        structured = plan_emulation(split.request, chain)
    request = split.request
    able, incapable = _split_by_ability(split, chain, primary, structured)
    if not able:
        raise _nothing_able(trace, incapable, started)
    if until is None:
        until = FOREVER if options.deadline is None else started + options.deadline
    state = CallState(
        targets=able,
        streaming=wants_stream(request),
        deadline=until,
        health=process_health.current(),
        now=runtime.now,
        random=runtime.random,
        trace=trace,
        failover=options.failover_on,
        hedging=Hedging(options.hedge_after, hedges) if options.hedge_after and _may_hedge(request, able) else None,
        on_model_gone=on_model_gone if _names_only_a_model(request) else None,
        window_of=learned_windows.window_of,
        on_window=learned_windows.learn,
        may_split=isinstance(request, EmbeddingRequest) and len(request.texts) > 1,
        incapable=incapable,
        runs_model=_runs_model(request),
        shows_health=not isinstance(request, FurtherRequest) or request.shows_health,
        queued=is_queued(),
        limits=None if isinstance(request, CountRequest) else process_limits.current(),
        estimate=estimator_of(request),
    )
    loader = loader_for(able, request) if state.runs_model else None
    if loader is not None:
        state.model_state = loader.state
    observer = otel.call_observer(request, chain[0], state, options.model_spans)
    as_it_is = split.written_for is None and needs_no_fit(request, chain[0])
    return PreparedCall(
        request,
        chain,
        state,
        started,
        options.deadline,
        observer,
        structured,
        primary,
        fits_as_it_is=as_it_is,
        original=split.original,
        written_for=split.written_for,
        loader=loader,
    )


def _split_by_ability(
    split: SplitRequest, chain: Sequence[Target], primary: Target | None, structured: Emulation | None
) -> tuple[list[Target], dict[int, list[tuple[Target, str]]]]:
    """Return the targets that can serve the request; and the others with the reason, by the position they stand at."""
    request = split.request
    length = PromptLength(request)
    able: list[Target] = []
    incapable: dict[int, list[tuple[Target, str]]] = {}
    for target in chain:
        reason = missing(request, target) or _wrong_space(request, target, able) or length.exceeds(target)
        if reason is None and structured is not None:
            reason = structured.missing(target)
        if not target.model and _needs_model(request):
            reason = errors.NO_MODEL
        if reason is None and split.no_other_form and not gets_original(split.original, target, primary):
            reason = split.no_other_form
        if reason:
            incapable.setdefault(len(able), []).append((target, reason))
        else:
            able.append(target)
    return able, incapable


def _needs_model(request: AnyRequest) -> bool:
    return request.names_model if isinstance(request, FurtherRequest) else not isinstance(request, ModelsRequest)


def _names_only_a_model(request: AnyRequest) -> bool:
    """Return whether a 404 is about the model: one for a stored file, or for a job, is about that."""
    return not isinstance(request, FurtherRequest) or request.runs_model


def _runs_model(request: AnyRequest) -> bool:
    if isinstance(request, FurtherRequest):
        return request.runs_model
    return not isinstance(request, (ModelsRequest, ModelRequest))


def _nothing_able(trace: Trace, incapable: Mapping[int, Sequence[tuple[Target, str]]], now: float) -> LLMError:
    """Record every target as skipped, and make the error for a request that none of them can serve."""
    for target, reason in (skip for skips in incapable.values() for skip in skips):
        trace.record_skip(target, reason, now)
    return errors.nothing_able(trace.attempts)


def _notify_all(runtime: Runtime, on_attempt: Callable[[Attempt], None]) -> Callable[[Attempt], None]:
    if (observe := runtime.observe) is None:
        return on_attempt

    def notify(attempt: Attempt) -> None:
        observe(attempt)
        on_attempt(attempt)

    return notify


def _may_hedge(request: AnyRequest, able: Sequence[Target]) -> bool:
    """Check that a second request changes nothing but the bill: a provider's own tools act, stored responses stay."""
    if not isinstance(request, LLMRequest):
        return False
    bodies = (request.extra_body, *(target.extra_body for target in able))
    return all(tool.builtin is None for tool in request.tools) and not any(body.get("store") for body in bodies)


def _wrong_space(request: AnyRequest, target: Target, able: Sequence[Target]) -> str | None:
    """Give the reason to skip a target whose vectors do not mix with those of the first that is able."""
    if not isinstance(request, EmbeddingRequest) or not able or space_of(target) == space_of(able[0]):
        return None
    return "its vectors are of another space (declare the same space= where they are not)"


def finish_call(call: PreparedCall, outcome: Any) -> Any:
    """Make the response that the caller gets.

    Args:
        call: The call.
        outcome: What the driver returned: ``Done`` or ``CallFailed``.

    Raises:
        LLMError: The call failed.
    """
    if isinstance(outcome, CallFailed):
        raise call.error(outcome)
    trace = call.state.trace
    attempts = tuple(trace.attempts)
    response = outcome.value if isinstance(outcome, Done) else outcome
    call.log_end(getattr(response, "usage", None))
    if isinstance(response, LLMResponse):
        return _finish_chat(call, response, attempts)
    if isinstance(response, EmbeddingResponse):
        return _finish_embedding(call, response, attempts)
    if isinstance(response, RerankResponse):
        return replace(response, **_served_by(call, response.model), attempts=attempts)
    if isinstance(response, FurtherResponse):
        return finish_further(call, response, outcome.headers if isinstance(outcome, Done) else {})
    return response


def finish_further(call: PreparedCall, response: Any, headers: Mapping[str, str] | None = None) -> Any:
    """Return a response of media, or of a further endpoint, with what served it, the attempts, and these headers."""
    trace = call.state.trace
    kept = {"headers": headers} if headers and hasattr(response, "headers") else {}
    return replace(
        response,
        **kept,
        **_served_by(call, response.model),
        request_id=trace.request_id,
        used_fallback=call.used_fallback,
        attempts=tuple(trace.attempts),
    )


def _finish_chat(call: PreparedCall, response: LLMResponse, attempts: tuple[Attempt, ...]) -> LLMResponse:
    trace = call.state.trace
    served = trace.served
    if response.finish_reason == "length" and not (response.content or response.tool_calls or response.refusal):
        logs.warn_of_cut_answer(served, call.state.now())
    return replace(
        response,
        **_served_by(call, response.model),
        request_id=trace.request_id,
        latency_ms=call.elapsed * 1000,
        retry_count=trace.attempt_count - 1,
        used_fallback=call.used_fallback,
        fallback_provider=served.provider if served and call.used_fallback else None,
        attempts=attempts,
    )


def finish_part(call: PreparedCall, outcome: Any) -> PartResult:
    """Return what became of a request for some of the texts of a list; arguments as for ``finish_call``.

    Raises:
        GenerationError: An object returned another number of vectors than texts were sent.
    """
    trace, state = call.state.trace, call.state
    if isinstance(outcome, CallFailed):
        refusal = outcome.final if state.may_split and outcome.final and is_of_size_or_input(outcome.final[1]) else None
        if refusal is None:
            return PartResult(trace.attempts, outcome)
        target, failure = refusal
        rest = _targets_after(call, target) if state.fails_over(failure.kind) else ()
        return PartResult(trace.attempts, outcome, target=target, rest=rest, may_split=True)
    rest = _targets_after(call, trace.served) if trace.served else ()
    return PartResult(trace.attempts, response=finish_call(call, outcome), target=trace.served, rest=rest)


def _targets_after(call: PreparedCall, target: Target) -> tuple[Target, ...]:
    """Return the targets that can serve the request and stand after one of them."""
    able = call.state.targets
    position = next(position for position, other in enumerate(able) if other is target)
    return tuple(able[position + 1 :])


def _finish_embedding(
    call: PreparedCall, response: EmbeddingResponse, attempts: tuple[Attempt, ...]
) -> EmbeddingResponse:
    request, served = call.request, call.state.trace.served
    if isinstance(request, EmbeddingRequest) and len(response.vectors) != len(request.texts):
        raise GenerationError(
            f"{len(response.vectors)} vectors came for {len(request.texts)} texts; none is returned.",
            provider=served.provider if served else None,
            model=served.model if served else None,
            attempts=attempts,
        )
    return replace(response, **_served_by(call, response.model), attempts=attempts)


def _served_by(call: PreparedCall, model: str) -> dict[str, Any]:
    """Name the provider as the user does, and the model as the provider does."""
    served = call.state.trace.served
    return {"provider": served.provider, "model": model or served.model} if served else {"model": model}
