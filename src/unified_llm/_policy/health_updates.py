"""Updates on the health of targets that processes share.

The policy creates and applies them; ``_state/`` transports them. Instants are those of this process's own clock; they
travel as durations, since no two processes have the same clock.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from unified_llm._policy.health_changes import LastFailure


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """Update: a breaker opened. Whoever receives it judges by the settings of its own callers.

    Attributes:
        key: The ``health_key`` of its target.
        opened: The instant at which it opened.
        until: The instant at which a probe is admitted.
        name: The target's name, for the log.
        trips: How often it opened since it was last closed, which makes the next cooldown longer.
        failures: How many failures opened it; callers who want more evidence stay closed.
        limit: Seconds after which the failures that were timeouts had passed, the shortest of them: callers who wait
            longer stay closed. None where none was a timeout.
        last_failure: The failure after which it opened, for snapshots and the log.
    """

    key: Hashable
    opened: float
    until: float
    name: str
    trips: int
    failures: int
    limit: float | None = None
    last_failure: LastFailure | None = None


@dataclass(frozen=True, slots=True)
class BreakerClosed:
    """Update: a breaker closed, since the target answers again.

    Attributes:
        key: The ``health_key`` of its target.
        until: The instant after which the update need not be shared any more.
    """

    key: Hashable
    until: float


@dataclass(frozen=True, slots=True)
class CooldownStarted:
    """Update: an API key, a rate limit or a target gets no request for a while.

    Attributes:
        key: The ``credentials_key``, ``limit_key`` or ``health_key`` of a target.
        until: The instant at which the cooldown is over.
        reason: Text for the trace and the log.
        wait: Whether a call may wait until then.
    """

    key: Hashable
    until: float
    reason: str
    wait: bool


HealthUpdate: TypeAlias = BreakerOpened | BreakerClosed | CooldownStarted


class HealthPublisher(Protocol):
    """Shares updates with other processes. Neither method waits for one of them, or for a network."""

    def wake(self) -> None:
        """Start receiving updates, if nothing does yet: this process is making a call."""
        ...

    def publish(self, update: HealthUpdate) -> None:
        """Queue an update. Takes no lock: it runs while the registry's lock is held, even in the garbage collector."""
        ...
