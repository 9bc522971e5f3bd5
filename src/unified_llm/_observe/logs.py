"""Log lines of the logger ``unified_llm`` about attempts, calls and breakers, with structured fields in ``extra``.

Neither ever holds a key, a prompt, a response or a provider's message, so a log may be kept as it is. Levels, so that a
log is readable at INFO and quiet at WARNING during an outage:

    WARNING  the first failover from a target for a kind of failure (for a refusal: and its code), then once a minute
             with a count;
             a request field that a target gets otherwise than it was set or not at all, once for each target and field;
             an answer that was cut before its first text, for each target once a minute;
             a circuit breaker that opens or closes, with the reason and the next probe
    INFO     each call that a fallback served, and why; each retry, before its wait; a cooldown that starts
    DEBUG    every attempt, and every other call
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutine
from typing import Any, Final

from unified_llm._core import runtime
from unified_llm._core.dropped_settings import level_of_report
from unified_llm._core.repeated_warnings import count_suppressed, more_since_the_last, warn_once
from unified_llm._core.target import Target
from unified_llm._lib.show_seconds import show_seconds
from unified_llm._policy.cooldowns import CooldownScope
from unified_llm._policy.failure_rules import REFUSALS
from unified_llm._policy.health_changes import BreakerChange, CooldownChange, HealthChange
from unified_llm._policy.trace import Trace
from unified_llm.types.records import Attempt, Usage

_log = logging.getLogger("unified_llm")

# Fields of an attempt. Not its reason: the provider's error code, which a server may fill with anything.
_FIELDS: Final = ("target", "outcome", "status", "request_id", "seconds", "waited", "first_token", "retry")
# Fields of a request that take effect also where a target does not take them.
_APPLIED_HERE: Final = frozenset({"stop", "parallel_tool_calls"})
# What gets no request during a cooldown.
_IN_COOLDOWN: Final[Mapping[CooldownScope, str]] = {
    "api_key": "all targets with this API key are",
    "rate_limit": "all targets with this rate limit are",
    "target": "it is",
}


def warn_of_demo_model(targets: Sequence[Target]) -> None:
    """Warn, once for each chain, that it has the demo model in it, which is no stand-in for a model."""
    demo = next((target.name for target in targets if target.demo), None)
    if demo is None:
        return
    text = (
        "%s is a demo model: it answers a short list of questions and declines everything else. In an application, "
        "use a model in its place, such as ollama/llama3.2 or one in a local folder (mlx/<folder>)."
    )
    warn_once(("demo", *(target.name for target in targets)), text, demo, target=demo)


def on_attempt(callback: Callable[[Attempt], None] | None) -> Callable[[Attempt], None]:
    """Return a function that logs an attempt and calls the user's callback, whose errors must not end the call."""
    if callback is None:
        return log_attempt

    def notify(attempt: Attempt) -> None:
        log_attempt(attempt)
        try:
            result: object = callback(attempt)
            if iscoroutine(result):  # of a lambda; an async function is refused when the client is made
                result.close()
                _warn_of_callback("returned a coroutine, which is never awaited: pass a plain function")
        except Exception as error:  # noqa: BLE001 - see above
            _warn_of_callback(f"raised {type(error).__name__}; the call goes on")

    return notify


def _warn_of_callback(event: str) -> None:
    """Warn of a mistake in a callback, which it makes at every attempt: once a minute."""
    suppressed = count_suppressed(("on_attempt", event), runtime.current().now())
    if suppressed is not None:
        _log.warning("on_attempt %s%s", event, more_since_the_last(suppressed))


def log_attempt(attempt: Attempt) -> None:
    """Log an attempt at DEBUG."""
    if attempt.adjusted:
        _log_adjustments(attempt)
    if not _log.isEnabledFor(logging.DEBUG):
        return
    text = str(attempt)  # an attempt as an argument would put its reason into the record
    if attempt.outcome == "skipped":
        _log.debug("%s: %s", attempt.target, text, extra=_fields(attempt))
    else:
        _log.debug("%s: %s (%.3f s)", attempt.target, text, attempt.seconds, extra=_fields(attempt))


def log_retry(failed: Attempt, pause: float) -> None:
    """Log at INFO that a target is tried again after a failed attempt, before the wait."""
    if _log.isEnabledFor(logging.INFO):
        text = "%s: %s (%.3f s); retrying in %s"
        fields = {**_fields(failed), "pause": pause}
        _log.info(text, failed.target, str(failed), failed.seconds, show_seconds(pause), extra=fields)


def _fields(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in _FIELDS}


def _log_adjustments(attempt: Attempt) -> None:
    """Log what a target gets otherwise than it was set: at WARNING once for each target and field, then at DEBUG."""
    for name, (given, sent) in attempt.adjusted.items():
        level, fields = level_of_report(attempt.target, name), {"target": attempt.target, "field": name}
        if name in _APPLIED_HERE:
            _log.log(level, "%s: %s is applied to its answer by the client", attempt.target, name, extra=fields)
        elif sent is None:
            _log.log(level, "%s: %s is not sent, which it does not take", attempt.target, name, extra=fields)
        else:
            text = "%s: %s is sent as %s instead of %s, which is beyond its limits"
            _log.log(level, text, attempt.target, name, sent, given, extra=fields)


def log_response(trace: Trace, primary: Target, usage: Usage | None, *, seconds: float, now: float) -> None:
    """Log that a call was answered: at INFO if a fallback served it, at DEBUG otherwise; warn about failovers.

    Args:
        trace: The attempts.
        primary: The first target of the chain.
        usage: Tokens of the attempt that served, where its provider reports them.
        seconds: How long the whole call took.
        now: The current instant.
    """
    served = trace.served
    if served is None:
        return
    _warn_of_failovers(trace, served, now)
    level = logging.DEBUG if served is primary else logging.INFO
    if not _log.isEnabledFor(level):
        return
    fields: dict[str, Any] = {"target": served.name, "seconds": seconds, "attempts": trace.attempt_count}
    if usage is not None:
        fields |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    if served is primary:
        _log.log(level, "%s answered (%.3f s)", served.name, seconds, extra=fields)
        return
    others = {attempt.target: attempt for attempt in trace.attempts if attempt.outcome != "ok"}
    others.pop(served.name, None)
    reasons = "".join(f"; {_describe(attempt)}" for attempt in others.values())
    _log.log(level, "served by %s in place of %s%s", served.name, primary.name, reasons, extra=fields)


def _describe(attempt: Attempt) -> str:
    return f"{attempt.target}{' ' if attempt.outcome in {'skipped', 'cancelled'} else ': '}{attempt}"


def _warn_of_failovers(trace: Trace, served: Target, now: float) -> None:
    # By identity: the same model in another region may have the same name.
    # A target may refuse requests for several reasons, and its code tells them apart. Only the key has it: a server may
    # fill it with anything.
    failed = {
        (target.name, attempt.outcome, attempt.reason if attempt.outcome in REFUSALS else None): attempt
        for target, attempt in trace.failed
        if target is not served
    }
    for key, attempt in failed.items():
        name, kind, _ = key
        suppressed = count_suppressed(("failover", *key), now)
        if suppressed is not None and _log.isEnabledFor(logging.WARNING):
            more = more_since_the_last(suppressed)
            fields = {"target": name, "outcome": kind, "status": attempt.status, "suppressed": suppressed}
            _log.warning("%s: %s; failed over to %s%s", name, str(attempt), served.name, more, extra=fields)


def warn_of_cut_answer(target: Target | None, now: float) -> None:
    """Warn that an answer was cut before it had any text or tool call: once a minute for each target."""
    name = target.name if target else ""
    suppressed = count_suppressed(("cut answer", name), now)
    if suppressed is not None:
        more = more_since_the_last(suppressed)
        fields = {"target": name, "outcome": "length", "suppressed": suppressed}
        _log.warning("%s: the answer was cut before its first text; raise max_tokens=%s", name, more, extra=fields)


def log_change(change: HealthChange) -> None:
    """Log that a circuit breaker opened or closed, at WARNING, or that a cooldown started, at INFO."""
    if isinstance(change, BreakerChange):
        _log_breaker(change)
    elif isinstance(change, CooldownChange):
        _log_cooldown(change)


def _log_breaker(change: BreakerChange) -> None:
    fields: dict[str, Any] = {"target": change.target, "state": change.after}
    where = ", as another process reported" if change.elsewhere else ""
    if change.after != "open":
        _log.warning("%s: circuit breaker closed%s: the target responds again", change.target, where, extra=fields)
        return
    cause = change.cause
    if cause is not None:
        fields |= {"outcome": cause.kind, "status": cause.status}
    last = "" if cause is None else f" ({cause.sentence})"
    if change.before == "half_open":
        event = f"opened again: its probe failed{last}"
    elif change.failures:
        among = "consecutive failures" if change.within is None else f"failures within {change.within:.0f} s"
        event = f"opened after {change.failures} {among}" + ("" if cause is None else f", the last: {cause.sentence}")
    else:
        event = f"opened{where}{last}"
    fields |= {"failures": change.failures, "probe_in": change.probe_in}
    _log.warning(
        "%s: circuit breaker %s; next probe in %s", change.target, event, show_seconds(change.probe_in), extra=fields
    )


def _log_cooldown(change: CooldownChange) -> None:
    fields = {"target": change.target, "scope": change.scope, "seconds": change.seconds}
    held, duration = _IN_COOLDOWN[change.scope], show_seconds(change.seconds)
    _log.info("%s: %s; %s in cooldown for %s", change.target, change.reason, held, duration, extra=fields)
