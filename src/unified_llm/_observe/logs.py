"""What the logger ``unified_llm`` says of calls, targets and breakers, and in which fields.

Lines are for people, the fields of ``extra`` for machines. Neither ever holds a key, a prompt, an answer or a
provider's own words, so there is nothing to switch off before a log may be kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from unified_llm._policy.breaker import State
from unified_llm._policy.trace import Trace
from unified_llm.types.records import Attempt, Usage

_log = logging.getLogger("unified_llm")

# Of an attempt. Not its reason: that is the provider's own code, which any server may fill with anything.
_FIELDS: Final = ("target", "outcome", "status", "request_id", "seconds", "waited", "first_token", "retry")


def observer(on_attempt: Callable[[Attempt], None] | None) -> Callable[[Attempt], None]:
    """What is told of each attempt: the log, then the user's callback, which must not cost them the answer."""
    if on_attempt is None:
        return log_attempt

    def observe(attempt: Attempt) -> None:
        log_attempt(attempt)
        try:
            on_attempt(attempt)
        except Exception as problem:  # noqa: BLE001 - see above
            _log.warning("on_attempt raised %s; the call goes on", type(problem).__name__)

    return observe


def log_attempt(attempt: Attempt) -> None:
    """One line for each attempt: INFO where a target was asked again, else DEBUG."""
    level = logging.INFO if attempt.retry else logging.DEBUG
    if not _log.isEnabledFor(level):
        return
    facts = {name: getattr(attempt, name) for name in _FIELDS}
    if attempt.reason and attempt.outcome in {"skipped", "cancelled"}:  # then it is a reason of our own
        _log.log(level, "%s: %s, %s", attempt.target, attempt.outcome, attempt.reason, extra=facts)
    elif attempt.retry:
        told = (attempt.target, attempt.outcome, attempt.seconds, attempt.waited)
        _log.log(level, "%s: %s after %.3f s, asked again after a wait of %.3f s", *told, extra=facts)
    else:
        _log.log(level, "%s: %s after %.3f s", attempt.target, attempt.outcome, attempt.seconds, extra=facts)


def log_answer(trace: Trace, usage: Usage | None, seconds: float) -> None:
    """One line for each answer: WARNING where a target failed before another answered, since nobody notices else.

    Args:
        trace: What was tried.
        usage: Tokens spent by the attempt that answered, where its provider said.
        seconds: How long the whole call took.
    """
    served = trace.served
    # By identity: the same model in another region has the same name.
    failed = {target.name: kind for target, kind in trace.failed if target is not served}
    level = logging.WARNING if failed else logging.DEBUG
    if served is None or not _log.isEnabledFor(level):
        return
    facts: dict[str, Any] = {"target": served.name, "seconds": seconds, "attempts": trace.asked}
    if usage is not None:
        facts |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    if failed:
        told = ", ".join(f"{target} ({kind})" for target, kind in failed.items())
        _log.log(level, "%s answered in place of %s", served.name, told, extra=facts)
    else:
        _log.log(level, "%s answered after %.3f s", served.name, seconds, extra=facts)


def log_breaker(target: str, before: State, after: State) -> None:
    """A target is left alone, or asked again: WARNING."""
    _log.warning("%s: breaker %s -> %s", target, before, after, extra={"target": target, "state": after})
