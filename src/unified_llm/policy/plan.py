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

from collections.abc import Generator
from typing import Any, TypeAlias

from unified_llm.outcome import Done, Failure
from unified_llm.policy.breaker import Permit
from unified_llm.policy.classify import VERDICTS
from unified_llm.policy.consequences import LONGEST_WAIT, draw_consequences, rest
from unified_llm.policy.effects import Abandon, Effect, Emit, Open, Wait
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
    ailing: list[Standing] = []  # never asked in this call, and not expected to answer
    limited: list[Standing] = []  # never asked in this call, and asked us to wait
    for standing in call.standings:
        if standing.over:
            continue
        if standing.resume > now:
            waits.append(standing.resume)
            continue
        leave = call.health.admit(standing.target, now)
        if isinstance(leave, Permit):
            return standing, leave
        standing.passed_over(call.trace, leave)
        if leave.wait:
            waits.append(leave.until)
        if not standing.asked:
            (limited if leave.wait else ailing).append(standing)
    if ailing:
        return ailing[0], call.health.force(ailing[0].target, now)
    soonest = min(waits, default=None)
    if soonest is not None and soonest - now <= LONGEST_WAIT and soonest < call.deadline:
        return float(max(soonest, now))
    return (limited[0], call.health.force(limited[0].target, now)) if limited else None


def _attempt(call: Call, standing: Standing, permit: Permit) -> Generator[Effect, Any, Failure | None]:
    """One exchange, from open to its end. None when it answered."""
    target, number = standing.target, call.trace.asked + 1
    clocked = Clocked(target, call.now(), _limit(call, standing), call.waited)
    call.waited = 0.0
    standing.asked += 1
    outcome: Done | Failure | None = None
    try:
        outcome = yield Open(number, target, min(call.deadline, clocked.started + clocked.limit))
        if outcome is None:
            outcome = yield from _events(call, clocked, number, permit)
    finally:
        # Also on cancellation, and when the caller closes the stream: then nothing is known of the target's health.
        _settle(call, clocked, permit, outcome)
    yield Abandon(number)
    if isinstance(outcome, Failure):
        standing.failure = outcome
        return outcome
    yield Emit(outcome)
    return None


def _events(call: Call, clocked: Clocked, number: int, permit: Permit) -> Generator[Effect, Any, Done | Failure]:
    """Hand out chunks until the end of the stream, or wait for the whole answer."""
    attempts, gap, now, deadline = (number,), clocked.target.timing.gap, call.now, call.deadline
    until = min(deadline, clocked.started + clocked.limit)
    while True:
        _, event = yield Wait(attempts, until)
        if clocked.first_token is None and call.streaming and not isinstance(event, Failure):
            clocked.first_token = now() - clocked.started
            # A stream may last for minutes: a probe must not keep others waiting until its end.
            _record(call, clocked, permit, ok=True, weight=0)
        if isinstance(event, (Done, Failure)):
            return event
        call.committed = True
        yield Emit(event)
        until = min(deadline, now() + gap)


def _settle(call: Call, clocked: Clocked, permit: Permit, outcome: Done | Failure | None) -> None:
    if clocked.first_token is None:
        ok = None if outcome is None else isinstance(outcome, Done)
        _record(call, clocked, permit, ok=ok, weight=_weight(call, clocked, outcome))
    elif isinstance(outcome, Failure):
        # The success was reported at the first chunk; the break is an outcome of its own.
        _record(call, clocked, call.health.force(clocked.target, call.now()), ok=False, weight=1)
    call.trace.ended(clocked, outcome, call.now())


def _record(call: Call, clocked: Clocked, permit: Permit, *, ok: bool | None, weight: int) -> None:
    first = all(each.target is not clocked.target or each.asked == 1 for each in call.standings)
    call.health.settle(
        clocked.target, permit, ok=ok, weight=weight, first_try=first, now=call.now(), draw=call.random()
    )


def _limit(call: Call, standing: Standing) -> float:
    """Seconds until the first chunk, or for the whole answer."""
    timing = standing.target.timing
    if call.streaming:
        return timing.first_token
    return timing.whole if timing.fixed or not call.alone(standing) else max(timing.whole, call.deadline - call.now())


def _weight(call: Call, clocked: Clocked, outcome: Done | Failure | None) -> int:
    """How many failures this counts for at the breaker."""
    if not isinstance(outcome, Failure):
        return 0
    if outcome.kind == "timeout" and call.now() - clocked.started < clocked.limit:
        return 0  # the caller's deadline was shorter than the target's own limit: that says nothing of the target
    return VERDICTS[outcome.kind].weight
