"""Circuit breaker of one target: closed, open, half-open.

            failures in a row, or half of >= 10
                 recent outcomes failed
   CLOSED ------------------------------------> OPEN <------------+
     ^ ^                                        |  |              |
     | +---- success of a forced request -------+  | cooldown     | probe failed:
     |                                             | over         | cooldown doubles,
     |                                             v              | up to a limit
     +--------------- probe succeeded ---------- HALF-OPEN -------+
                                             (one probe at a time)

Half-open is no stored state: the breaker is open until an instant, and half-open after it. Every change to closed or
open begins a new generation; an outcome whose permit is of an earlier one changes nothing.

Outcomes are stored here; thresholds come from the caller: two clients with different settings share one history.
The defaults (5 in a row, 30 s) come from a simulation of low traffic: with 3 in a row, 10 % random failures open a
healthy target about once in 15 minutes at one request a second; with 5, once in 150.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from unified_llm._core.target import BreakerConfig

_MAX_OUTCOMES: Final = 20
_MIN_OUTCOMES: Final = 10
_MAX_FAILURE_RATE: Final = 0.5
_MAX_DOUBLINGS: Final = 10

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one request, returned exactly once, through ``record_outcome``.

    Attributes:
        generation: The generation of the breaker in which it was issued.
        probe: It is for the one probe of a half-open breaker.
    """

    generation: int
    probe: bool = False


class CircuitBreaker:
    """History and state of one target; a new breaker is closed. Not thread-safe: its owner holds the lock."""

    __slots__ = ("_consecutive_failures", "_generation", "_outcomes", "_probing", "_trips", "_until")

    def __init__(self) -> None:
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=_MAX_OUTCOMES)
        self._consecutive_failures = 0
        self._until: float | None = None
        self._trips = 0
        self._generation = 0
        self._probing = False

    def state(self, now: float) -> BreakerState:
        """Return the state as of ``now``."""
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half_open"

    def force(self, now: float) -> Permit:
        """Return a permit in any state; that of the probe, where a probe is due."""
        return self.admit(now) or self.follow_up()

    def admit(self, now: float) -> Permit | None:
        """Return a permit, or None while open and while a probe is in progress."""
        if self._until is None:
            return Permit(self._generation)
        if now < self._until or self._probing:
            return None
        self._probing = True
        return Permit(self._generation, probe=True)

    def follow_up(self) -> Permit:
        """Return a permit for the rest of a stream whose first chunk was recorded as a success; it is no probe's."""
        return Permit(self._generation)

    def would_admit(self, now: float) -> bool:
        """Return whether ``admit`` would return a permit, without taking one."""
        return self._until is None or (now >= self._until and not self._probing)

    @property
    def open_until(self) -> float | None:
        """The instant at which a probe is admitted, or None while closed."""
        return self._until

    @property
    def trips(self) -> int:
        """Return how often it opened since it was last closed."""
        return self._trips

    @property
    def consecutive_failures(self) -> int:
        """Weighted failures since the last success."""
        return self._consecutive_failures

    def record_outcome(
        self, permit: Permit, *, ok: bool | None, weight: int, now: float, settings: BreakerConfig, draw: float
    ) -> None:
        """Record the outcome of a request and take its permit back.

        Args:
            permit: As returned by ``admit``, ``force`` or ``follow_up``.
            ok: True (success), False (failure), or None where the outcome shows nothing (cancelled ...).
            weight: How many failures a failure counts for; 0 records nothing.
            now: The current instant.
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
            self._record_while_open(permit, ok=ok, now=now, settings=settings, draw=draw)
            return
        for _ in range(1 if ok else weight):
            self._outcomes.append((now, ok))
        self._consecutive_failures = 0 if ok else self._consecutive_failures + weight
        if not ok and self._should_open(now, settings):
            self._trips = 0
            self._open(now, settings, draw)

    def apply_remote_open(self, until: float, trips: int) -> None:
        """Open because the breaker of another process opened; outcomes of requests in progress here are ignored.

        Args:
            until: The instant at which a probe is admitted. A longer cooldown that runs here stays.
            trips: How often the other breaker opened: a failed probe here makes the cooldown as long as there.
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

    def apply_remote_close(self) -> None:
        """Close because the target answered another process."""
        if self._until is not None:
            self._close()

    def _record_while_open(self, permit: Permit, *, ok: bool, now: float, settings: BreakerConfig, draw: float) -> None:
        if ok:
            self._close()
        elif permit.probe:
            self._open(now, settings, draw)

    def _close(self) -> None:
        self._outcomes.clear()
        self._consecutive_failures = 0
        self._until = None
        self._generation += 1

    def _open(self, now: float, settings: BreakerConfig, draw: float) -> None:
        cooldown = min(settings.cooldown_max, settings.cooldown * 2.0 ** min(self._trips, _MAX_DOUBLINGS))
        self._until = now + cooldown * (0.8 + 0.4 * draw)
        self._trips += 1
        self._probing = False
        self._generation += 1

    def _should_open(self, now: float, settings: BreakerConfig) -> bool:
        if self._consecutive_failures >= settings.failures:
            return True
        recent = [ok for at, ok in self._outcomes if now - at <= settings.window]
        return len(recent) >= _MIN_OUTCOMES and recent.count(False) / len(recent) >= _MAX_FAILURE_RATE
