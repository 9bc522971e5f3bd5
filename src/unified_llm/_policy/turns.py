"""Turns of a call at the rate limits of its targets: asked for before an attempt, settled when it has ended.

    a target over its limit     another target is ready        none is ready
    single call                 that one gets the call         the call reserves its turn, if it is before the deadline
    call of a batch             that one gets the call         the call waits in a queue, and its deadline moves
      as many in flight as      the call waits in a queue      the same
      it may have so far

No request is sent beyond a limit, not even where nothing else is left to try. It is no failure of the target: it shows
nothing about its health. A call of a batch that is refused with 429 goes back into the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._core.usage_sums import sum_tokens
from unified_llm._policy import loading, retry_after
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.cooldowns import MAX_COOLDOWN, Refusal
from unified_llm._policy.rate_limits import HeldTurn, Outcome
from unified_llm._policy.target_health import Permit
from unified_llm._policy.trace import RunningAttempt

# Nothing was sent, and nothing counts.
_UNSENT: Final[frozenset[FailureKind]] = frozenset({"connect", "tls", "pool", "setup", "unsendable"})
# The request counts, and no token of it.
_REFUSED: Final[frozenset[FailureKind]] = frozenset(
    {
        "auth", "permission", "quota", "rate_limit", "model_not_found", "not_found", "redirect", "bad_request",
        "unsupported", "context", "too_large", "conflict", "loading",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OverLimit(Refusal):
    """A target has no room for a request now.

    Attributes:
        is_full: Requests in flight alone are in the way, and one of them ends soon: nothing says that the target could
            not serve the call, so it does not go to a fallback.
    """

    is_full: bool = False


def admit(call: CallState, state: TargetState, now: float) -> Permit | Refusal | loading.LoadStep:
    """Return a permit for an attempt on a target and take its turn; or why there is none now, as ``loading.admit``."""
    admission = loading.admit(call, state, now)
    if not call.is_limited(state.target):
        return admission
    if not isinstance(admission, Permit):
        give_back(call, state, now)
        return admission
    held = hold(call, state, now)
    if held is None:
        return admission
    admission.counted = False
    call.health.record_outcome(state.target, admission, ok=None, weight=0, now=now, draw=0.0)
    return held


def hold(call: CallState, state: TargetState, now: float) -> OverLimit | None:
    """Take a turn now for an attempt on a target that is limited; return why there is none."""
    limits, target = call.limits, state.target
    if limits is None:
        return None
    if state.turn is not None:
        if limits.begin(target, state.turn, now):
            return None
        return _over_limit(call, target, state.turn.turn.tokens, now, until=state.turn.wake_at(now))
    tokens = call.estimate(target)
    if target.tpm is not None and tokens > target.tpm:
        values = target.name, tokens, target.tpm
        warn_once(("tpm", target.name), "%s: a request of about %d tokens is larger than tpm=%d", *values)
    asked = limits.ask(target, tokens, now, queued=call.queued)
    if isinstance(asked, HeldTurn):
        state.turn = asked
        call.holds_turns = True
        return None
    return _over_limit(call, target, tokens, now, until=asked)


def _over_limit(call: CallState, target: Target, tokens: int, now: float, *, until: float) -> OverLimit:
    is_full = call.queued and call.limits is not None and call.limits.is_full(target, tokens, now)
    return OverLimit(until, _describe_limit(target), wait=True, is_full=is_full)


def reserve(call: CallState, refused: Sequence[tuple[TargetState, Refusal]], now: float) -> float | None:
    """Reserve the first turn at the targets that are over their limits; return when to ask for it.

    None where there is none: for a single call none before the deadline, for one of a batch none at servers that have
    refused every request for ten minutes.
    """
    limits = call.limits
    over = [
        (refusal.until, state)
        for state, refusal in refused
        if isinstance(refusal, OverLimit) and limits and not (call.queued and limits.gives_up(state.target, now))
    ]
    if limits is None or not over:
        return None
    until, state = min(over, key=itemgetter(0))
    if not call.queued and until >= call.deadline:
        return None
    if state.turn is None:
        state.turn = limits.reserve(state.target, call.estimate(state.target), now, queued=call.queued)
        call.holds_turns = True
        until = state.turn.wake_at(now)
        if not call.queued and until >= call.deadline:
            give_back(call, state, now)
            return None
    return until


def give_up(refused: Sequence[tuple[TargetState, Refusal]], now: float) -> None:
    """Let the targets fail that have no turn for a call."""
    for state, refusal in refused:
        if isinstance(refusal, OverLimit):
            state.excluded = True
            if state.failure is None:
                reason = f"{refusal.reason}, and no turn is left before the deadline"
                advice = "raise deadline=, or the limit, or add a fallback"
                wait = max(0.0, refusal.until - now)
                state.failure = Failure("rate_limit", unsent=True, reason=reason, advice=advice, retry_after=wait)


def give_back(call: CallState, state: TargetState, now: float) -> None:
    """Give back the turn of a target, if the call has one there. Takes no lock."""
    if state.turn is not None and call.limits is not None:
        call.limits.give_back(state.turn, now)
        state.turn = None


def give_back_all(call: CallState, now: float, *, but: TargetState | None = None) -> None:
    """Give back every turn that is not used: the call has ended, or another target gets it."""
    if not call.holds_turns:
        return
    for state in call.states:
        if state is not but:
            give_back(call, state, now)


def settle(call: CallState, attempt: RunningAttempt, outcome: Done | Failure | None, now: float) -> None:
    """Settle the turn of an attempt that has ended. Takes no lock."""
    if attempt.turn is not None and call.limits is not None:
        call.limits.finish(attempt.turn, _read_outcome(outcome), now)


def may_queue_again(call: CallState, state: TargetState, failure: Failure, now: float) -> bool:
    """Return whether a call of a batch that was refused with 429 goes back into the queue.

    Not where the server asks for more than five minutes, or has refused every request for ten.
    """
    limit, hints = state.target.retry.limit, retry_after.read(failure)
    if not call.queued or call.limits is None or not _is_for_now(failure):
        return False
    if state.excluded or hints.should_retry is False or (hints.retry_after or 0.0) > MAX_COOLDOWN:
        return False
    if limit is not None and state.attempts > limit:
        return False
    return not call.limits.gives_up(state.target, now)


def _is_for_now(failure: Failure) -> bool:
    """Return whether a request was refused with 429, whoever's limit it is, and not because of its own size."""
    return failure.kind == "rate_limit" and failure.try_again is not False


def _read_outcome(outcome: Done | Failure | None) -> Outcome:
    if outcome is None:  # cancelled: the server may have begun
        return Outcome(sent=True)
    if isinstance(outcome, Done):
        usage = getattr(outcome.value, "usage", None)
        tokens = sum_tokens(usage) if usage is not None else None
        return Outcome(sent=True, tokens=tokens, ok=True, headers=outcome.headers, usage=usage)
    if outcome.unsent or outcome.kind in _UNSENT:
        return Outcome(sent=False)
    if _is_for_now(outcome):
        pause = retry_after.read(outcome).retry_after
        # A longer pause is waited for by no call, so it does not change the pace.
        return Outcome(sent=True, tokens=0, ok=None if pause and pause > MAX_COOLDOWN else False, pause=pause)
    return Outcome(sent=True, tokens=0 if outcome.kind in _REFUSED else None)


def _describe_limit(target: Target) -> str:
    limits = [f"{name}={value:d}" for name in ("rpm", "tpm") if (value := getattr(target, name)) is not None]
    if not limits:
        return "it accepts no more requests for now"
    return f"its limit is used up ({', '.join(limits)})"
