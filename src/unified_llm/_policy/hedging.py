"""Hedging: a second attempt on another target while the first one is slow; the first event decides which one wins.

    0 s           hedge_after       first event
     |-- first attempt -|----------------|            loser: closed, recorded as "cancelled" ("hedged")
                        |-- second ------|----|----|  winner: the call goes on with it
                        |                |
                        |                +- a chunk, a whole answer, or the failure of the only one left
                        +- no event yet, a candidate is ready, and the budget has a token

Hedging is for a slow answer now and then, not for outages: there is at most one hedge in a call, within a budget of 5 %
of calls, and none after the first chunk. Losing shows nothing about a target's health; it may be billed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from unified_llm._core.outcome import Failure
from unified_llm._core.seconds import FOREVER
from unified_llm._policy import retry_after, turns
from unified_llm._policy.attempts import AttemptResult, finish_attempt, start_attempt, stream_chunks
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.effects import Abandon, Effect, Open, Wait
from unified_llm._policy.retry import on_failure, start_cooldowns
from unified_llm._policy.target_health import Permit
from unified_llm._policy.trace import RunningAttempt

# The attempts in progress, by number; and the number of an attempt with its event.
_Running: TypeAlias = dict[int, tuple[TargetState, RunningAttempt]]
_AttemptEvent: TypeAlias = tuple[int, Any]


def hedge_candidates(call: CallState, state: TargetState) -> list[TargetState]:
    """Return the targets that a second attempt could go to, those of another provider first.

    Never a last resort, nor one whose model has to be loaded first.
    """
    candidates = [
        other
        for other in call.states
        if call.may_try(other)
        and not (other.attempts or other.target.last_resort or call.missing_model(other))
        and other.target.health_key != state.target.health_key
    ]
    return sorted(candidates, key=lambda other: other.target.provider == state.target.provider)


def run_hedged_attempt(
    call: CallState, first: TargetState, permit: Permit, now: float
) -> Generator[Effect, Any, AttemptResult]:
    """Run an attempt like ``run_attempt``, with a second one beside it if it is slow."""
    running: _Running = {}
    try:
        result = yield from _start_concurrently(call, running, first, permit, now=now)
        if result is None and call.hedging:
            result = yield Wait(tuple(running), min(call.deadline, now + call.hedging.after))
        now = call.now()
        if result is None and now < call.deadline and (hedge := _admit_hedge(call, first, now)):
            result = yield from _start_concurrently(call, running, *hedge, now=now)
        number, event = yield from _await_winner(call, running, first, result)
        state, attempt = running[number]
        for loser in [other for other in running if other != number]:
            finish_attempt(call, running.pop(loser)[1], None, reason="hedged")
            yield Abandon(loser)
        outcome = yield from stream_chunks(call, attempt, event)
        finish_attempt(call, running.pop(number)[1], outcome)
    finally:
        for _, abandoned in running.values():  # cancelled, or closed by the caller
            finish_attempt(call, abandoned, None)
    return state, number, outcome


def _admit_hedge(call: CallState, first: TargetState, now: float) -> tuple[TargetState, Permit] | None:
    """Return a target for the second attempt and its permit, if one is ready and the budget has a token."""
    if call.hedging is None or not call.hedging.budget.spend():
        return None
    for candidate in hedge_candidates(call, first):
        admission = turns.admit(call, candidate, now)
        if isinstance(admission, Permit):
            call.hedging = None
            return candidate, admission
    call.hedging.budget.give_back()
    return None


def _start_concurrently(
    call: CallState, running: _Running, state: TargetState, permit: Permit, *, now: float
) -> Generator[Effect, Any, _AttemptEvent | None]:
    """Start an attempt beside those in ``running``; return its failure if it could not be sent."""
    attempt = start_attempt(call, state, permit, now)
    running[attempt.number] = state, attempt
    failure = yield Open(attempt.number, state.target, attempt.until, concurrent=True)
    return (attempt.number, failure) if failure else None


def _await_winner(
    call: CallState, running: _Running, first: TargetState, result: _AttemptEvent | None
) -> Generator[Effect, Any, _AttemptEvent]:
    """Return the first chunk or answer, or where both attempts fail, the failure that the call has still to handle.

    While the other attempt may still succeed, the failure of one is handled here and the call waits for the other. But
    a failure of the first target that does not fail over ends the call, as it would have without a hedge.
    """
    while True:
        number, event = result or (yield Wait(tuple(running), FOREVER))
        state, attempt = running[number]
        if not isinstance(event, Failure) or len(running) == 1:
            return number, event
        ends_call = not call.fails_over(event.kind)
        if ends_call and state is first:
            return number, event
        del running[number]
        finish_attempt(call, attempt, event)
        state.failure = event
        yield Abandon(number)
        if ends_call:
            start_cooldowns(call, state.target, event, retry_after.read(event), now=call.now())
            state.excluded = True
        else:
            on_failure(call, state, event, call.now())
        result = None
