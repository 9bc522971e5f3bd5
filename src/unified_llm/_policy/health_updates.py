"""What one process may tell another of a target.

Policy finds these facts out and takes them in; how they travel is the business of ``_state/``. Instants are those of
this process's own clock: on the way they are durations, since no two processes have the same clock.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """A breaker opened.

    Attributes:
        key: The ``health_key`` of its target.
        until: When a probe is let through.
        name: The target's name, for people.
        trips: How often it opened since it was last closed, which makes the next cooldown longer.
    """

    key: Hashable
    until: float
    name: str
    trips: int


@dataclass(frozen=True, slots=True)
class BreakerClosed:
    """A breaker closed: the target answers again.

    Attributes:
        key: The ``health_key`` of its target.
        until: When this is no news any more.
    """

    key: Hashable
    until: float


@dataclass(frozen=True, slots=True)
class CooldownStarted:
    """A key, a rate limit or a target is to be left alone.

    Attributes:
        key: The ``credentials_key``, ``limit_key`` or ``health_key`` of a target.
        until: When it may be asked again.
        reason: For people.
        wait: Whether waiting until then makes sense.
    """

    key: Hashable
    until: float
    reason: str
    wait: bool


HealthUpdate: TypeAlias = BreakerOpened | BreakerClosed | CooldownStarted


class HealthPublisher(Protocol):
    """The way to other processes. Neither method waits for one, or for a network."""

    def wake(self) -> None:
        """This process is making a call: now is the time to listen, if nobody does."""
        ...

    def tell(self, fact: HealthUpdate) -> None:
        """Pass a fact on. Takes no lock: it is called while the registry's is held, even in the garbage collector."""
        ...
