"""The one registry of this process, and the log lines that go with it."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from unified_llm import runtime
from unified_llm.policy.breaker import State
from unified_llm.policy.health import Health
from unified_llm.policy.trace import Trace
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
    """One line for each attempt, INFO where it failed, else DEBUG; nothing in it could be a key or a prompt."""
    level = logging.DEBUG if attempt.outcome in {"ok", "skipped", "cancelled"} else logging.INFO
    if _log.isEnabledFor(level):
        facts = {name: getattr(attempt, name) for name in ("target", "outcome", "status", "request_id", "seconds")}
        _log.log(level, "%s: %s after %.3f s", attempt.target, attempt.outcome, attempt.seconds, extra=facts)


def log_failover(trace: Trace) -> None:
    """One WARNING when another target answered than one that was asked before it: a dead primary must be visible."""
    served = trace.served
    # By identity: the same model in another region has the same name.
    failed = {target.name: kind for target, kind in trace.failed if target is not served}
    if served and failed:
        told = ", ".join(f"{target} ({kind})" for target, kind in failed.items())
        _log.warning("%s answered in place of %s", served.name, told, extra={"target": served.name})
