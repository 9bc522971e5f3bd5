"""The policy: which target is asked when, until one answers.

One generator, shared by synchronous and asynchronous callers. It does no I/O, reads no clock of its own and never
raises for what a target does: it yields effects, receives outcomes as values, and returns the ``Done`` of the target
that answered, or ``CallFailed``.

The rules, in the order in which they are applied:

1. Targets are asked in the user's order. One whose breaker is open, or which is held, is passed over while another is
   ready.
2. A blip is retried once on the same target while another is ready, twice on the last; throttling fails over at once.
3. The first chunk handed out commits: before it a failure is invisible, after it nothing is replayed.
4. A call does not fail while a target that could serve it was never asked, in whatever state that target is.
5. A wait that does not fit into the deadline is not begun.

The clock is read once per step, and what is decided in that step uses that instant (``now``). Two readings may differ
by any amount: a thread can be suspended between them, and so can the machine.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

from unified_llm._core.outcome import Done
from unified_llm._policy import retry, retry_after
from unified_llm._policy.attempts import attempt
from unified_llm._policy.breaker import Permit
from unified_llm._policy.call_state import CallFailed, CallState, TargetState
from unified_llm._policy.effects import Abandon, Effect
from unified_llm._policy.health import Refusal
from unified_llm._policy.hedging import race, rivals
from unified_llm._policy.retry import LONGEST_WAIT, apply_failure, note_exhausted_limit, sleep_until, start_cooldowns

Flow: TypeAlias = Generator[Effect, Any, Done | CallFailed]


def run_policy(call: CallState) -> Flow:
    """Ask targets until one answers. See the module's docstring for the rules."""
    if call.hedging:
        call.hedging.budget.earn()
    while True:
        now = call.now()
        if now >= call.deadline:
            return call.defeat(expired=True)
        step = _next(call, now)
        if step is None:
            return call.defeat()
        if not isinstance(step, tuple):
            yield from sleep_until(call, step, now)
            continue
        standing, permit = step
        hedged = call.hedging and rivals(call, standing)
        standing, number, outcome = yield from (race if hedged else attempt)(call, standing, permit, now)
        yield Abandon(number)
        if isinstance(outcome, Done):
            note_exhausted_limit(call, standing.target, outcome, call.now())
            return outcome
        standing.failure = outcome
        if call.committed:
            start_cooldowns(call, standing.target, outcome, retry_after.read(outcome), now=call.now())
            return call.defeat(standing)
        if not (yield from apply_failure(call, standing, outcome)):
            return call.defeat(standing)


def _next(call: CallState, now: float) -> tuple[TargetState, Permit] | float | None:
    """Whom to ask now, or until when to wait, or None when nobody is left."""
    waits: list[float] = []
    refused: list[tuple[TargetState, Refusal]] = []
    room = call.room_for_retries()
    for standing in call.standings:
        if not call.asks(standing) or (standing.asked and not room):
            continue
        if standing.resume > now:
            waits.append(standing.resume)
            continue
        leave = call.health.admit(standing.target, now)
        if isinstance(leave, Permit):
            return _choose(call, standing, refused), leave
        refused.append((standing, leave))
        if leave.wait:  # all calls that wait for this must not come back in the same instant
            waits.append(leave.until + retry.spread(leave.until - now, call.random()))
    unasked = [(standing, refusal) for standing, refusal in refused if not standing.asked]
    ailing = next((standing for standing, refusal in unasked if not refusal.wait), None)
    soonest = min(waits, default=None)
    if ailing is None and soonest is not None and soonest - now <= LONGEST_WAIT and soonest < call.deadline:
        return soonest
    forced = ailing or next((standing for standing, _ in unasked), None)
    return (_choose(call, forced, refused), call.health.force(forced.target, now)) if forced else None


def _choose(call: CallState, chosen: TargetState, refused: Sequence[tuple[TargetState, Refusal]]) -> TargetState:
    """Say in the trace who was left alone for another, once a call, where no failure of this call says why."""
    for standing, refusal in refused:
        if standing is chosen:
            break
        if not standing.asked and not standing.passed_over:
            standing.passed_over = True
            call.trace.skipped(standing.target, refusal.reason)
    return chosen
