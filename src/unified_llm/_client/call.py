"""One call: which targets can serve it, and what its answer looks like once one has.

Shared by synchronous and asynchronous callers; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unified_llm._client import errors
from unified_llm._client.call_options import CallOptions
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm._observe import logs
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import CallFailed, CallState, Hedging
from unified_llm._policy.trace import Trace
from unified_llm._providers.capabilities import missing
from unified_llm._state import process_health
from unified_llm.exceptions import GenerationError, UnsupportedOperationError, ValidationError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse, RerankResponse

_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call about to be made.

    Attributes:
        ask: What is asked.
        chain: Every target, in order, those included that cannot serve it.
        policy: What the policy is given.
        started: When the call began.
        deadline: Seconds that it may take, or None.
    """

    request: AnyRequest
    chain: Sequence[Target]
    policy: CallState
    started: float
    deadline: float | None

    @property
    def used_fallback(self) -> bool:
        """Whether another target than the first of the chain answered."""
        served = self.policy.trace.served
        return served is not None and served is not self.chain[0]


def begin(
    request: AnyRequest,
    chain: Sequence[Target],
    runtime: Runtime,
    rules: CallOptions,
    *,
    hedges: HedgeBudget,
    observe: Callable[[Attempt], None] | None,
    unlist: Callable[[Target], None],
) -> PreparedCall:
    """Sort out who can serve the request.

    Args:
        ask: What is asked.
        chain: Whom it may be asked of, in order.
        runtime: Clock and chance.
        rules: The rules of this call.
        hedges: What bounds the client's hedges.
        observe: The user's callback for attempts.
        unlist: Told of a target whose provider has no such model.

    Raises:
        UnsupportedOperationError: No target can.
        ValidationError: A target that might has no model.
    """
    if rules.timeout is not None:
        chain = [_hurried(target, rules.timeout) for target in chain]
    trace = Trace(_observer(runtime, logs.observer(observe)))
    able: list[Target] = []
    nameless = False
    for target in chain:
        reason = missing(request, target) or _wrong_space(request, target, able)
        if not target.model and not isinstance(request, ModelsRequest):
            reason, nameless = "no model was named", True
        if reason:
            trace.skipped(target, reason)
        else:
            able.append(target)
    if not able:
        told = "; ".join(f"{each.target}: {each.reason}" for each in trace.attempts)
        if nameless:
            raise ValidationError(
                f'No target can serve this request ({told}). Name the model: pass model="...".', attempts=trace.attempts
            )
        raise UnsupportedOperationError(
            f"No target can serve this request ({told}). Add a fallback that can.", attempts=trace.attempts
        )
    started = runtime.now()
    policy = CallState(
        targets=able,
        streaming=isinstance(request, LLMRequest) and request.stream,
        deadline=_FOREVER if rules.deadline is None else started + rules.deadline,
        health=process_health.current(),
        now=runtime.now,
        random=runtime.random,
        trace=trace,
        failover=rules.failover_on,
        hedging=Hedging(rules.hedge_after, hedges) if rules.hedge_after and _hedgeable(request, able) else None,
        unlist=unlist,
    )
    return PreparedCall(request, chain, policy, started, rules.deadline)


def _observer(runtime: Runtime, observe: Callable[[Attempt], None]) -> Callable[[Attempt], None]:
    if (watch := runtime.observe) is None:
        return observe

    def told(attempt: Attempt) -> None:
        watch(attempt)
        observe(attempt)

    return told


def _hurried(target: Target, timeout: float) -> Target:
    """The same target with another limit for each attempt, in seconds."""
    return replace(target, timing=replace(target.timing, first_token=timeout, whole=timeout, fixed=True))


def _hedgeable(request: AnyRequest, able: Sequence[Target]) -> bool:
    """Whether asking twice changes nothing but the bill: a provider's own tools may act, and stored answers stay."""
    if not isinstance(request, LLMRequest):
        return False
    bodies = (request.extra_body, *(target.extra_body for target in able))
    return all(tool.builtin is None for tool in request.tools) and not any(body.get("store") for body in bodies)


def _wrong_space(request: AnyRequest, target: Target, able: Sequence[Target]) -> str | None:
    """Vectors of two models do not mix: an index built with both would be silently wrong."""
    if not isinstance(request, EmbeddingRequest) or not able or _space(target) == _space(able[0]):
        return None
    return "its vectors are of another space (declare the same space= where they are not)"


def _space(target: Target) -> str:
    return target.space or target.model.rpartition("/")[2].lower()


def finish(question: PreparedCall, value: Any, defeat: CallFailed | None) -> Any:
    """The answer as the caller gets it.

    Raises:
        LLMError: There was none.
    """
    trace = question.policy.trace
    if defeat is not None:
        raise errors.from_defeat(defeat, trace.attempts, question.deadline)
    attempts = tuple(trace.attempts)
    answer = value.value if isinstance(value, Done) else value
    logs.log_answer(trace, getattr(answer, "usage", None), question.policy.now() - question.started)
    if isinstance(answer, LLMResponse):
        return _finish_chat(question, answer, attempts)
    if isinstance(answer, EmbeddingResponse):
        return _finish_embedding(question, answer, attempts)
    if isinstance(answer, RerankResponse):
        return replace(answer, **_signed(question, answer.model), attempts=attempts)
    return answer


def _finish_chat(question: PreparedCall, answer: LLMResponse, attempts: tuple[Attempt, ...]) -> LLMResponse:
    trace = question.policy.trace
    served = trace.served
    return replace(
        answer,
        **_signed(question, answer.model),
        request_id=attempts[-1].request_id if attempts else None,
        latency_ms=(question.policy.now() - question.started) * 1000,
        retry_count=trace.asked - 1,
        used_fallback=question.used_fallback,
        fallback_provider=served.provider if served and question.used_fallback else None,
        attempts=attempts,
    )


def _finish_embedding(
    question: PreparedCall, answer: EmbeddingResponse, attempts: tuple[Attempt, ...]
) -> EmbeddingResponse:
    request, served = question.request, question.policy.trace.served
    if isinstance(request, EmbeddingRequest) and len(answer.vectors) != len(request.texts):
        raise GenerationError(
            f"{len(answer.vectors)} vectors came for {len(request.texts)} texts; none is returned.",
            provider=served.provider if served else None,
            model=served.model if served else None,
            attempts=attempts,
        )
    return replace(answer, **_signed(question, answer.model), attempts=attempts)


def _signed(question: PreparedCall, model: str) -> dict[str, Any]:
    """Who answered: the provider as it is called here, the model as the provider names it."""
    served = question.policy.trace.served
    return {"provider": served.provider, "model": model or served.model} if served else {"model": model}
