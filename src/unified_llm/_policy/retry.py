"""What follows from an outcome: for the target, for others that share its key or its limits, and for this call.

How long to wait before asking the same target again: full jitter, with separate bases.

Full jitter (a uniform draw up to an exponentially growing bound) spreads clients that failed together better than
equal or no jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import RetryLimits, Target
from unified_llm._policy import retry_after
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.effects import Effect, Sleep
from unified_llm._policy.failure_rules import CREDENTIALS_HOLD, FAILURE_RULES, FailureRule

# A blip is over in a moment; throttling is not. botocore keeps the two apart for the same reason.
_BLIP: Final = 0.25
# The exponent is bounded, since 2.0**1024 overflows.
_STEEPEST: Final = 30
# Clients that were told the same Retry-After must not come back in the same instant.
_SPREAD: Final = 0.1


def delay(retry: RetryLimits, retries: int, draw: float, *, throttled: bool, hint: float | None = None) -> float:
    """Seconds to wait.

    Args:
        retry: The target's settings.
        retries: How many retries have been made before this one.
        draw: A uniform draw from 0 to 1.
        throttled: The target asked for fewer requests.
        hint: The server's own word (Retry-After), which is the least that is waited.
    """
    base = retry.delay if throttled else retry.delay * _BLIP
    jittered = draw * min(retry.delay_max, base * retry.factor ** min(retries, _STEEPEST))
    if hint is None:
        return jittered
    return max(hint, jittered) + spread(hint, draw)


def spread(wait: float, draw: float) -> float:
    """Seconds to add to a wait that others were told as well."""
    return draw * _SPREAD * wait


# A longer Retry-After is never waited for, whatever the deadline.
LONGEST_WAIT: Final = 60.0
# Retries of the policy's own: while another target is ready, and on the last.
_RETRIES: Final = 1
_RETRIES_ALONE: Final = 2


# The call has ended, goes on with another target, or goes on when some target has rested.
NextStep: TypeAlias = Literal["end", "on", "rest"]


def apply_failure(call: CallState, standing: TargetState, failure: Failure) -> Generator[Effect, Any, bool]:
    """Draw the consequences of a failure, and rest where that is one of them.

    Returns False when the failure ends the call, whatever targets remain.
    """
    now = call.now()
    upshot = on_failure(call, standing, failure, now)
    if upshot == "rest":  # another that rests may be ready sooner
        resumes = [other.resume for other in call.standings if call.asks(other) and other.resume > now]
        yield from sleep_until(call, min(resumes), now)
    return upshot != "end"


def on_failure(call: CallState, standing: TargetState, failure: Failure, now: float) -> NextStep:
    """Draw the consequences of a failure: holds, and whether and when the same target is asked again."""
    verdict, said, failover = FAILURE_RULES[failure.kind], retry_after.read(failure), call.fails_over(failure.kind)
    start_cooldowns(call, standing.target, failure, said, now=now)
    exclude_targets(call, standing.target, verdict)
    call.bound = None if failover else standing
    resume = _resume(call, standing, verdict, said, now=now)
    if resume is None:
        standing.over = True
        return "on" if failover else "end"
    standing.resume, standing.costs = resume, not verdict.free
    patient = failover and (verdict.throttled or bool(said.retry_after))
    if resume <= now or (patient and not call.alone(standing, now)):
        return "on"  # where others are ready, come back to this one only when they have failed
    return "rest"


def _resume(
    call: CallState, standing: TargetState, verdict: FailureRule, said: retry_after.Hints, *, now: float
) -> float | None:
    """When to ask the same target again; None for not at all."""
    target = standing.target
    if not _may_retry(call, standing, verdict, said, now=now):
        return None
    pause = delay(
        target.retry,
        standing.asked - 1,
        call.random(),
        throttled=verdict.throttled,
        hint=said.retry_after,
    )
    if pause > LONGEST_WAIT or now + pause >= call.deadline:
        return None
    return now + pause if call.health.may_retry(target, now + pause, free=verdict.free) else None


def _may_retry(
    call: CallState, standing: TargetState, verdict: FailureRule, said: retry_after.Hints, *, now: float
) -> bool:
    retry = verdict.retry if said.should_retry is None else said.should_retry
    if not retry or standing.over or not call.room_for_retries():
        return False
    alone = call.alone(standing, now)
    if verdict.only_if_alone and not alone:
        return False
    limit = standing.target.retry.limit
    allowed = limit if limit is not None else _RETRIES_ALONE if alone and not verdict.only_if_alone else _RETRIES
    return standing.asked <= allowed


def start_cooldowns(call: CallState, target: Target, failure: Failure, said: retry_after.Hints, *, now: float) -> None:
    """Remember what a failure says to other calls."""
    verdict = FAILURE_RULES[failure.kind]
    if verdict.hold == "credentials":
        call.health.hold(
            target.credentials_key, now + CREDENTIALS_HOLD, f"its key was refused ({failure.kind})", wait=False
        )
    elif verdict.hold == "limit":
        pause = said.retry_after if said.retry_after is not None else target.retry.delay
        call.health.hold(target.limit_key, now + pause, "rate limited", wait=True)
    elif said.retry_after is not None and verdict.weight:
        call.health.hold(target.health_key, now + said.retry_after, "asked to be left alone", wait=True)
    if failure.kind == "model_not_found" and call.unlist:
        call.unlist(target)


def note_exhausted_limit(call: CallState, target: Target, done: Done, now: float) -> None:
    """Remember that an answer used up a rate limit.

    That is advice: others are asked until the limit has recovered, but no call waits for it. Many providers tell when
    the limit will be whole again, while the next request would be let through much sooner.
    """
    if done.headers and (pause := retry_after.reset(done.headers)):
        call.health.hold(target.limit_key, now + pause, "its rate limit is used up", wait=False)


def exclude_targets(call: CallState, target: Target, verdict: FailureRule) -> None:
    """Give up the targets of this call that would fail in the same way."""
    if verdict.hold == "credentials":
        _exclude(call, lambda other: other.credentials_key == target.credentials_key, "the same key was refused")
    if verdict.larger_window:
        window = target.context_window or 0
        _exclude(
            call, lambda other: (other.context_window or 0) <= window, "its context window is not known to be larger"
        )


def _exclude(call: CallState, which: Callable[[Target], bool], reason: str) -> None:
    for other in call.standings:
        if not other.over and which(other.target):
            other.over = True
            if not other.asked:
                call.trace.skipped(other.target, reason)


def sleep_until(call: CallState, until: float, now: float) -> Generator[Effect, Any, None]:
    """Sleep until an instant, and keep account of it."""
    call.waited += until - now
    yield Sleep(until)
