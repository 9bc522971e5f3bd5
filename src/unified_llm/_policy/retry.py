"""Decisions after an outcome: cooldowns, excluded targets, whether to retry, and how long to back off.

Backoff is exponential with full jitter (a uniform draw up to a bound that grows exponentially), which spreads clients
that failed together better than equal jitter or none:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. Throttling and transient errors have separate
bases.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import RetryLimits, Target
from unified_llm._policy import retry_after, turns
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.effects import Effect, Sleep
from unified_llm._policy.failure_rules import (
    API_KEY_COOLDOWN,
    FAILURE_RULES,
    FETCHED_KEY_COOLDOWN,
    FailureRule,
    is_of_size_or_input,
)

# A transient error is over in a moment; throttling is not. botocore keeps the two apart for the same reason.
_TRANSIENT_FACTOR: Final = 0.25
# The exponent is bounded, since 2.0**1024 overflows.
_MAX_EXPONENT: Final = 30
# Clients that received the same Retry-After must not retry in the same instant.
_SPREAD: Final = 0.1
# Seconds for which others send nothing after a 429 that gives no hint. A constant: the backoff of one caller's own
# configuration is no business of theirs.
_LIMIT_COOLDOWN: Final = 1.0
# Why an API key gets no request, where it was not refused altogether.
_KEY_REASONS: Final[Mapping[FailureKind, str]] = {
    "permission": "its API key lacks the permission",
    "quota": "its quota is used up",
}
# Seconds. A longer Retry-After is never waited for, whatever the deadline, and no backoff is longer.
MAX_WAIT: Final = 60.0
# Retries where the user set no limit: while another target is ready, and while none is.
_MAX_RETRIES: Final = 1
_MAX_RETRIES_NO_OTHER_READY: Final = 2
# Seconds before a target that is loading its model is asked again; the last one repeats. A small model is loaded within
# a few seconds, a large one within minutes.
_POLL_PAUSES: Final = (1.0, 2.0, 5.0)

# Why a failed target is not retried although the failure allows it.
_BUDGET_SPENT: Final = "the retry budget of this target is spent"
_BREAKER_OPEN: Final = "the circuit breaker of this target is open"

# Seconds. An attempt that got no connection has waited longer, unless hardly any time was left to it.
_POOL_WAIT: Final = 0.1
# Seconds, at most, before a call asks for a connection again where it has not waited for one.
_POOL_PAUSE_MAX: Final = 5.0

# End the call; continue with whatever target is ready; or sleep until the first retry is due.
NextStep: TypeAlias = Literal["end", "continue", "sleep"]


def compute_delay(
    retry: RetryLimits, retries: int, draw: float, *, throttled: bool, hint: float | None = None
) -> float:
    """Return the seconds to wait before a retry.

    Args:
        retry: The target's settings.
        retries: How many retries have been made before this one.
        draw: A uniform draw from 0 to 1.
        throttled: The target answered that there were too many requests.
        hint: The server's Retry-After, which is the least that is waited.
    """
    base = retry.delay if throttled else retry.delay * _TRANSIENT_FACTOR
    jittered = draw * min(retry.delay_max, MAX_WAIT, base * retry.factor ** min(retries, _MAX_EXPONENT))
    if hint is None:
        return jittered
    return max(hint, jittered) + spread(hint, draw)


def spread(wait: float, draw: float) -> float:
    """Return the seconds to add to a wait that other clients were given as well."""
    return draw * _SPREAD * wait


def apply_failure(call: CallState, state: TargetState, failure: Failure) -> Generator[Effect, Any, bool]:
    """Update the call after a failure, and sleep if that is the next step.

    Returns False when the failure ends the call, whatever targets remain.
    """
    now = call.now()
    step = on_failure(call, state, failure, now)
    if step == "sleep":  # the retry of another target may be due sooner
        retry_times = [other.retry_at for other in call.states if call.may_try(other) and other.retry_at > now]
        yield from sleep_until(call, min(retry_times), now)
    return step != "end"


def on_failure(call: CallState, state: TargetState, failure: Failure, now: float) -> NextStep:
    """Start cooldowns, exclude targets, schedule a retry or exclude the failed target; return the next step."""
    failover, resent = call.fails_over(failure.kind), state.resent
    state.busy_since, state.put_off_since = 0.0, 0.0
    state.resent, state.not_retried = failure.kind == "stale", ""
    # A request is sent again once: a second close in a row is a connection that broke.
    rule = FAILURE_RULES["connection" if resent and state.resent else failure.kind]
    hints = retry_after.read(failure)
    start_cooldowns(call, state.target, failure, hints, now=now)
    exclude_targets(call, state.target, failure, now)
    if call.may_split and is_of_size_or_input(failure):
        return "end"
    call.only_target = None if failover else state
    state.polls = state.polls + 1 if rule.polled else 0
    if turns.may_queue_again(call, state, failure, now):
        _queue_again(call, state, now)
        return "continue"
    if rule.uncounted or state.polls > 1:
        state.attempts -= 1
        call.uncounted += 1
    if rule.uncounted and rule.retry:
        _try_as_before(call, state, failure.kind, now)
        return "continue" if failover or state.retry_at < call.deadline else "end"
    if rule.polled:
        retry_at = _compute_poll_at(call, state, hints, now)
    elif failure.try_again is not None:
        retry_at = now if failure.try_again and _may_try_again(call, state, now) else None
    else:
        retry_at = None if failure.about_input else _compute_retry_at(call, state, rule, hints, now=now)
    if retry_at is None:
        state.excluded = True
        return "continue" if failover else "end"
    explicit = state.target.retry.limit is not None
    state.retry_at = retry_at
    state.spends_budget = not (explicit or failure.try_again is not None or rule.free or rule.polled)
    can_wait = bool(hints.retry_after) or _can_wait(call, state, rule, now)
    if failover and can_wait and not call.no_other_ready(state, now):
        state.put_off_since, call.reordered = now, True
        return "continue"  # this target is retried only once the others have failed
    if retry_at <= now:
        return "continue"
    return "sleep"


def _queue_again(call: CallState, state: TargetState, now: float) -> None:
    """Let a call of a batch wait for another turn, as if it had not been refused; its explicit retries are counted."""
    state.retry_at, state.spends_budget = now, False
    if state.target.retry.limit is None:
        state.attempts -= 1
        call.uncounted += 1


def _can_wait(call: CallState, state: TargetState, rule: FailureRule, now: float) -> bool:
    """Return whether other targets that are ready come before the retry of this one."""
    if rule.throttled or rule.polled or rule.only_if_no_other_ready:
        return True
    return state.insists and not call.leaves_time(state, state.retry_at, now)


def _try_as_before(call: CallState, state: TargetState, kind: FailureKind, now: float) -> None:
    """Let the target be tried as if it had not been: at once, where the attempt has waited for a connection already."""
    state.spends_budget = False
    state.retry_at = now
    if kind != "pool":
        return
    state.busy_since, call.reordered = now, True
    if now - state.began < _POOL_WAIT:
        longest = min(_POOL_PAUSE_MAX, _POOL_WAIT * 2.0 ** min(call.uncounted, _MAX_EXPONENT))
        state.retry_at += longest * (1 + call.random()) / 2


def _compute_poll_at(call: CallState, state: TargetState, hints: retry_after.Hints, now: float) -> float | None:
    """Return the instant at which to ask a target again that is loading its model, or None for not at all."""
    pause = max(_POLL_PAUSES[min(state.polls, len(_POLL_PAUSES)) - 1], min(hints.retry_after or 0.0, MAX_WAIT))
    # A hedge may have excluded it in the meantime, such as by the key that both share.
    forbidden = state.excluded or hints.should_retry is False or state.target.retry.limit == 0
    return None if forbidden or now + pause >= call.deadline else now + pause


def _compute_retry_at(
    call: CallState, state: TargetState, rule: FailureRule, hints: retry_after.Hints, *, now: float
) -> float | None:
    """Return the instant at which to retry the same target, or None for no retry."""
    target = state.target
    if not _may_retry(call, state, rule, hints, now=now):
        return None
    pause = compute_delay(
        target.retry,
        state.attempts - 1,
        call.random(),
        throttled=rule.throttled,
        hint=hints.retry_after,
    )
    if pause > MAX_WAIT or now + pause >= call.deadline:
        return None
    at = now + pause
    if state.insists or call.health.may_retry(target, at, free=rule.free, streaming=call.streaming):
        return at
    breaker_admits = call.health.may_retry(target, at, free=True, streaming=call.streaming)
    state.not_retried = _BUDGET_SPENT if breaker_admits else _BREAKER_OPEN
    return None


def _may_retry(call: CallState, state: TargetState, rule: FailureRule, hints: retry_after.Hints, *, now: float) -> bool:
    """Return whether the failure, the server's hint and the number of attempts allow a retry of the same target."""
    retry = rule.retry if hints.should_retry is None else hints.should_retry
    if not retry or state.excluded:
        return False
    limit = state.target.retry.limit
    if limit is not None:
        return state.attempts <= limit
    if not call.room_for_retries():
        return False
    no_other_ready = call.no_other_ready(state, now)
    if rule.only_if_no_other_ready:
        return no_other_ready and state.attempts <= _MAX_RETRIES
    return state.attempts <= (_MAX_RETRIES_NO_OTHER_READY if no_other_ready else _MAX_RETRIES)


def _may_try_again(call: CallState, state: TargetState, now: float) -> bool:
    """Return whether the target may be asked again at once, in another form: the failure was none of its health."""
    limit = state.target.retry.limit
    if state.excluded or now >= call.deadline:
        return False
    if limit is not None:
        return state.attempts <= limit
    return call.room_for_retries() and call.health.may_retry(state.target, now, free=True, streaming=call.streaming)


def start_cooldowns(call: CallState, target: Target, failure: Failure, hints: retry_after.Hints, *, now: float) -> None:
    """Start the cooldowns that a failure calls for, which other calls obey too; report a model that is gone."""
    rule = FAILURE_RULES[failure.kind]
    if rule.cooldown == "api_key" and failure.about_key:
        reason = f"{_describe_refusal(target, failure.kind)} ({failure.kind})"
        fetched = failure.kind == "auth" and target.key_callable is not None
        seconds = FETCHED_KEY_COOLDOWN if fetched else API_KEY_COOLDOWN
        call.health.start_cooldown(target, "api_key", now + seconds, reason, wait=False, now=now)
    elif rule.cooldown == "rate_limit" and failure.about_key:
        pause = hints.retry_after if hints.retry_after is not None else _LIMIT_COOLDOWN
        call.health.start_cooldown(target, "rate_limit", now + pause, "rate limited", wait=True, now=now)
    elif hints.retry_after is not None and rule.weight:
        reason = "its server asked for a pause (Retry-After)"
        call.health.start_cooldown(target, "target", now + hints.retry_after, reason, wait=True, now=now)
    if failure.kind == "model_not_found" and call.on_model_gone:
        call.on_model_gone(target)


def _describe_refusal(target: Target, kind: FailureKind) -> str:
    """Say why an API key gets no request, or the requests without one."""
    if target.sends_no_key and kind != "quota":
        return "it refused a request without an API key"
    return _KEY_REASONS.get(kind, "its API key was refused")


def note_exhausted_limit(call: CallState, target: Target, done: Done, now: float) -> None:
    """Start a cooldown if an answer used up a rate limit.

    No call waits for that cooldown: other targets are tried until the limit has recovered. Many providers send the time
    at which the whole limit is back, while they would accept the next request much sooner. Calls of a batch are held by
    their pace, which knows of the limit too.
    """
    if call.queued:
        return
    if done.headers and (pause := retry_after.read_reset(done.headers)):
        call.health.start_cooldown(target, "rate_limit", now + pause, "its rate limit is used up", wait=False, now=now)


def exclude_targets(call: CallState, target: Target, failure: Failure, now: float) -> None:
    """Exclude the targets of this call that would fail in the same way."""
    rule = FAILURE_RULES[failure.kind]
    if rule.cooldown == "api_key" and failure.about_key:
        _exclude(
            call, lambda other: other.credentials_key == target.credentials_key, "the same API key was refused", now
        )
    if rule.larger_window:
        _exclude_smaller_windows(call, target, failure, now)


def _exclude_smaller_windows(call: CallState, target: Target, failure: Failure, now: float) -> None:
    """Exclude the targets whose windows are known to be no larger than the one that the prompt did not fit into.

    Most windows of local models are not known. A target with such a window is tried: that costs one request.
    """
    if failure.context_window is not None and call.on_window:
        call.on_window(target, failure.context_window)
    window = failure.context_window or call.window_of(target)
    if window is not None:
        reason = "its context window is not known to be larger"
        _exclude(call, lambda other: (call.window_of(other) or window + 1) <= window, reason, now)


def _exclude(call: CallState, matches: Callable[[Target], bool], reason: str, now: float) -> None:
    for other in call.states:
        if not other.excluded and matches(other.target):
            other.excluded = True
            if not other.attempts:
                call.trace.record_skip(other.target, reason, now)


def sleep_in_queue(call: CallState, until: float, now: float) -> Generator[Effect, Any, None]:
    """Sleep until the turn of a call; for one of a batch, that is not counted in its deadline."""
    yield from sleep_until(call, until, now)
    if call.queued:
        call.deadline += max(0.0, call.now() - now)


def sleep_until(call: CallState, until: float, now: float) -> Generator[Effect, Any, None]:
    """Sleep until an instant; add that to the call's waiting time. Report the retry that is due then."""
    for state in call.states:
        # Not each of many in a row: for a connection, or for a model that is being loaded.
        if state.retry_at == until and call.may_try(state) and not (state.polls or state.busy_since):
            call.trace.announce_retry(state.target, until - now)
    call.waited += until - now
    yield Sleep(until)
