"""One attempt, from its beginning to its outcome, which is settled and recorded whatever happens to the caller."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._policy.breaker import Permit
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.effects import Effect, Emit, Open, Wait
from unified_llm._policy.failure_rules import FAILURE_RULES
from unified_llm._policy.trace import RunningAttempt

# Who was asked, the number of the attempt, which is still to be closed, and what it came to.
Ended: TypeAlias = tuple[TargetState, int, Done | Failure]


def attempt(call: CallState, standing: TargetState, permit: Permit, now: float) -> Generator[Effect, Any, Ended]:
    """One exchange, from open to its end."""
    clocked = start_attempt(call, standing, permit, now)
    attempts = (clocked.number,)
    outcome: Done | Failure | None = None
    try:
        outcome = yield Open(clocked.number, standing.target, clocked.until)
        if outcome is None:
            _, event = yield Wait(attempts, clocked.until)
            outcome = yield from stream_chunks(call, clocked, event)
        return standing, clocked.number, outcome
    finally:
        # Also on cancellation, and when the caller closes the stream: then nothing is known of the target's health.
        settle(call, clocked, outcome)


def start_attempt(call: CallState, standing: TargetState, permit: Permit, now: float) -> RunningAttempt:
    """An attempt that begins now. The last target has all the time that is left, unless the user chose ``timeout``."""
    target = standing.target
    limit = target.timing.first_token if call.streaming else target.timing.whole
    unbounded = not call.streaming and not target.timing.fixed and call.alone(standing, now)
    until = call.deadline if unbounded else min(call.deadline, now + limit)
    call.begun += 1
    clocked = RunningAttempt(call.begun, target, permit, now, limit, until, call.waited, retry=standing.asked > 0)
    call.waited = 0.0
    if standing.costs:
        call.health.spend_retry(target)
    standing.asked += 1
    return clocked


def stream_chunks(call: CallState, clocked: RunningAttempt, event: Any) -> Generator[Effect, Any, Done | Failure]:
    """Hand out chunks, from the first event on, until the end of the stream; or see the whole answer."""
    attempts, gap, now, deadline = (clocked.number,), clocked.target.timing.gap, call.now, call.deadline
    if call.streaming and not isinstance(event, Failure):
        arrived = now()
        clocked.first_token = arrived - clocked.started
        # A stream may last for minutes: a probe must not keep others waiting until its end. Its success is reported
        # here; should it break later, that is an outcome of its own.
        _record(call, clocked, arrived, ok=True)
        clocked.permit = call.health.follow(clocked.target)
    while not isinstance(event, (Done, Failure)):
        call.committed = True
        yield Emit(event)
        _, event = yield Wait(attempts, min(deadline, now() + gap))
    return event


def settle(
    call: CallState, clocked: RunningAttempt, outcome: Done | Failure | None, *, reason: str | None = None
) -> None:
    """Give the permit back and record the attempt; an outcome of None says nothing of the target's health."""
    now = call.now()
    if isinstance(outcome, Failure):
        weight = 0 if _cut_short(call, clocked, outcome, now) else FAILURE_RULES[outcome.kind].weight
        _record(call, clocked, now, ok=False, weight=weight if clocked.first_token is None else min(1, weight))
    elif clocked.first_token is None:
        _record(call, clocked, now, ok=True if outcome else None)
    call.trace.ended(clocked, outcome, now, reason=reason)


def _record(call: CallState, clocked: RunningAttempt, now: float, *, ok: bool | None, weight: int = 0) -> None:
    call.health.settle(
        clocked.target,
        clocked.permit,
        ok=ok,
        weight=weight,
        first_try=not clocked.retry,
        now=now,
        draw=call.random(),
    )


def _cut_short(call: CallState, clocked: RunningAttempt, failure: Failure, now: float) -> bool:
    """Whether the caller's deadline was shorter than the target's own limit: that says nothing of the target."""
    if failure.kind != "timeout" or now < call.deadline:
        return False
    return clocked.first_token is not None or call.deadline < clocked.started + clocked.limit
