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
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm._policy.breaker import CircuitBreaker
from unified_llm._policy.cooldowns import Cooldowns, CooldownScope, Refusal
from unified_llm._policy.health_changes import (
    BreakerChange,
    ConditionChange,
    CooldownChange,
    HealthChange,
    LastFailure,
)
from unified_llm._policy.health_rows import BREAKER_OPEN, PROBING, describe
from unified_llm._policy.health_updates import (
    BreakerClosed,
    BreakerOpened,
    CooldownStarted,
    HealthPublisher,
    HealthUpdate,
)
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._policy.target_health import (
    COOLDOWN_SCOPES,
    Change,
    Permit,
    TargetCondition,
    TargetHealth,
    audience,
    cooldown_keys,
    strongest,
)
from unified_llm._policy.target_table import TargetTable

# Seconds for which the update that a breaker closed is worth sharing; by then every process has read it.
_CLOSED_UPDATE_LIFETIME: Final = 60.0
# Seconds; Ollama's default of OLLAMA_KEEP_ALIVE (docs.ollama.com/faq).
_KEPT_LOADED: Final = 300.0


class _Outcome(NamedTuple):
    """Arguments of ``record_outcome``, queued until the lock is held."""

    key: Hashable
    permit: Permit
    ok: bool | None
    weight: int
    limit: float | None
    now: float
    draw: float
    failure: LastFailure | None
    shared: bool


class Health:
    """Registry of breakers, retry budgets and cooldowns; a new one is empty.

    Thread-safe. Each public method takes the lock for its own duration, unless its docstring notes an exception; the
    private ones are grouped by whether their caller holds it.

    Args:
        on_change: Called without the lock when a target's breaker changes its state, when a cooldown starts here, and
            after each outcome of a target that is watched.
    """

    def __init__(self, on_change: Callable[[HealthChange], None] | None = None) -> None:
        self._lock = make_lock()
        self._targets = TargetTable()
        self._cooldowns = Cooldowns()
        self._outcomes: deque[_Outcome] = deque()
        self._responses: deque[tuple[Hashable, float]] = deque()
        self._changes: deque[HealthChange] = deque()
        self._publisher: HealthPublisher | None = None
        self._on_change = on_change
        self._watched: frozenset[Hashable] = frozenset()

    def watch(self, keys: Iterable[Hashable]) -> None:
        """Report what happens to the targets with these health keys, in place of those before. Takes no lock."""
        self._watched = frozenset(keys)

    def condition(self, target: Target, now: float) -> TargetCondition:
        """Return how a target does, as a caller sees it with these settings."""
        with self._lock:
            self._drain_outcomes()
            condition = self._known_or_new(target).condition(target, now)
        self._notify()
        return condition

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
                    self._cooldowns.start(key, until, reason, wait=wait, now=now)
                case BreakerOpened():
                    health = self._targets.get(update.key) or self._targets.use(update.key, update.name)
                    changes = health.apply_opened(update, now, draw)
                    self._note_changes(update.key, health, changes, now, cause=update.last_failure, elsewhere=True)
                case BreakerClosed(key):
                    if known := self._targets.get(key):
                        self._note_changes(key, known, known.apply_closed(now), now, elsewhere=True)
        self._notify()

    def apply_outcomes(self) -> None:
        """Apply the queued outcomes now. Otherwise the next call does that, which may be a long time off."""
        with self._lock:
            self._drain_outcomes()
        self._notify()

    def admit(
        self, target: Target, now: float, *, streaming: bool = False, despite_breaker: bool = False
    ) -> Permit | Refusal:
        """Return a permit for one request, or why none should be sent now."""
        if publisher := self._publisher:
            publisher.wake()
        with self._lock:
            health, breaker = self._look_up(target, streaming=streaming)
            health.note_caller(target)
            admit = health.force if despite_breaker else health.admit
            admission = self._cooldowns.find(health.cooldown_keys, now) or admit(breaker, now)
            if admission is None:
                until = breaker.open_until or now
                admission = Refusal(max(now, until), BREAKER_OPEN if now < until else PROBING, wait=False)
        self._notify()
        return admission

    def force(self, target: Target, now: float, *, streaming: bool = False) -> Permit:
        """Return a permit in any state: a call must not fail while a target has had no attempt."""
        with self._lock:
            health, breaker = self._look_up(target, streaming=streaming)
            health.note_caller(target)
            permit = health.force(breaker, now)
        self._notify()
        return permit

    def ready(self, target: Target, now: float, *, streaming: bool = False) -> bool:
        """Return whether ``admit`` would return a permit, without taking one."""
        with self._lock:
            health, breaker = self._look_up(target, streaming=streaming)
            held = self._cooldowns.find(cooldown_keys(target), now)
            ready = held is None and health.would_admit(breaker, now)
        self._notify()
        return ready

    def record_outcome(  # noqa: PLR0913 - all that is recorded of an outcome
        self,
        target: Target,
        permit: Permit,
        *,
        ok: bool | None,
        weight: int,
        now: float,
        draw: float,
        limit: float | None = None,
        failure: LastFailure | None = None,
        shared: bool = True,
    ) -> None:
        """Queue the outcome of a request and its permit (``TargetHealth.record_outcome``).

        ``failure`` is what the snapshot and the log show of it.

        Takes no lock, so it may run anywhere: even in the garbage collector of a thread that holds the lock.
        """
        self._outcomes.append(_Outcome(target.health_key, permit, ok, weight, limit, now, draw, failure, shared))

    def note_response(self, target: Target, now: float) -> None:
        """Remember that a model has responded just now, so that it is loaded. Takes no lock, as ``record_outcome``."""
        self._responses.append((target.health_key, now))

    def responded_lately(self, target: Target, now: float) -> bool:
        """Return whether a model has responded within the last five minutes: most servers keep it loaded that long."""
        with self._lock:
            self._drain_outcomes()
            health = self._targets.get(target.health_key)
            return health is not None and now - health.responded_at <= _KEPT_LOADED

    def follow_up(self, target: Target, permit: Permit, now: float) -> Permit:
        """Return a permit for the rest of a stream whose first chunk was recorded as a success: it can still break."""
        with self._lock:
            self._drain_outcomes()
            follow_up = self._of(target).follow_up(permit, now)
        self._notify()
        return follow_up

    def may_retry(self, target: Target, at: float, *, free: bool, streaming: bool = False) -> bool:
        """Return whether the breaker will admit a retry at an instant, and the budget has a token or none is needed."""
        with self._lock:
            health, breaker = self._look_up(target, streaming=streaming)
            allowed = health.would_admit(breaker, at) and (free or health.budget.has_token)
        self._notify()
        return allowed

    def spend_retry(self, target: Target) -> None:
        """Take a token from the target's retry budget."""
        with self._lock:
            self._of(target).budget.spend()

    def start_cooldown(
        self, target: Target, scope: CooldownScope, until: float, reason: str, *, wait: bool, now: float
    ) -> None:
        """Send no request to targets with the same key, limit or place until an instant; a longer cooldown stays.

        Publishes the cooldown with the lock held.

        Args:
            target: The target whose response starts the cooldown.
            scope: What it holds: every target with this API key, or this rate limit, or the target alone.
            until: The instant at which it ends; five minutes from now at most.
            reason: Text for the trace, the snapshot and the log.
            wait: Whether a call may wait until then.
            now: The current instant.
        """
        key = cooldown_keys(target)[COOLDOWN_SCOPES.index(scope)]
        with self._lock:
            before = self._cooldowns.get(key, now)
            started = self._cooldowns.start(key, until, reason, wait=wait, now=now)
            if started and (publisher := self._publisher):
                publisher.publish(CooldownStarted(key, started.until, started.reason, started.wait))
            # Calls that run at once prolong a cooldown by moments, one after the other.
            if started and (before is None or started.until - now > 2 * (before.until - now)):
                # Without a key, other targets of the server are not concerned.
                shown: CooldownScope = "target" if scope == "api_key" and target.sends_no_key else scope
                self._changes.append(CooldownChange(target.name, shown, reason, started.until - now))
        self._notify()

    def snapshot(
        self, now: float, targets: Iterable[Target] | None = None, *, limits: RateLimits | None = None
    ) -> list[dict[str, Any]]:
        """Return one plain dict a target (``process_health.health_snapshot`` explains the fields).

        Args:
            now: The current instant.
            targets: The targets to return, in this order, by their names and as their settings judge, used or not. None
                for all that were used, each called as in the call that used it first, and as the caller who used it
                last sees it.
            limits: Has what is known of their rate limits.
        """
        with self._lock:
            self._drain_outcomes()
            shown: Iterable[tuple[Hashable, TargetHealth, Target | None]]
            shown = ((key, known, None) for key, known in self._targets.items())
            if targets is not None:
                shown = ((each.health_key, self._known_or_new(each), each) for each in _distinct(targets))
            rows = [
                describe(key, health, target, cooldowns=self._cooldowns, limits=limits, now=now)
                for key, health, target in shown
            ]
        self._notify()
        return rows

    def reset(self) -> None:
        """Remove all targets, cooldowns and queued outcomes."""
        with self._lock:
            self._outcomes.clear()
            self._responses.clear()
            self._changes.clear()
            self._targets.clear()
            self._cooldowns.clear()

    def _notify(self) -> None:
        """Call ``on_change`` for each queued change. Runs without the lock, since the callback may take long."""
        while self._changes:
            try:
                change = self._changes.popleft()
            except IndexError:  # another thread has taken the last one
                return
            if self._on_change:
                self._on_change(change)

    # The lock must be held by the caller of every method below.

    def _known_or_new(self, target: Target) -> TargetHealth:
        return self._targets.get(target.health_key) or TargetHealth(target.name)

    def _of(self, target: Target) -> TargetHealth:
        return self._targets.use(target.health_key, target.name)

    def _look_up(self, target: Target, *, streaming: bool) -> tuple[TargetHealth, CircuitBreaker]:
        """Apply the queued outcomes; return the health of a target, and the breaker by which this caller judges it."""
        self._drain_outcomes()
        health = self._of(target)
        limit = target.timing.breaker_limit(streaming=streaming)
        breaker = health.find_breaker(target.breaker, limit)
        if breaker is None:
            breaker = health.add_breaker(target.breaker, limit)
            self._targets.sort(target.health_key, health)
        return health, breaker

    def _drain_outcomes(self) -> None:
        """Apply the queued responses and outcomes to breakers and budgets, and publish the changes of breakers."""
        while self._responses:
            key, responded_at = self._responses.popleft()
            if responder := self._targets.get(key):
                responder.responded_at = responded_at
        while self._outcomes:
            key, permit, ok, weight, limit, now, draw, failure, shared = self._outcomes.popleft()
            health = self._targets.get(key)
            if health is None:
                continue
            health.count(permit, failure, failed=ok is False)
            changes = health.record_outcome(
                permit, ok=ok, weight=weight, limit=limit, now=now, draw=draw, shared=shared
            )
            if ok and permit.first_try:
                health.budget.earn()
            if key in self._watched:
                self._changes.append(ConditionChange(key))
            if changes:
                self._note_changes(key, health, changes, now, cause=failure)
                if (publisher := self._publisher) and (update := _pending_update(key, health, changes, now)):
                    publisher.publish(update)

    def _note_changes(
        self,
        key: Hashable,
        health: TargetHealth,
        changes: Sequence[Change],
        now: float,
        *,
        cause: LastFailure | None = None,
        elsewhere: bool = False,
    ) -> None:
        """Queue the first change for ``_notify``: an event is one line of the log, however many callers it concerns."""
        if elsewhere and key in self._watched:
            self._changes.append(ConditionChange(key))
        for breaker, before in changes[:1]:
            until, failures, within = breaker.open_until, 0, None
            if until is not None and before == "closed" and not elsewhere:
                failures = breaker.opened_by
                within = None if breaker.in_a_row else breaker.settings.window
            self._changes.append(
                BreakerChange(
                    health.name,
                    before,
                    breaker.state(now),
                    failures,
                    within,
                    cause if until is not None else None,
                    0.0 if until is None else max(0.0, until - now),
                    elsewhere,
                )
            )
        self._targets.sort(key, health)


def _distinct(targets: Iterable[Target]) -> Iterable[Target]:
    """Return each target once: those that differ in the name or the API key are two."""
    return {(target.name, *cooldown_keys(target)): target for target in targets}.values()


def _pending_update(key: Hashable, health: TargetHealth, changes: Sequence[Change], now: float) -> HealthUpdate | None:
    """Return that the target answers, or what opened it; None where what was published says as much and holds."""
    if all(breaker.open_until is None for breaker, _ in changes):
        health.published = None
        return BreakerClosed(key, now + _CLOSED_UPDATE_LIFETIME)
    opened = strongest(changes)
    if opened is None or opened.open_until is None:
        return None
    concerned, until = audience(opened), opened.open_until
    if health.published is not None and health.published[1] > now and health.published[0] > concerned:
        return None
    health.published = concerned, until
    failures, limit = opened.evidence
    return BreakerOpened(key, now, until, health.name, opened.trips, failures, limit, health.last_failure)
