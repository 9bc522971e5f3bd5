"""Registry of the health of every target in this process, shared by all clients and adapters.

A LangChain agent and a LlamaIndex query engine thus detect an outage once. The registry holds a circuit breaker and a
retry budget for each target, and cooldowns: instants before which an API key, a rate limit or a target gets no request.

One lock guards it. It is held for a few operations, never across I/O or a callback. ``record_outcome`` takes no lock:
it may run in a generator's ``finally``, inside the garbage collector, in the very thread that holds the lock. So it
only appends to a queue, which the next call that takes the lock applies. The lock is re-entrant for the same reason: a
user's callback at the end of an attempt, which runs there too, may request a snapshot.

Health is shared with other processes through a ``HealthPublisher``, which never blocks, and ``apply_update``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.target import BreakerConfig, Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm._policy.breaker import BreakerState, CircuitBreaker, Permit
from unified_llm._policy.budgets import RetryBudget
from unified_llm._policy.health_updates import (
    BreakerClosed,
    BreakerOpened,
    CooldownStarted,
    HealthPublisher,
    HealthUpdate,
)

# Models named per call could make the registry grow without bound; the least recently used are dropped first.
_MAX_TARGETS: Final = 4096
# Seconds for which the update that a breaker closed is worth sharing; by then every process has read it.
_CLOSED_UPDATE_LIFETIME: Final = 60.0
# A breaker opened by another process's update probes up to a fifth later than that process, whose probe serves all.
_REMOTE_PROBE_DELAY: Final = 0.2


@dataclass(frozen=True, slots=True)
class Refusal:
    """No request should go to the target now.

    Attributes:
        until: The instant at which one may, as far as is known.
        reason: Text for the trace and the log.
        wait: Whether to wait until then (a rate limit), or rather to try anyway (an open breaker).
    """

    until: float
    reason: str
    wait: bool


@dataclass(slots=True)
class _TargetHealth:
    name: str
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    budget: RetryBudget = field(default_factory=RetryBudget)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Arguments of ``record_outcome``, queued until the lock is held."""

    key: Hashable
    permit: Permit
    ok: bool | None
    weight: int
    first_try: bool
    now: float
    settings: BreakerConfig
    draw: float
    cause: str


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A change of state of a target's breaker, for the log.

    Attributes:
        target: The target's name.
        before: The state before.
        after: The state after.
        failures: Weighted failures in a row before the change.
        cause: The failure that opened the breaker, in words; empty for other changes.
        probe_in: Seconds until an open breaker admits a probe.
    """

    target: str
    before: BreakerState
    after: BreakerState
    failures: int = 0
    cause: str = ""
    probe_in: float = 0.0


class Health:
    """Registry of breakers, retry budgets and cooldowns; a new one is empty.

    Thread-safe. Each public method takes the lock for its own duration, unless its docstring notes an exception; the
    private ones are grouped by whether their caller holds it.

    Args:
        on_change: Called without the lock when the state of a target's breaker changes.
    """

    def __init__(self, on_change: Callable[[BreakerChange], None] | None = None) -> None:
        self._lock = make_lock()
        self._targets: dict[Hashable, _TargetHealth] = {}
        self._cooldowns: dict[Hashable, tuple[float, str, bool]] = {}
        self._outcomes: deque[_Outcome] = deque()
        self._changes: deque[BreakerChange] = deque()
        self._publisher: HealthPublisher | None = None
        self._on_change = on_change

    def set_publisher(self, publisher: HealthPublisher | None) -> None:
        """Publish updates to other processes from now on; None stops that.

        Takes no lock. The publisher is called with the lock held, so that updates leave in the order in which they
        happened.
        """
        self._publisher = publisher

    def apply_update(self, update: HealthUpdate, now: float, draw: float) -> None:
        """Apply an update from another process. It is not published again.

        Args:
            update: Its instants are those of this process's clock.
            now: The current instant.
            draw: A uniform draw from 0 to 1, which spreads the probes of processes that received the same update.
        """
        with self._lock:
            self._drain_outcomes()
            match update:
                case CooldownStarted(key, until, reason, wait):
                    self._extend_cooldown(key, until, reason, wait=wait)
                case BreakerOpened(key, until, name, trips):
                    health = self._targets.get(key) or self._get_or_create(key, name)
                    before = health.breaker.state(now)
                    health.breaker.apply_remote_open(until + (until - now) * _REMOTE_PROBE_DELAY * draw, trips)
                    self._note_change(health, before, now, cause="learned from another process")
                case BreakerClosed(key):
                    if known := self._targets.get(key):
                        before = known.breaker.state(now)
                        known.breaker.apply_remote_close()
                        self._note_change(known, before, now)
        self._notify()

    def apply_outcomes(self) -> None:
        """Apply the queued outcomes now. Otherwise the next call does that, which may be a long time off."""
        with self._lock:
            self._drain_outcomes()
        self._notify()

    def admit(self, target: Target, now: float) -> Permit | Refusal:
        """Return a permit for one request, or why none should be sent now."""
        if publisher := self._publisher:
            publisher.wake()
        with self._lock:
            self._drain_outcomes()
            breaker = self._of(target).breaker
            admission = self._active_cooldown(target, now) or breaker.admit(now)
            if admission is None:
                admission = Refusal(max(now, breaker.open_until or now), "breaker open", wait=False)
        self._notify()
        return admission

    def force(self, target: Target, now: float) -> Permit:
        """Return a permit in any state: a call must not fail while a target has had no attempt."""
        with self._lock:
            self._drain_outcomes()
            permit = self._of(target).breaker.force(now)
        self._notify()
        return permit

    def ready(self, target: Target, now: float) -> bool:
        """Return whether ``admit`` would return a permit, without taking one."""
        with self._lock:
            self._drain_outcomes()
            ready = self._active_cooldown(target, now) is None and self._of(target).breaker.would_admit(now)
        self._notify()
        return ready

    def record_outcome(
        self,
        target: Target,
        permit: Permit,
        *,
        ok: bool | None,
        weight: int,
        first_try: bool,
        now: float,
        draw: float,
        cause: str = "",
    ) -> None:
        """Queue the outcome of a request and its permit (see ``CircuitBreaker.record_outcome``); ``cause`` is logged.

        Takes no lock, so it may run anywhere: even in the garbage collector of a thread that holds the lock.
        """
        self._outcomes.append(
            _Outcome(target.health_key, permit, ok, weight, first_try, now, target.breaker, draw, cause),
        )

    def follow_up(self, target: Target) -> Permit:
        """Return a permit for the rest of a stream whose first chunk was recorded as a success: it can still break."""
        with self._lock:
            self._drain_outcomes()
            permit = self._of(target).breaker.follow_up()
        self._notify()
        return permit

    def may_retry(self, target: Target, at: float, *, free: bool) -> bool:
        """Return whether the breaker will admit a retry at an instant, and the budget has a token or none is needed."""
        with self._lock:
            self._drain_outcomes()
            health = self._of(target)
            allowed = health.breaker.would_admit(at) and (free or health.budget.has_token)
        self._notify()
        return allowed

    def spend_retry(self, target: Target) -> None:
        """Take a token from the target's retry budget."""
        with self._lock:
            self._of(target).budget.spend()

    def start_cooldown(self, key: Hashable, until: float, reason: str, *, wait: bool) -> None:
        """Send no request to targets with this key until an instant; a longer cooldown that already runs stays.

        Publishes the cooldown with the lock held.
        """
        with self._lock:
            if self._extend_cooldown(key, until, reason, wait=wait) and (publisher := self._publisher):
                publisher.publish(CooldownStarted(key, until, reason, wait))

    def snapshot(self, now: float, names: Mapping[Hashable, str] | None = None) -> list[dict[str, Any]]:
        """Return one plain dict a target: ``target``, ``state``, ``failures``, ``retry_budget``, ``retry_in``.

        Args:
            now: The current instant.
            names: The ``health_key`` of the targets to return, and what to call them; None for all, each called as in
                the call that used it first.
        """
        with self._lock:
            self._drain_outcomes()
            rows = [
                {
                    "target": names[key] if names is not None else health.name,
                    "state": health.breaker.state(now),
                    "failures": health.breaker.consecutive_failures,
                    "retry_budget": round(health.budget.tokens, 1),
                    "retry_in": max(0.0, round((health.breaker.open_until or now) - now, 3)),
                }
                for key, health in list(self._targets.items())
                if names is None or key in names
            ]
        self._notify()
        return rows

    def reset(self) -> None:
        """Remove all targets, cooldowns and queued outcomes."""
        with self._lock:
            self._outcomes.clear()
            self._changes.clear()
            self._targets.clear()
            self._cooldowns.clear()

    def _notify(self) -> None:
        """Call ``on_change`` for each queued change. Runs without the lock, since the callback may take long."""
        with suppress(IndexError):  # another thread may have taken the last one
            while self._changes:
                change = self._changes.popleft()
                if self._on_change:
                    self._on_change(change)

    # The lock must be held by the caller of every method below.

    def _of(self, target: Target) -> _TargetHealth:
        return self._get_or_create(target.health_key, target.name)

    def _get_or_create(self, key: Hashable, name: str) -> _TargetHealth:
        """Return the health of a target and move it to the end: the first one is the least recently used."""
        health = self._targets.pop(key, None) or _TargetHealth(name)
        self._targets[key] = health
        if len(self._targets) > _MAX_TARGETS:
            del self._targets[next(iter(self._targets))]
        return health

    def _extend_cooldown(self, key: Hashable, until: float, reason: str, *, wait: bool) -> bool:
        """Start or prolong a cooldown; return False where one that runs is at least as long."""
        current = self._cooldowns.get(key)
        if current is not None and current[0] >= until:
            return False
        self._cooldowns[key] = (until, reason, wait)
        if len(self._cooldowns) > _MAX_TARGETS:
            del self._cooldowns[next(iter(self._cooldowns))]
        return True

    def _active_cooldown(self, target: Target, now: float) -> Refusal | None:
        """Return the cooldown of the target's key, rate limit or own; drop those that are over."""
        if not self._cooldowns:
            return None
        for key in (target.credentials_key, target.limit_key, target.health_key):
            cooldown = self._cooldowns.get(key)
            if cooldown is None:
                continue
            until, reason, wait = cooldown
            if until > now:
                return Refusal(until, reason, wait)
            del self._cooldowns[key]
        return None

    def _drain_outcomes(self) -> None:
        """Apply the queued outcomes to breakers and budgets, and publish the changes of breakers."""
        while self._outcomes:
            outcome = self._outcomes.popleft()
            health = self._targets.get(outcome.key)
            if health is None:
                continue
            before, failures = health.breaker.state(outcome.now), health.breaker.consecutive_failures
            health.breaker.record_outcome(
                outcome.permit,
                ok=outcome.ok,
                weight=outcome.weight,
                now=outcome.now,
                settings=outcome.settings,
                draw=outcome.draw,
            )
            if outcome.ok and outcome.first_try:
                health.budget.earn()
            failures += outcome.weight
            changed = self._note_change(health, before, outcome.now, cause=outcome.cause, failures=failures)
            if changed and (publisher := self._publisher):
                publisher.publish(_breaker_update(outcome.key, health, outcome.now))

    def _note_change(
        self, health: _TargetHealth, before: BreakerState, now: float, *, cause: str = "", failures: int = 0
    ) -> bool:
        """Queue a change of state for ``_notify``; return whether there was one."""
        after, until = health.breaker.state(now), health.breaker.open_until
        if before != after:
            probe_in = 0.0 if until is None else max(0.0, until - now)
            self._changes.append(BreakerChange(health.name, before, after, failures, cause, probe_in))
        return before != after


def _breaker_update(key: Hashable, health: _TargetHealth, now: float) -> HealthUpdate:
    until = health.breaker.open_until
    return (
        BreakerClosed(key, now + _CLOSED_UPDATE_LIFETIME)
        if until is None
        else BreakerOpened(key, until, health.name, health.breaker.trips)
    )
