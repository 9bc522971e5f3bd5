"""Circuit breaker of one target, as one kind of caller judges it: closed, open, half-open.

            failures in a row, or half of >= 10
                 recent outcomes failed
   CLOSED ------------------------------------> OPEN <------------+
     ^ ^                                        |  |              |
     | +---- success of a forced request -------+  | cooldown     | probe failed:
     |                                             | over         | cooldown doubles,
     |                                             v              | up to a limit
     +--------------- probe succeeded ---------- HALF-OPEN -------+
                                             (one probe at a time)

Half-open is no stored state: the breaker is open until an instant, and half-open after it.

What happened is shared, what follows from it is not. The events of a target form one log (``target_health``), and every
kind of caller, which is its ``BreakerConfig`` and the seconds that it waits for an answer, has a breaker that applies
them by its own thresholds:

    log of the target      1 failure   2 timeout (passed: 0.05 s)   3 failure   4 success after 0.4 s
    caller that waits 60 s     x           - it waits longer            x           closes
    caller that waits 0.05 s   x           x                            x           - it would not have waited

Events are numbered, and a request remembers the last number before it was sent: an outcome of a request from before a
breaker opened or closed changes nothing there.

The defaults (5 in a row, 30 s) come from a simulation of low traffic: with 3 in a row, 10 % random failures open a
healthy target about once in 15 minutes at one request a second; with 5, once in 150.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, NamedTuple, TypeAlias

from unified_llm._core.target import BreakerConfig

_MAX_OUTCOMES: Final = 20
_MIN_OUTCOMES: Final = 10
_MAX_FAILURE_RATE: Final = 0.5
_MAX_DOUBLINGS: Final = 10
# The ends of cooldowns are spread by a fifth either way. A breaker that another process reported open probes up to a
# fifth later than that process, whose probe serves all.
_SPREAD: Final = 0.2

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]


class Outcome(NamedTuple):
    """Event: a request succeeded or failed.

    Attributes:
        number: Its number in the target's log.
        asked: The number of the last event before the request was sent.
        now: The instant.
        ok: Whether it succeeded.
        weight: How many failures it counts for.
        limit: Seconds until an answer, or those after which a timeout passed. None for other failures, which concern
            all callers.
        probe_since: The instant at which it was admitted as a probe; None where it was none.
        draw: A uniform draw from 0 to 1, which spreads the ends of cooldowns.
        shared: A failure is that of the target, rather than of this process (its look-ups, its proxy).
    """

    number: int
    asked: int
    now: float
    ok: bool
    weight: int
    limit: float | None
    probe_since: float | None
    draw: float
    shared: bool = True


class OpenedElsewhere(NamedTuple):
    """Event: the breaker of another process opened (``health_updates.BreakerOpened`` explains the fields)."""

    number: int
    now: float
    opened: float
    until: float
    trips: int
    failures: int
    limit: float | None
    draw: float


class ClosedElsewhere(NamedTuple):
    """Event: the target answered another process."""

    number: int
    now: float


Event: TypeAlias = Outcome | OpenedElsewhere | ClosedElsewhere


class CircuitBreaker:
    """Judgement of one kind of caller about one target; a new breaker is closed. Its owner holds the lock.

    Args:
        settings: The caller's thresholds.
        limit: Seconds that the caller waits for an answer.

    Attributes:
        open_until: The instant at which a probe is admitted, or None while closed.
        trips: How often it opened since it was last closed.
        consecutive_failures: Weighted failures since the last success.
        evidence: The failures that opened it, and the shortest limit among those that were timeouts.
        opened_by: How many failed requests opened it: a failure with a weight counts once.
        shared: All of them are failures of the target, so that other processes are told.
    """

    __slots__ = (
        "_changed_at",
        "_outcomes",
        "consecutive_failures",
        "evidence",
        "limit",
        "open_until",
        "opened_by",
        "settings",
        "shared",
        "trips",
    )

    def __init__(self, settings: BreakerConfig, limit: float) -> None:
        self.settings, self.limit = settings, limit
        self.open_until: float | None = None
        self.trips = 0
        self.consecutive_failures = 0
        self.evidence: tuple[int, float | None] = (0, None)
        self.opened_by = 0
        self.shared = True
        self._outcomes: deque[Outcome] = deque(maxlen=_MAX_OUTCOMES)
        self._changed_at = 0

    def state(self, now: float) -> BreakerState:
        """Return the state as of ``now``."""
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    @property
    def in_a_row(self) -> bool:
        """Return whether the last failures were consecutive, and enough to open it."""
        return self.consecutive_failures >= self.settings.failures

    def apply(self, event: Event) -> BreakerState | None:
        """Apply the next event of the target's log; return the state before it if it opened or closed this breaker."""
        match event:
            case Outcome():
                return self._apply_outcome(event) if self._concerns(event) else None
            case OpenedElsewhere():
                return self._apply_report(event)
            case ClosedElsewhere():
                return None if self.open_until is None else self._close(event.number, event.now)

    def _concerns(self, outcome: Outcome) -> bool:
        """Return whether this caller would have seen the same outcome, after the last change of this breaker."""
        if outcome.asked < self._changed_at:
            return False
        limit = outcome.limit
        return limit is None or (limit <= self.limit if outcome.ok else limit >= self.limit)

    def _apply_outcome(self, outcome: Outcome) -> BreakerState | None:
        if self.open_until is not None:
            if outcome.ok:
                return self._close(outcome.number, outcome.now)
            # A probe is that of every caller whose breaker was half-open when it was sent.
            if outcome.probe_since is not None and self.open_until <= outcome.probe_since:
                self.shared = self.shared and outcome.shared
                return self._open(outcome)
            return None
        for _ in range(1 if outcome.ok else outcome.weight):
            self._outcomes.append(outcome)
        if outcome.ok:
            self.consecutive_failures = 0
            return None
        self.consecutive_failures += outcome.weight
        failures = self._find_evidence(outcome.now)
        if failures is None:
            return None
        limits = [failure.limit for failure in failures if failure.limit is not None]
        self.evidence = max(len(failures), self.consecutive_failures), min(limits, default=None)
        self.opened_by = len({failure.number for failure in failures})
        self.shared = all(failure.shared for failure in failures)
        self.trips = 0
        return self._open(outcome)

    def _find_evidence(self, now: float) -> list[Outcome] | None:
        """Return the failures that open this breaker, a weighted one more than once; None where they are too few."""
        if self.in_a_row:
            # Of a row that others have begun, only the end is here: successes come before it.
            return [outcome for outcome in list(self._outcomes)[-self.consecutive_failures :] if not outcome.ok]
        if len(self._outcomes) < _MIN_OUTCOMES:
            return None
        recent = [outcome for outcome in self._outcomes if now - outcome.now <= self.settings.window]
        failures = [outcome for outcome in recent if not outcome.ok]
        enough = len(recent) >= _MIN_OUTCOMES and len(failures) / len(recent) >= _MAX_FAILURE_RATE
        return failures if enough else None

    def _open(self, outcome: Outcome) -> BreakerState:
        self.trips += 1
        seconds = self._cooldown(self.trips) * (1 - _SPREAD + 2 * _SPREAD * outcome.draw)
        return self._change(outcome.number, outcome.now, outcome.now + seconds)

    def _close(self, number: int, now: float) -> BreakerState:
        self._outcomes.clear()
        self.consecutive_failures = 0
        return self._change(number, now, None)

    def _change(self, number: int, now: float, until: float | None) -> BreakerState:
        before = self.state(now)
        self.open_until, self._changed_at = until, number
        return before

    def _cooldown(self, trips: int) -> float:
        """Return the seconds of the cooldown after a number of trips."""
        return min(self.settings.cooldown_max, self.settings.cooldown * 2.0 ** min(trips - 1, _MAX_DOUBLINGS))

    def _apply_report(self, event: OpenedElsewhere) -> BreakerState | None:
        """Open as far as these settings would have: by failures that concern this caller, for its own cooldown.

        A longer cooldown that runs here stays.
        """
        if event.limit is not None and event.limit < self.limit:
            return None
        if self.open_until is None:
            self.consecutive_failures = max(self.consecutive_failures, event.failures)
            if event.failures < self.settings.failures:
                return None
            self.evidence, self.shared, self.trips = (event.failures, event.limit), True, 0
        trips, until = self._read_cooldown(event)
        if self.open_until is not None and until <= self.open_until:
            return None
        self.trips = max(self.trips, trips)
        return self._change(event.number, event.now, until)

    def _read_cooldown(self, event: OpenedElsewhere) -> tuple[int, float]:
        """Return how often this breaker would have opened by now, and until when.

        Where both processes have the same settings, that is what the other one reported. Where a short cooldown makes
        the other one open more often, this one counts the trips that take as long.
        """
        seconds, trips = event.until - event.opened, 1
        while trips < min(event.trips, _MAX_DOUBLINGS) and self._cooldown(trips) * (1 + _SPREAD) < seconds:
            trips += 1
        own = self._cooldown(trips)
        seconds = min(max(seconds, own * (1 - _SPREAD)), own * (1 + _SPREAD))
        return trips, event.opened + seconds * (1 + _SPREAD * event.draw)
