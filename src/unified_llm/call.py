"""One call: which targets can serve it, and what its answer looks like once one has.

Shared by synchronous and asynchronous callers; nothing here waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unified_llm import errors, registry
from unified_llm.exceptions import ConfigurationError, GenerationError, UnsupportedOperationError, ValidationError
from unified_llm.outcome import Done
from unified_llm.policy.standing import Call, Defeat
from unified_llm.policy.trace import Trace
from unified_llm.providers.capabilities import missing
from unified_llm.providers.codec import Ask
from unified_llm.runtime import Runtime
from unified_llm.target import Target
from unified_llm.types import Attempt, EmbeddingRequest, EmbeddingResponse, LLMRequest, LLMResponse, ModelsRequest

_log = logging.getLogger("unified_llm")

_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Question:
    """A call about to be made.

    Attributes:
        ask: What is asked.
        chain: Every target, in order, those included that cannot serve it.
        policy: What the policy is given.
        started: When the call began.
        deadline: Seconds that it may take, or None.
    """

    ask: Ask
    chain: Sequence[Target]
    policy: Call
    started: float
    deadline: float | None

    @property
    def used_fallback(self) -> bool:
        """Whether another target than the first of the chain answered."""
        served = self.policy.trace.served
        return served is not None and served is not self.chain[0]


def begin(
    ask: Ask,
    chain: Sequence[Target],
    runtime: Runtime,
    *,
    deadline: float | None,
    observe: Callable[[Attempt], None] | None,
) -> Question:
    """Sort out who can serve the request.

    Raises:
        UnsupportedOperationError: No target can.
        ValidationError: The only targets that could have no model.
    """
    trace = Trace(_observer(observe))
    able: list[Target] = []
    nameless = False
    for target in chain:
        reason = missing(ask, target) or _wrong_space(ask, target, able)
        if not target.model and not isinstance(ask, ModelsRequest):
            reason, nameless = "no model was named", True
        if reason:
            trace.skipped(target, reason)
        else:
            able.append(target)
    if not able:
        told = "; ".join(f"{each.target}: {each.reason}" for each in trace.attempts)
        if nameless:
            raise ValidationError(f'No target has a model: pass model="..." ({told}).', attempts=trace.attempts)
        raise UnsupportedOperationError(
            f"No target can serve this request ({told}). Add a fallback that can.", attempts=trace.attempts
        )
    started = runtime.now()
    policy = Call(
        targets=able,
        streaming=isinstance(ask, LLMRequest) and ask.stream,
        deadline=_FOREVER if deadline is None else started + deadline,
        health=registry.HEALTH,
        now=runtime.now,
        random=runtime.random,
        trace=trace,
    )
    return Question(ask, chain, policy, started, deadline)


def take_limits(overrides: dict[str, Any]) -> dict[str, Any]:
    """Take ``timeout`` and ``deadline`` of this call out of what the user passed; the rest are request fields.

    Raises:
        ValidationError: One of them is not greater than 0.
    """
    limits: dict[str, Any] = {name: overrides.pop(name) for name in ("timeout", "deadline") if name in overrides}
    for name, seconds in limits.items():
        if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
            raise ValidationError(f"{name} must be greater than 0 seconds.")
    return limits


def checked_deadline(deadline: float | None) -> float | None:
    """A client's deadline.

    Raises:
        ConfigurationError: It is not greater than 0.
    """
    if deadline is None or (isinstance(deadline, (int, float)) and deadline > 0):
        return deadline
    raise ConfigurationError("deadline must be greater than 0 seconds, or None for no limit.")


def hurried(target: Target, timeout: float) -> Target:
    """The same target with another limit for each attempt, in seconds."""
    return replace(target, timing=replace(target.timing, first_token=timeout, whole=timeout, fixed=True))


def _wrong_space(ask: Ask, target: Target, able: Sequence[Target]) -> str | None:
    """Vectors of two models do not mix: an index built with both would be silently wrong."""
    if not isinstance(ask, EmbeddingRequest) or not able or _space(target) == _space(able[0]):
        return None
    return "its vectors are of another space (declare the same space= where they are not)"


def _space(target: Target) -> str:
    return target.space or target.model.rpartition("/")[2].lower()


def finish(question: Question, value: Any, defeat: Defeat | None) -> Any:
    """The answer as the caller gets it.

    Raises:
        LLMError: There was none.
    """
    trace = question.policy.trace
    if defeat is not None:
        raise errors.from_defeat(defeat, trace.attempts, question.deadline)
    registry.log_failover(trace)
    attempts = tuple(trace.attempts)
    answer = value.value if isinstance(value, Done) else value
    if isinstance(answer, LLMResponse):
        return _finish_chat(question, answer, attempts)
    if isinstance(answer, EmbeddingResponse):
        return _finish_embedding(question, answer, attempts)
    return answer


def _finish_chat(question: Question, answer: LLMResponse, attempts: tuple[Attempt, ...]) -> LLMResponse:
    trace = question.policy.trace
    served = trace.served
    return replace(
        answer,
        provider=served.provider if served else answer.provider,
        model=answer.model or (served.model if served else ""),
        latency_ms=(question.policy.now() - question.started) * 1000,
        retry_count=trace.asked - 1,
        used_fallback=question.used_fallback,
        fallback_provider=served.provider if served and question.used_fallback else None,
        attempts=attempts,
    )


def _finish_embedding(
    question: Question, answer: EmbeddingResponse, attempts: tuple[Attempt, ...]
) -> EmbeddingResponse:
    ask, served = question.ask, question.policy.trace.served
    if isinstance(ask, EmbeddingRequest) and len(answer.vectors) != len(ask.texts):
        raise GenerationError(
            f"{len(answer.vectors)} vectors came for {len(ask.texts)} texts; none is returned.",
            provider=served.provider if served else None,
            model=served.model if served else None,
            attempts=attempts,
        )
    return replace(
        answer,
        provider=served.provider if served else answer.provider,
        model=answer.model or (served.model if served else ""),
        attempts=attempts,
    )


def _observer(on_attempt: Callable[[Attempt], None] | None) -> Callable[[Attempt], None]:
    if on_attempt is None:
        return registry.log_attempt

    def observe(attempt: Attempt) -> None:
        registry.log_attempt(attempt)
        try:
            on_attempt(attempt)
        except Exception as problem:  # noqa: BLE001 - a user's callback must not cost them the answer
            _log.warning("on_attempt raised %s; the call goes on", type(problem).__name__)

    return observe
