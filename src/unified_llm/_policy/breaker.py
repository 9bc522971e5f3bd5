"""A circuit breaker for one target: closed, open, half-open.

It opens after several failures in a row, or when half of at least ten recent outcomes failed. While it is open the
target is left alone; then one probe at a time is let through, and one success closes it. A failed probe makes the pause
longer, up to a limit.

Outcomes are stored here, thresholds are the caller's: two clients with different settings share one history.
The defaults (5 in a row, 30 s) come from a simulation of low traffic: with 3 in a row, 10 % random failures open a
healthy target about once in 15 minutes at one request a second; with 5, once in 150.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from unified_llm._core.target import BreakerConfig

_REMEMBERED: Final = 20
_ENOUGH: Final = 10
_BAD_SHARE: Final = 0.5
_MOST_DOUBLINGS: Final = 10

State: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to ask; given back exactly once, through ``settle``.

    Attributes:
        generation: The state it was given in. A result from an earlier state moves nothing.
        probe: It is the one probe of a half-open breaker.
    """

    generation: int
    probe: bool = False


class Circuit:
    """The history and state of one target. Not locked: its owner holds the lock."""

    __slots__ = ("_generation", "_in_a_row", "_outcomes", "_probing", "_trips", "_until")

    def __init__(self) -> None:
        """A closed circuit without history."""
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)
        self._in_a_row = 0
        self._until: float | None = None
        self._trips = 0
        self._generation = 0
        self._probing = False

    def state(self, now: float) -> State:
        """The state as of ``now``."""
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half_open"

    def force(self, now: float) -> Permit:
        """A permit in any state; the probe's, where a probe is due."""
        return self.admit(now) or self.follow()

    def admit(self, now: float) -> Permit | None:
        """A permit, or None when the target is to be left alone."""
        if self._until is None:
            return Permit(self._generation)
        if now < self._until or self._probing:
            return None
        self._probing = True
        return Permit(self._generation, probe=True)

    def follow(self) -> Permit:
        """A permit for what may still follow a success that was reported; it is never a probe's."""
        return Permit(self._generation)

    def would_admit(self, now: float) -> bool:
        """What ``admit`` would say, without taking a permit."""
        return self._until is None or (now >= self._until and not self._probing)

    @property
    def open_until(self) -> float | None:
        """The instant at which a probe is let through, or None while closed."""
        return self._until

    @property
    def trips(self) -> int:
        """How often it opened since it was last closed."""
        return self._trips

    @property
    def failures_in_a_row(self) -> int:
        """Weighted failures since the last success."""
        return self._in_a_row

    def settle(
        self, permit: Permit, *, ok: bool | None, weight: int, now: float, settings: BreakerConfig, draw: float
    ) -> None:
        """Give a permit back with its outcome: True, False, or None where nothing can be said (cancelled ...).

        Args:
            permit: As given by ``admit``.
            ok: The outcome.
            weight: How many failures a failure counts for; 0 records nothing.
            now: The present instant.
            settings: The caller's thresholds.
            draw: A uniform draw from 0 to 1, which spreads the ends of cooldowns by a fifth either way.
        """
        if permit.generation != self._generation:
            return
        if permit.probe:
            self._probing = False
        if ok is None or (not ok and weight == 0):
            return
        if self._until is not None:
            self._settle_open(permit, ok=ok, now=now, settings=settings, draw=draw)
            return
        for _ in range(1 if ok else weight):
            self._outcomes.append((now, ok))
        self._in_a_row = 0 if ok else self._in_a_row + weight
        if not ok and self._too_bad(now, settings):
            self._trips = 0
            self._open(now, settings, draw)

    def learn_open(self, until: float, trips: int) -> None:
        """Take over that another process found the target dead; what is under way here says nothing of that state.

        Args:
            until: When a probe is let through. A longer pause of its own stays.
            trips: How often the other's breaker opened: a failed probe here makes the pause as long as there.
        """
        if self._until is None:
            self._trips = trips
        elif self._until >= until:
            return
        else:
            self._trips = max(self._trips, trips)
        self._until = until
        self._probing = False
        self._generation += 1

    def learn_closed(self) -> None:
        """Take over that the target answered another process."""
        if self._until is not None:
            self._close()

    def _settle_open(self, permit: Permit, *, ok: bool, now: float, settings: BreakerConfig, draw: float) -> None:
        if ok:
            self._close()
        elif permit.probe:
            self._open(now, settings, draw)

    def _close(self) -> None:
        self._outcomes.clear()
        self._in_a_row = 0
        self._until = None
        self._generation += 1

    def _open(self, now: float, settings: BreakerConfig, draw: float) -> None:
        pause = min(settings.cooldown_max, settings.cooldown * 2.0 ** min(self._trips, _MOST_DOUBLINGS))
        self._until = now + pause * (0.8 + 0.4 * draw)
        self._trips += 1
        self._probing = False
        self._generation += 1

    def _too_bad(self, now: float, settings: BreakerConfig) -> bool:
        if self._in_a_row >= settings.failures:
            return True
        recent = [ok for at, ok in self._outcomes if now - at <= settings.window]
        return len(recent) >= _ENOUGH and recent.count(False) / len(recent) >= _BAD_SHARE
