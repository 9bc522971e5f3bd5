"""One attempt on one target, from opening its exchange to its outcome, which is always recorded.

A stream, and the instant at which it commits the call:

    Open          first chunk      next chunk      last chunk   Done
     |------------------>|--------------->|--- ... --->|--------->|
     |  <= first_token   |    <= gap      |            |  <= gap  |
     |                   |
     |                   +- success recorded at the breaker, then COMMIT: the chunk goes to the caller
     |                   |
     |  a failure is     |  a failure ends the call: nothing is replayed
     |  invisible: retry |
     |  or fail over     |

A whole answer has one event, ``Done``, and a limit of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.seconds import FOREVER
from unified_llm._policy import turns
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.effects import Effect, Emit, Open, Wait
from unified_llm._policy.failure_rules import FAILURE_RULES
from unified_llm._policy.health_changes import LastFailure
from unified_llm._policy.target_health import Permit
from unified_llm._policy.trace import RunningAttempt, make_attempt

# Seconds by which a timeout may come early: systems round them.
_CLOCK_TOLERANCE: Final = 0.1
# Seconds after which a target that makes no connection is in trouble, however impatient the caller was. The system
# sends its first packet again after one.
_FAIR_CONNECT: Final = 1.0
# Outcomes of attempts that are no request to the target: its format cannot carry it, or no connection was free.
_UNSENT: Final = frozenset({"skipped", "pool"})

# The state of the target, the number of the attempt, which is still to be closed, and its outcome.
AttemptResult: TypeAlias = tuple[TargetState, int, Done | Failure]


def run_attempt(
    call: CallState, state: TargetState, permit: Permit, now: float
) -> Generator[Effect, Any, AttemptResult]:
    """Run one exchange with a target, from opening it to its outcome."""
    attempt = start_attempt(call, state, permit, now)
    attempts = (attempt.number,)
    outcome: Done | Failure | None = None
    try:
        outcome = yield Open(attempt.number, state.target, attempt.until)
        if outcome is None:
            _, event = yield Wait(attempts, attempt.until)
            outcome = yield from stream_chunks(call, attempt, event)
        return state, attempt.number, outcome
    finally:
        # Also on cancellation, and when the caller closes the stream: then the outcome is None.
        finish_attempt(call, attempt, outcome)


def start_attempt(call: CallState, state: TargetState, permit: Permit, now: float) -> RunningAttempt:
    """Return an attempt that begins now; take a token of the retry budget if it needs one.

    By default a target has more time where no other is ready (``Timing``). Where others are ready that were not tried
    yet, the time until the deadline is shared with them: all must be asked.
    """
    target, timing = state.target, state.target.timing
    call.record_incapable(state.position, now)
    last = not timing.fixed and call.no_other_ready(state, now)
    limit = call.limit_of(state, now, last=last)
    until = min(call.deadline if last else call.share_of_time(state, now, limit), now + limit)
    limit = limit if limit < FOREVER else timing.breaker_limit(streaming=call.streaming)
    call.attempt_count += 1
    retry = state.attempts > 0
    permit.first_try = not retry
    attempt = RunningAttempt(call.attempt_count, target, permit, now, limit, until, call.waited, retry=retry)
    attempt.turn, state.turn = state.turn, None
    call.waited = 0.0
    if state.spends_budget:
        call.health.spend_retry(target)
    if not retry:
        state.first_began = now
    state.attempts += 1
    state.began = now
    return attempt


def stream_chunks(call: CallState, attempt: RunningAttempt, event: Any) -> Generator[Effect, Any, Done | Failure]:
    """Emit the chunks of a stream, from its first event on; return the outcome of the stream or of the whole answer."""
    attempts, gap, now, deadline = (attempt.number,), attempt.target.timing.gap, call.now, call.deadline
    if call.streaming and not isinstance(event, Failure):
        arrived = now()
        call.trace.answering = attempt.target
        attempt.first_token = arrived - attempt.started
        # A stream may last for minutes: a probe must not keep others waiting until its end. So success is recorded
        # here; if the stream breaks later, that is an outcome of its own.
        _record(call, attempt, arrived, ok=True)
        attempt.permit = call.health.follow_up(attempt.target, attempt.permit, arrived)
    while not isinstance(event, (Done, Failure)):
        call.committed = True
        yield Emit(event)
        _, event = yield Wait(attempts, min(deadline, now() + gap))
    return event


def finish_attempt(
    call: CallState, attempt: RunningAttempt, outcome: Done | Failure | None, *, reason: str | None = None
) -> None:
    """Record the outcome at the breaker and in the trace. None, for a cancelled attempt, leaves health as it is."""
    now = call.now()
    if attempt.turn is not None:
        turns.settle(call, attempt, outcome, now)
    adjustments = call.trace.adjusted
    adjusted = adjustments.get(id(attempt.target)) if adjustments else None
    record = make_attempt(attempt, outcome, now, reason=reason, adjusted=adjusted)
    if record.outcome in _UNSENT:
        attempt.permit.counted = False
        _record(call, attempt, now, ok=None)
    elif isinstance(outcome, Failure):
        weight, limit = _weigh(call, attempt, outcome, now)
        failure = LastFailure(outcome.kind, outcome.status, str(record), now)
        _record(
            call, attempt, now, ok=False, weight=weight, limit=limit, shared=outcome.scope == "shared", failure=failure
        )
    elif attempt.first_token is None:
        _record(call, attempt, now, ok=True if outcome else None)
    elif outcome and attempt.target.timing.cold:
        call.health.note_response(attempt.target, now)
    call.trace.record_end(attempt, record, outcome)


def _record(
    call: CallState,
    attempt: RunningAttempt,
    now: float,
    *,
    ok: bool | None,
    weight: int = 0,
    limit: float | None = None,
    shared: bool = True,
    failure: LastFailure | None = None,
) -> None:
    if ok and call.runs_model and attempt.target.timing.cold:
        call.health.note_response(attempt.target, now)
    if not call.shows_health:
        ok, weight, failure = None, 0, None
    if ok:  # it counts for callers who would have waited for it, whoever made the call among them
        limit = min(now - attempt.started, attempt.target.timing.breaker_limit(streaming=call.streaming))
    call.health.record_outcome(
        attempt.target,
        attempt.permit,
        ok=ok,
        weight=weight,
        limit=limit,
        shared=shared,
        now=now,
        draw=call.random(),
        failure=failure,
    )


def _weigh(call: CallState, attempt: RunningAttempt, failure: Failure, now: float) -> tuple[int, float | None]:
    """Return how many failures a failure counts for, and, if it is a timeout, the seconds after which it passed."""
    # A bound of the caller's own shows nothing about the target: other callers have theirs.
    own_bound = failure.kind == "oversized" and attempt.target.max_response_bytes is not None
    weight = 0 if failure.scope == "caller" or own_bound or failure.about_input else FAILURE_RULES[failure.kind].weight
    if failure.unsent and now - attempt.started >= _FAIR_CONNECT:
        return weight, None
    # A connection that was not made within the attempt's own limit was cut short by that.
    if failure.kind == "timeout" or (failure.kind == "connect" and now >= attempt.until):
        if _cut_short(call, attempt, now):
            return 0, None
        if failure.unsent and now < attempt.until:
            return weight, now - attempt.started
        if attempt.first_token is None:
            if weight and _answer_may_be_long(call, attempt, now):
                weight = 1
            return weight, max(attempt.limit, attempt.until - attempt.started)
    return (weight if attempt.first_token is None else min(1, weight)), None


def _answer_may_be_long(call: CallState, attempt: RunningAttempt, now: float) -> bool:
    """Return whether a default limit passed that may be too short for a healthy target: it is weak evidence."""
    target, timing, passed = attempt.target, attempt.target.timing, now >= attempt.until - _CLOCK_TOLERANCE
    return passed and not timing.fixed and (target.reasoning or not (call.streaming and timing.streams))


def _cut_short(call: CallState, attempt: RunningAttempt, now: float) -> bool:
    """Return whether the deadline or a share of it ended what the target's own limit allows: that shows nothing."""
    if attempt.first_token is not None:
        return now >= call.deadline
    return now >= attempt.until and attempt.until < attempt.started + attempt.limit
