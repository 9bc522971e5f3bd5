"""The policy of a call: which target gets an attempt when, until one answers.

One generator, shared by sync and async callers. It does no I/O, reads no clock of its own and never raises because of a
target: it yields effects, receives outcomes as values, and returns the ``Done`` of the target that answered, or
``CallFailed``. One step of its loop:

    run_policy                                       driver
        |  ---- Open(1, target, until) ---------->      |  opens an exchange
        |  <--- None, or a Failure --------------       |
        |  ---- Wait((1,), until) --------------->      |  reads the next event       } for each
        |  <--- (1, chunk | Done | Failure) -----       |                             } chunk of
        |  ---- Emit(chunk) --------------------->      |  returns it to the caller   } a stream
        |  <--- None, when the caller wants more -      |                             }
        |  ---- Abandon(1) ---------------------->      |  closes the exchange
        |                                               |
        +- Done: return it        Failure: next target, Sleep and retry, or CallFailed

The rules, in the order in which they are applied:

1. Targets are tried in the user's order. One whose breaker is open, or for which a cooldown runs, is skipped while
   another is ready.
2. A transient error is retried once on the same target while another is ready, twice on the last; throttling fails over
   at once. An explicit ``max_retries`` is so many more requests, whatever the breaker and the budget say meanwhile.
3. The first chunk passed to the caller commits: before it a failure is invisible, after it nothing is replayed.
4. A server that is loading its model is asked again every few seconds while no other target is ready. A model that this
   process loads is waited for as ``loading`` describes, before the attempt begins.
5. A call does not fail while a target that could serve it has had no attempt, in whatever state that target is.
6. A wait that does not fit into the deadline is not started.
7. No request is sent beyond the ``rpm`` and ``tpm`` of its target: see ``turns``.

The clock is read once per step, and what is decided in that step uses that instant (``now``). Two readings may differ
by any amount: a thread can be suspended between them, and so can the machine.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from unified_llm._core.outcome import Done
from unified_llm._core.seconds import FOREVER
from unified_llm._policy import loading, retry, retry_after, turns
from unified_llm._policy.attempts import run_attempt
from unified_llm._policy.call_state import CallFailed, CallState, TargetState
from unified_llm._policy.cooldowns import Refusal
from unified_llm._policy.effects import Abandon, Effect
from unified_llm._policy.hedging import hedge_candidates, run_hedged_attempt
from unified_llm._policy.retry import (
    MAX_WAIT,
    apply_failure,
    note_exhausted_limit,
    sleep_in_queue,
    sleep_until,
    start_cooldowns,
)
from unified_llm._policy.target_health import Permit

PolicyGenerator: TypeAlias = Generator[Effect, Any, Done | CallFailed]


@dataclass(frozen=True, slots=True)
class _Pause:
    """Nothing can be tried before an instant; or, in a queue, before the call has its turn."""

    until: float
    in_queue: bool = False


def run_policy(call: CallState) -> PolicyGenerator:
    """Try targets until one answers. See the module's docstring for the rules."""
    try:
        result = yield from _try_targets(call)
    finally:
        if call.holds_turns:
            turns.give_back_all(call, call.now())
    call.record_incapable(len(call.states), call.now())
    return result


def _try_targets(call: CallState) -> PolicyGenerator:
    if call.hedging:
        call.hedging.budget.earn()
    while True:
        now = call.now()
        if now >= call.deadline:
            return call.failed(expired=True)
        step = _next_step(call, now)
        if step is None:
            return call.failed()
        if isinstance(step, loading.LoadStep):
            yield from loading.wait_for_model(call, step, now)
            continue
        if isinstance(step, _Pause):
            yield from (sleep_in_queue if step.in_queue else sleep_until)(call, step.until, now)
            continue
        state, permit = step
        hedged = call.hedging and hedge_candidates(call, state)
        state, number, outcome = yield from (run_hedged_attempt if hedged else run_attempt)(call, state, permit, now)
        yield Abandon(number)
        if isinstance(outcome, Done):
            note_exhausted_limit(call, state.target, outcome, call.now())
            return outcome
        state.failure = outcome
        if call.committed:
            start_cooldowns(call, state.target, outcome, retry_after.read(outcome), now=call.now())
            return call.failed(state)
        if not (yield from apply_failure(call, state, outcome)):
            return call.failed(state)


def _next_step(call: CallState, now: float) -> tuple[TargetState, Permit] | loading.LoadStep | _Pause | None:
    """Return the target to try now and its permit, or the pause to make, or None when no target is left.

    Or the target whose model has to be loaded first.
    """
    waits: list[float] = []
    refused: list[tuple[TargetState, Refusal]] = []
    for state in call.in_order():
        started = state.attempts and not state.polls  # one that is polled has still to end its first attempt
        insists = state.insists
        if not call.may_try(state) or (started and not (insists or call.room_for_retries())):
            continue
        if state.retry_at > now:
            waits.append(state.retry_at)
            continue
        if state.busy_since and any(_is_forced_first(call, other, refusal, now) for other, refusal in refused):
            break
        admission = turns.admit(call, state, now)
        if isinstance(admission, loading.LoadStep):
            return admission
        if isinstance(admission, Permit):
            turns.give_back_all(call, now, but=state)
            return _record_skips(call, state, refused, now), admission
        refused.append((state, admission))
        if isinstance(admission, turns.OverLimit):
            turn = turns.reserve(call, [(state, admission)], now) if admission.is_full else None
            if turn is not None:
                return _Pause(turn, in_queue=True)
            continue
        if admission.wait or insists:  # calls that wait for the same cooldown must not go on in the same instant
            waits.append(admission.until + retry.spread(admission.until - now, call.random()))
    return loading.find_step(call, refused, waits, now) or _step_if_none_is_ready(call, refused, waits, now)


def _step_if_none_is_ready(
    call: CallState, refused: Sequence[tuple[TargetState, Refusal]], waits: Sequence[float], now: float
) -> tuple[TargetState, Permit] | _Pause | None:
    """Return the next step where every target is refused, excluded, or has its retry to come: as ``_next_step``."""
    untried = [
        (state, refusal)
        for state, refusal in refused
        if not isinstance(refusal, turns.OverLimit) and (not state.attempts or state.polls)
    ]
    expected_to_fail = next((state for state, refusal in untried if not refusal.wait), None)
    pause = None if expected_to_fail else _find_pause(call, refused, waits, now)
    if pause is not None:
        return pause
    forced = expected_to_fail or next((state for state, _ in untried), None)
    if forced is None:
        turns.give_up(refused, now)
        return None
    if call.is_limited(forced.target) and (over := turns.hold(call, forced, now)):
        others = [(state, over if state is forced else refusal) for state, refusal in refused]
        return _step_if_none_is_ready(call, others, waits, now)
    permit = call.health.force(forced.target, now, streaming=call.streaming)
    turns.give_back_all(call, now, but=forced)
    return _record_skips(call, forced, refused, now), permit


def _find_pause(
    call: CallState, refused: Sequence[tuple[TargetState, Refusal]], waits: Sequence[float], now: float
) -> _Pause | None:
    """Return the pause until a retry is due, a cooldown is over, or the call has its turn; None where none fits."""
    soonest = min(waits, default=FOREVER)
    fits = soonest - now <= MAX_WAIT and soonest < call.deadline
    turn = turns.reserve(call, refused, now)
    # Calls of a batch wait for a rate limit as for their turn.
    cooldowns = [refusal.until for state, refusal in refused if call.queued and refusal.wait and state.turn is None]
    in_queue = min(cooldowns if turn is None else [turn, *cooldowns], default=None)
    if in_queue is not None and not (fits and soonest < in_queue):
        return _Pause(in_queue, in_queue=True)
    return _Pause(soonest) if fits else None


def _is_forced_first(call: CallState, state: TargetState, refusal: Refusal, now: float) -> bool:
    """Return whether a target that is refused is tried before the call waits again for a connection to another."""
    wait_is_over = refusal.until - now <= MAX_WAIT and refusal.until < call.deadline
    return not (state.attempts or isinstance(refusal, turns.OverLimit) or (refusal.wait and wait_is_over))


def _record_skips(
    call: CallState, chosen: TargetState, refused: Sequence[tuple[TargetState, Refusal]], now: float
) -> TargetState:
    """Record the targets skipped before ``chosen``, once a call, unless a failure of this call shows why. Return it."""
    for state, refusal in refused:
        if state is chosen:
            break
        if not state.attempts and not state.skip_recorded:
            state.skip_recorded = True
            call.record_incapable(state.position, now)
            call.trace.record_skip(state.target, refusal.reason, now)
    return chosen
