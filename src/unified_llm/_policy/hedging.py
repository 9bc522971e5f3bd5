"""Hedging: beside a target that is slow to answer another one is asked, and whoever delivers first has won.

That is for the rare slow answer, not for outages: there is at most one hedge in a call, within a budget of 5 % of
calls, and none after the first chunk. The loser is closed. That says nothing of its health, but it may be billed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from unified_llm._core.outcome import Failure
from unified_llm._policy import retry_after
from unified_llm._policy.attempts import Ended, settle, start_attempt, stream_chunks
from unified_llm._policy.breaker import Permit
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.effects import FOREVER, Abandon, Effect, Open, Wait
from unified_llm._policy.retry import on_failure, start_cooldowns
from unified_llm._policy.trace import RunningAttempt

# The attempts under way, by their numbers, and what a driver tells of one of them.
_Running: TypeAlias = dict[int, tuple[TargetState, RunningAttempt]]
_News: TypeAlias = tuple[int, Any]


def rivals(call: CallState, standing: TargetState) -> list[TargetState]:
    """Who could be asked beside a target, those of another provider first. A last resort is for when all else fails."""
    found = [
        other
        for other in call.standings
        if call.asks(other)
        and not (other.asked or other.target.last_resort)
        and other.target.health_key != standing.target.health_key
    ]
    return sorted(found, key=lambda other: other.target.provider == standing.target.provider)


def race(call: CallState, first: TargetState, permit: Permit, now: float) -> Generator[Effect, Any, Ended]:
    """As ``attempt``, with a rival from some time on."""
    running: _Running = {}
    try:
        news = yield from _start(call, running, first, permit, now=now)
        if news is None and call.hedging:
            news = yield Wait(tuple(running), min(call.deadline, now + call.hedging.after))
        now = call.now()
        if news is None and now < call.deadline and (rival := _rival(call, first, now)):
            news = yield from _start(call, running, *rival, now=now)
        number, event = yield from _decide(call, running, first, news)
        standing, clocked = running[number]
        for loser in [each for each in running if each != number]:
            settle(call, running.pop(loser)[1], None, reason="hedged")
            yield Abandon(loser)
        outcome = yield from stream_chunks(call, clocked, event)
        settle(call, running.pop(number)[1], outcome)
    finally:
        for _, abandoned in running.values():  # cancelled, or closed by the caller
            settle(call, abandoned, None)
    return standing, number, outcome


def _rival(call: CallState, first: TargetState, now: float) -> tuple[TargetState, Permit] | None:
    """Whom to ask as well, if anybody is ready and the budget allows it."""
    if call.hedging is None or not call.hedging.budget.spend():
        return None
    for other in rivals(call, first):
        leave = call.health.admit(other.target, now)
        if isinstance(leave, Permit):
            call.hedging = None
            return other, leave
    call.hedging.budget.give_back()
    return None


def _start(
    call: CallState, running: _Running, standing: TargetState, permit: Permit, *, now: float
) -> Generator[Effect, Any, _News | None]:
    clocked = start_attempt(call, standing, permit, now)
    running[clocked.number] = standing, clocked
    failure = yield Open(clocked.number, standing.target, clocked.until, concurrent=True)
    return (clocked.number, failure) if failure else None


def _decide(
    call: CallState, running: _Running, first: TargetState, news: _News | None
) -> Generator[Effect, Any, _News]:
    """The first answer; or, where there is none, the failure that is left to draw consequences from.

    While the other may still answer, a failure of either ends its own part alone; but what the first target refuses for
    good would have ended the call without a hedge too.
    """
    while True:
        number, event = news or (yield Wait(tuple(running), FOREVER))
        standing, clocked = running[number]
        if not isinstance(event, Failure) or len(running) == 1:
            return number, event
        ends = not call.fails_over(event.kind)
        if ends and standing is first:
            return number, event
        del running[number]
        settle(call, clocked, event)
        standing.failure = event
        yield Abandon(number)
        if ends:
            start_cooldowns(call, standing.target, event, retry_after.read(event), now=call.now())
            standing.over = True
        else:
            on_failure(call, standing, event, call.now())
        news = None
