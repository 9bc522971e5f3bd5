"""The one registry of this process, and the log lines that go with it."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from unified_llm import runtime
from unified_llm.policy.breaker import State
from unified_llm.policy.health import Health
from unified_llm.types import Attempt

_log = logging.getLogger("unified_llm")


def _log_change(target: str, before: State, after: State) -> None:
    _log.warning("%s: breaker %s -> %s", target, before, after, extra={"target": target, "state": after})


HEALTH: Final = Health(_log_change)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HEALTH.renew_lock)


def health_snapshot() -> list[dict[str, Any]]:
    """What this process knows of every target it has asked.

    Returns:
        One plain dict for each: ``target``, ``state`` (``closed``, ``open``, ``half_open``), ``failures`` in a row,
        ``retry_budget`` (tokens, 10 when full), ``retry_in`` (seconds until an open breaker lets a probe through).
    """
    return HEALTH.snapshot(runtime.current().now())


def reset_health() -> None:
    """Forget every outcome, breaker, budget and hold of this process."""
    HEALTH.reset()


def log_attempt(attempt: Attempt) -> None:
    """One DEBUG line for each attempt; nothing in it could be a key, a prompt or an answer."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug(
            "%s: %s after %.3f s",
            attempt.target,
            attempt.outcome,
            attempt.seconds,
            extra={"target": attempt.target, "outcome": attempt.outcome, "status": attempt.status},
        )


def log_failover(attempts: list[Attempt]) -> None:
    """One WARNING when another target answered than one that was asked before it: a dead primary must be visible."""
    served = attempts[-1].target
    failed = [
        f"{each.target} ({each.outcome})" for each in attempts if each.target != served and each.outcome != "skipped"
    ]
    if failed:
        _log.warning("%s answered in place of %s", served, ", ".join(failed), extra={"target": served})
