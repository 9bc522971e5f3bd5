"""Log lines of the logger ``unified_llm`` about attempts, calls and breakers, with structured fields in ``extra``.

Neither ever holds a key, a prompt, a response or a provider's message, so a log may be kept as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from unified_llm._policy.breaker import BreakerState
from unified_llm._policy.trace import Trace
from unified_llm.types.records import Attempt, Usage

_log = logging.getLogger("unified_llm")

# Fields of an attempt. Not its reason: the provider's error code, which a server may fill with anything.
_FIELDS: Final = ("target", "outcome", "status", "request_id", "seconds", "waited", "first_token", "retry")


def on_attempt(callback: Callable[[Attempt], None] | None) -> Callable[[Attempt], None]:
    """Return a function that logs an attempt and calls the user's callback, whose errors must not end the call."""
    if callback is None:
        return log_attempt

    def notify(attempt: Attempt) -> None:
        log_attempt(attempt)
        try:
            callback(attempt)
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("on_attempt raised %s; the call goes on", type(error).__name__)

    return notify


def log_attempt(attempt: Attempt) -> None:
    """Log an attempt: a retry at INFO, others at DEBUG."""
    level = logging.INFO if attempt.retry else logging.DEBUG
    if not _log.isEnabledFor(level):
        return
    fields = {name: getattr(attempt, name) for name in _FIELDS}
    if attempt.reason and attempt.outcome in {"skipped", "cancelled"}:  # then the reason is not the provider's
        _log.log(level, "%s: %s, %s", attempt.target, attempt.outcome, attempt.reason, extra=fields)
    elif attempt.retry:
        values = (attempt.target, attempt.outcome, attempt.seconds, attempt.waited)
        _log.log(level, "%s: %s after %.3f s, retried after a wait of %.3f s", *values, extra=fields)
    else:
        _log.log(level, "%s: %s after %.3f s", attempt.target, attempt.outcome, attempt.seconds, extra=fields)


def log_answer(trace: Trace, usage: Usage | None, seconds: float) -> None:
    """Log a response: at WARNING where a target failed before another served, at DEBUG otherwise.

    Args:
        trace: The attempts.
        usage: Tokens of the attempt that served, where its provider reports them.
        seconds: How long the whole call took.
    """
    served = trace.served
    # By identity: the same model in another region has the same name.
    failed = {target.name: kind for target, kind in trace.failed if target is not served}
    level = logging.WARNING if failed else logging.DEBUG
    if served is None or not _log.isEnabledFor(level):
        return
    fields: dict[str, Any] = {"target": served.name, "seconds": seconds, "attempts": trace.attempt_count}
    if usage is not None:
        fields |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    if failed:
        failures = ", ".join(f"{target} ({kind})" for target, kind in failed.items())
        _log.log(level, "%s answered in place of %s", served.name, failures, extra=fields)
    else:
        _log.log(level, "%s answered after %.3f s", served.name, seconds, extra=fields)


def log_breaker(target: str, before: BreakerState, after: BreakerState) -> None:
    """Log that the breaker of a target changed its state, at WARNING."""
    _log.warning("%s: breaker %s -> %s", target, before, after, extra={"target": target, "state": after})
