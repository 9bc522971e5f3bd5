"""What the registry remembers and reports of a target: its last failure, changes of its breaker, cooldowns."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeAlias

from unified_llm._policy.breaker import BreakerState
from unified_llm._policy.cooldowns import CooldownScope


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The last request to a target that failed.

    Attributes:
        kind: The kind of failure.
        status: The HTTP status, if one came.
        sentence: What happened, in words (``str(attempt)``).
        at: The instant at which it ended.
        elsewhere: Another process saw it, and shared it with this one.
    """

    kind: str
    status: int | None
    sentence: str
    at: float
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A change of state of a target's breaker, for the log.

    Attributes:
        target: The target's name.
        before: The state before.
        after: The state after.
        failures: How many failed requests opened it; 0 for other changes.
        within: Seconds within which they failed, where they were not consecutive.
        cause: The last failure, where it opened.
        probe_in: Seconds until an open breaker admits a probe.
        elsewhere: Another process found it, and shared it with this one.
    """

    target: str
    before: BreakerState
    after: BreakerState
    failures: int = 0
    within: float | None = None
    cause: LastFailure | None = None
    probe_in: float = 0.0
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class CooldownChange:
    """A cooldown that started, for the log.

    Attributes:
        target: The name of the target whose response started it.
        scope: What gets no request: its API key, its rate limit, or the target itself.
        reason: Why, in words.
        seconds: How long it lasts.
    """

    target: str
    scope: CooldownScope
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """Something happened to a target that is watched (``Health.watch``): a success, a failure, a change of its breaker.

    Attributes:
        key: The target's ``health_key``.
    """

    key: Hashable


HealthChange: TypeAlias = BreakerChange | CooldownChange | ConditionChange
