"""What this process knows of every target: one registry, shared by all clients and surfaces.

A LangChain agent and a LlamaIndex query engine learn of an outage once. The registry holds a circuit and a retry budget
for each target, and holds: instants before which a key, a rate limit or a target must not be asked again.

One lock guards it, held for a few operations and never across I/O or a callback. ``settle`` takes no lock at all: it
may run in a generator's ``finally`` inside the garbage collector of the very thread that holds the lock, so it only
appends to a queue that the next caller drains. The lock is re-entrant for the sake of that same moment: a user's
callback, told there of an attempt's end, may ask for a snapshot.

Other processes can be told what this one finds out, and the other way round: through a ``HealthPublisher``, which never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.target import BreakerConfig, Target
from unified_llm._policy.breaker import Circuit, Permit, State
from unified_llm._policy.budgets import RetryBudget
from unified_llm._policy.health_updates import (
    BreakerClosed,
    BreakerOpened,
    CooldownStarted,
    HealthPublisher,
    HealthUpdate,
)

# Models named per call could make the registry grow without end; the least recently seen go first.
_MOST_TARGETS: Final = 4096
# Seconds for which others are told that a breaker closed; by then all have heard it.
_TOLD_FOR: Final = 60.0
# Whoever learned of an outage from others probes up to a fifth later than who saw it, whose probe answers for all.
_LAG: Final = 0.2


@dataclass(frozen=True, slots=True)
class Refusal:
    """The target should not be asked now.

    Attributes:
        until: When it may be, as far as is known.
        reason: For people.
        wait: Whether waiting until then makes sense (a rate limit), or asking anyway does (an open breaker).
    """

    until: float
    reason: str
    wait: bool


@dataclass(slots=True)
class _Known:
    name: str
    circuit: Circuit = field(default_factory=Circuit)
    budget: RetryBudget = field(default_factory=RetryBudget)


@dataclass(frozen=True, slots=True)
class _Settled:
    key: Hashable
    permit: Permit
    ok: bool | None
    weight: int
    first_try: bool
    now: float
    settings: BreakerConfig
    draw: float


class Health:
    """The registry.

    Args:
        on_change: Called without the lock when a target's state changes: name, old state, new state.
    """

    def __init__(self, on_change: Callable[[str, State, State], None] | None = None) -> None:
        """An empty registry."""
        self._lock = threading.RLock()
        self._known: dict[Hashable, _Known] = {}
        self._holds: dict[Hashable, tuple[float, str, bool]] = {}
        self._settled: deque[_Settled] = deque()
        self._changes: deque[tuple[str, State, State]] = deque()
        self._line: HealthPublisher | None = None
        self._on_change = on_change

    def attach(self, line: HealthPublisher | None) -> None:
        """Tell other processes what is found out here; None tells nobody any more.

        The line is told while the lock is held, so that news leaves in the order in which it came true.
        """
        self._line = line

    def learn(self, fact: HealthUpdate, now: float, draw: float) -> None:
        """Take in what another process found out. It is not told on.

        Args:
            fact: Its instants are those of this process's clock.
            now: The present instant.
            draw: A uniform draw from 0 to 1, which spreads the probes of those who learned of the same outage.
        """
        with self._lock:
            self._drain()
            match fact:
                case CooldownStarted(key, until, reason, wait):
                    self._hold(key, until, reason, wait=wait)
                case BreakerOpened(key, until, name, trips):
                    known = self._known.get(key) or self._enter(key, name)
                    before = known.circuit.state(now)
                    known.circuit.learn_open(until + (until - now) * _LAG * draw, trips)
                    self._note(known, before, now)
                case BreakerClosed(key):
                    if closing := self._known.get(key):
                        before = closing.circuit.state(now)
                        closing.circuit.learn_closed()
                        self._note(closing, before, now)
        self._tell()

    def catch_up(self) -> None:
        """Draw the consequences of what was settled; else the next call does, and there may be none for a long time."""
        with self._lock:
            self._drain()
        self._tell()

    def renew_lock(self) -> None:
        """After a fork: the lock may have been held by a thread that does not exist here."""
        self._lock = threading.RLock()

    def admit(self, target: Target, now: float) -> Permit | Refusal:
        """Ask for leave to ask."""
        if line := self._line:
            line.wake()
        with self._lock:
            self._drain()
            circuit = self._entry(target).circuit
            answer = self._held(target, now) or circuit.admit(now)
            if answer is None:
                answer = Refusal(max(now, circuit.open_until or now), "breaker open", wait=False)
        self._tell()
        return answer

    def force(self, target: Target, now: float) -> Permit:
        """Leave to ask in any state: a call must not fail while a target has not been asked."""
        with self._lock:
            self._drain()
            permit = self._entry(target).circuit.force(now)
        self._tell()
        return permit

    def ready(self, target: Target, now: float) -> bool:
        """Whether ``admit`` would give leave; takes nothing."""
        with self._lock:
            self._drain()
            answer = self._held(target, now) is None and self._entry(target).circuit.would_admit(now)
        self._tell()
        return answer

    def settle(
        self, target: Target, permit: Permit, *, ok: bool | None, weight: int, first_try: bool, now: float, draw: float
    ) -> None:
        """Give a permit back with its outcome (see ``Circuit.settle``). Takes no lock, so it may run anywhere."""
        self._settled.append(
            _Settled(target.health_key, permit, ok, weight, first_try, now, target.breaker, draw),
        )

    def follow(self, target: Target) -> Permit:
        """A permit for what may still follow a success that was reported: a stream can break after its first chunk."""
        with self._lock:
            self._drain()
            permit = self._entry(target).circuit.follow()
        self._tell()
        return permit

    def may_retry(self, target: Target, at: float, *, free: bool) -> bool:
        """Whether the target may be asked again at an instant: its breaker is not open then, its budget not empty."""
        with self._lock:
            self._drain()
            known = self._entry(target)
            answer = known.circuit.would_admit(at) and (free or known.budget.enough)
        self._tell()
        return answer

    def spend_retry(self, target: Target) -> None:
        """A retry is made: take it from the target's budget."""
        with self._lock:
            self._entry(target).budget.spend()

    def hold(self, key: Hashable, until: float, reason: str, *, wait: bool) -> None:
        """Leave everything with this key alone until an instant; an earlier, longer hold stays."""
        with self._lock:
            if self._hold(key, until, reason, wait=wait) and (line := self._line):
                line.tell(CooldownStarted(key, until, reason, wait))

    def snapshot(self, now: float) -> list[dict[str, Any]]:
        """One plain dict for each known target: ``target``, ``state``, ``failures``, ``retry_budget``, ``retry_in``."""
        with self._lock:
            self._drain()
            rows = [
                {
                    "target": known.name,
                    "state": known.circuit.state(now),
                    "failures": known.circuit.failures_in_a_row,
                    "retry_budget": round(known.budget.tokens, 1),
                    "retry_in": max(0.0, round((known.circuit.open_until or now) - now, 3)),
                }
                for known in list(self._known.values())
            ]
        self._tell()
        return rows

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._settled.clear()
            self._changes.clear()
            self._known.clear()
            self._holds.clear()

    def _entry(self, target: Target) -> _Known:
        return self._enter(target.health_key, target.name)

    def _enter(self, key: Hashable, name: str) -> _Known:
        known = self._known.pop(key, None) or _Known(name)
        self._known[key] = known
        if len(self._known) > _MOST_TARGETS:
            del self._known[next(iter(self._known))]
        return known

    def _hold(self, key: Hashable, until: float, reason: str, *, wait: bool) -> bool:
        """Whether the hold is longer than the one that was there."""
        known = self._holds.get(key)
        if known is not None and known[0] >= until:
            return False
        self._holds[key] = (until, reason, wait)
        if len(self._holds) > _MOST_TARGETS:
            del self._holds[next(iter(self._holds))]
        return True

    def _held(self, target: Target, now: float) -> Refusal | None:
        if not self._holds:
            return None
        for key in (target.credentials_key, target.limit_key, target.health_key):
            held = self._holds.get(key)
            if held is None:
                continue
            until, reason, wait = held
            if until > now:
                return Refusal(until, reason, wait)
            del self._holds[key]
        return None

    def _drain(self) -> None:
        while self._settled:
            each = self._settled.popleft()
            known = self._known.get(each.key)
            if known is None:
                continue
            before = known.circuit.state(each.now)
            known.circuit.settle(
                each.permit, ok=each.ok, weight=each.weight, now=each.now, settings=each.settings, draw=each.draw
            )
            if each.ok and each.first_try:
                known.budget.earn()
            if self._note(known, before, each.now) and (line := self._line):
                line.tell(_news_of(each.key, known, each.now))

    def _note(self, known: _Known, before: State, now: float) -> bool:
        """Whether the state of a target is another than before; if so, that will be told."""
        after = known.circuit.state(now)
        if before != after:
            self._changes.append((known.name, before, after))
        return before != after

    def _tell(self) -> None:
        with suppress(IndexError):  # another thread may have told the last one
            while self._changes:
                change = self._changes.popleft()
                if self._on_change:
                    self._on_change(*change)


def _news_of(key: Hashable, known: _Known, now: float) -> HealthUpdate:
    until = known.circuit.open_until
    return (
        BreakerClosed(key, now + _TOLD_FOR)
        if until is None
        else BreakerOpened(key, until, known.name, known.circuit.trips)
    )
