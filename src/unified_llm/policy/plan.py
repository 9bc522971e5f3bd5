"""The policy: which target is asked when, until one answers.

One generator, shared by synchronous and asynchronous callers. It does no I/O, reads no clock of its own and never
raises for what a target does: it yields effects, receives outcomes as values, and returns ``None`` when the call was
answered or a ``Defeat`` when it was not.

The rules, in the order in which they are applied:

1. Targets are asked in the user's order. One whose breaker is open, or which is held, is passed over while another is
   ready.
2. A blip is retried once on the same target while another is ready, twice on the last; throttling fails over at once.
3. The first chunk handed out commits: before it a failure is invisible, after it nothing is replayed.
4. A call does not fail while a target that could serve it was never asked, in whatever state that target is.
5. A wait that does not fit into the deadline is not begun.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

from unified_llm.outcome import Done, Failure
from unified_llm.policy import backoff
from unified_llm.policy.breaker import Permit
from unified_llm.policy.classify import VERDICTS
from unified_llm.policy.consequences import LONGEST_WAIT, draw_consequences, rest
from unified_llm.policy.effects import Abandon, Effect, Emit, Open, Wait
from unified_llm.policy.health import Refusal
from unified_llm.policy.standing import Call, Defeat, Standing
from unified_llm.policy.trace import Clocked

Flow: TypeAlias = Generator[Effect, Any, Defeat | None]


def plan(call: Call) -> Flow:
    """Ask targets until one answers. See the module's docstring for the rules."""
    while True:
        now = call.now()
        if now >= call.deadline:
            return call.defeat(expired=True)
        step = _next(call, now)
        if step is None:
            return call.defeat()
        if not isinstance(step, tuple):
            yield from rest(call, step)
            continue
        standing, permit = step
        failure = yield from _attempt(call, standing, permit)
        if failure is None:
            return None
        if call.committed or not (yield from draw_consequences(call, standing, failure)):
            return call.defeat(standing)


def _next(call: Call, now: float) -> tuple[Standing, Permit] | float | None:
    """Whom to ask now, or until when to wait, or None when nobody is left."""
    waits: list[float] = []
    refused: list[tuple[Standing, Refusal]] = []
    room = call.room_for_retries()
    for standing in call.standings:
        if standing.over or (standing.asked and not room):
            continue
        if standing.resume > now:
            waits.append(standing.resume)
            continue
        leave = call.health.admit(standing.target, now)
        if isinstance(leave, Permit):
            return _choose(call, standing, refused), leave
        refused.append((standing, leave))
        if leave.wait:  # all calls that wait for this must not come back in the same instant
            waits.append(leave.until + backoff.spread(leave.until - now, call.random()))
    unasked = [(standing, refusal) for standing, refusal in refused if not standing.asked]
    ailing = next((standing for standing, refusal in unasked if not refusal.wait), None)
    soonest = min(waits, default=None)
    if ailing is None and soonest is not None and soonest - now <= LONGEST_WAIT and soonest < call.deadline:
        return soonest
    forced = ailing or next((standing for standing, _ in unasked), None)
    return (_choose(call, forced, refused), call.health.force(forced.target, now)) if forced else None


def _choose(call: Call, chosen: Standing, refused: Sequence[tuple[Standing, Refusal]]) -> Standing:
    """Say in the trace who was left alone for another, once a call, where no failure of this call says why."""
    for standing, refusal in refused:
        if standing is chosen:
            break
        if not standing.asked and not standing.passed_over:
            standing.passed_over = True
            call.trace.skipped(standing.target, refusal.reason)
    return chosen


def _attempt(call: Call, standing: Standing, permit: Permit) -> Generator[Effect, Any, Failure | None]:
    """One exchange, from open to its end. None when it answered."""
    target, number = standing.target, call.trace.asked + 1
    clocked = _clock(call, standing, permit)
    if standing.costs:
        call.health.spend_retry(target)
    standing.asked += 1
    outcome: Done | Failure | None = None
    try:
        outcome = yield Open(number, target, clocked.until)
        if outcome is None:
            outcome = yield from _events(call, clocked, number)
    finally:
        # Also on cancellation, and when the caller closes the stream: then nothing is known of the target's health.
        _settle(call, clocked, outcome)
    yield Abandon(number)
    if isinstance(outcome, Failure):
        standing.failure = outcome
        return outcome
    yield Emit(outcome)
    return None


def _clock(call: Call, standing: Standing, permit: Permit) -> Clocked:
    """An attempt that begins now. The last target has all the time that is left, unless the user chose ``timeout``."""
    started, timing = call.now(), standing.target.timing
    limit = timing.first_token if call.streaming else timing.whole
    unbounded = not call.streaming and not timing.fixed and call.alone(standing)
    until = call.deadline if unbounded else min(call.deadline, started + limit)
    clocked = Clocked(standing.target, permit, started, limit, until, call.waited, retry=standing.asked > 0)
    call.waited = 0.0
    return clocked


def _events(call: Call, clocked: Clocked, number: int) -> Generator[Effect, Any, Done | Failure]:
    """Hand out chunks until the end of the stream, or wait for the whole answer."""
    attempts, gap, now, deadline, until = (number,), clocked.target.timing.gap, call.now, call.deadline, clocked.until
    while True:
        _, event = yield Wait(attempts, until)
        if clocked.first_token is None and call.streaming and not isinstance(event, Failure):
            clocked.first_token = now() - clocked.started
            # A stream may last for minutes: a probe must not keep others waiting until its end. Its success is reported
            # here; should it break later, that is an outcome of its own.
            _record(call, clocked, ok=True)
            clocked.permit = call.health.follow(clocked.target)
        if isinstance(event, (Done, Failure)):
            return event
        call.committed = True
        yield Emit(event)
        until = min(deadline, now() + gap)


def _settle(call: Call, clocked: Clocked, outcome: Done | Failure | None) -> None:
    if isinstance(outcome, Failure):
        weight = 0 if _cut_short(call, clocked, outcome) else VERDICTS[outcome.kind].weight
        _record(call, clocked, ok=False, weight=weight if clocked.first_token is None else min(1, weight))
    elif clocked.first_token is None:
        _record(call, clocked, ok=True if outcome else None)
    call.trace.ended(clocked, outcome, call.now())


def _record(call: Call, clocked: Clocked, *, ok: bool | None, weight: int = 0) -> None:
    call.health.settle(
        clocked.target,
        clocked.permit,
        ok=ok,
        weight=weight,
        first_try=not clocked.retry,
        now=call.now(),
        draw=call.random(),
    )


def _cut_short(call: Call, clocked: Clocked, failure: Failure) -> bool:
    """Whether the caller's deadline was shorter than the target's own limit: that says nothing of the target."""
    if failure.kind != "timeout" or call.now() < call.deadline:
        return False
    return clocked.first_token is not None or call.deadline < clocked.started + clocked.limit
