"""Health of one target: its log of events, a circuit breaker for each kind of caller, the probe, the retry budget.

    admit -----> breaker of this caller: closed, or half-open and no probe is in progress --> Permit
                                                                                               |
    record_outcome(permit) <------------------------ the request ------------------------------+
       |
       +--> log: numbered events, the last 64 --> every breaker applies them (see ``breaker``)

A caller of a new kind gets a breaker that has applied the events of the log: what others found out before counts for it
as well.

A probe belongs to the target: all callers whose breakers are half-open share one. It is held by a weak reference to
its permit, and expires when its attempt must have ended, so that a permit that was lost (a signal's exception, a thread
that died) does not keep the breaker half-open without end.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from unified_llm._core.target import BreakerConfig, Target, Timing
from unified_llm._policy.breaker import BreakerState, CircuitBreaker, ClosedElsewhere, Event, OpenedElsewhere, Outcome
from unified_llm._policy.budgets import RetryBudget
from unified_llm._policy.cooldowns import CooldownScope
from unified_llm._policy.failure_rules import REFUSALS
from unified_llm._policy.health_changes import LastFailure
from unified_llm._policy.health_updates import BreakerOpened

_MAX_EVENTS: Final = 64
# Kinds of callers of one target; the one that was there longest ago is forgotten first.
_MAX_BREAKERS: Final = 16
# Accounts that used one target, of which the snapshot shows cooldowns.
_MAX_ACCOUNTS: Final = 8
# Seconds beyond its limit that an attempt may take: to read the body of an error response, to be scheduled.
_SLACK: Final = 10.0
# Failures of which so many within so many seconds are trouble, whatever the breaker says.
_TROUBLE: Final = 3
_TROUBLE_WINDOW: Final = 60.0
_MAX_FAILURES: Final = 16  # failures that are remembered for that, those of impatient callers among them
_DEFAULT_SETTINGS: Final = BreakerConfig()
_DEFAULT_TIMING: Final = Timing()

CooldownKeys: TypeAlias = tuple[Hashable, ...]
"""The keys of the cooldowns that hold a target, in the order of ``COOLDOWN_SCOPES``; empty where no call used it."""

COOLDOWN_SCOPES: Final[tuple[CooldownScope, ...]] = ("api_key", "rate_limit", "target")

Change: TypeAlias = tuple[CircuitBreaker, BreakerState]
"""A breaker that opened or closed, and its state before."""


@dataclass(frozen=True, slots=True)
class TargetCondition:
    """How a target does, as one caller sees it.

    Attributes:
        reason: Why it is in trouble, in words: its breaker is open, or there were three failures within a minute; empty
            where it is not, or where it has responded since.
        responds: Its breaker is closed, and the last request was answered.
        succeeded_at: The instant of the last success.
    """

    reason: str
    responds: bool
    succeeded_at: float


@dataclass(slots=True, eq=False, weakref_slot=True)
class Permit:
    """Permission for one request, returned at most once, through ``record_outcome``.

    Attributes:
        asked: The number of the target's last event when it was issued.
        breaker: The breaker that was asked for it.
        issued: The instant.
        probe: It is for the one probe of a half-open breaker.
        first_try: The request is no retry, so its success earns a share of a retry.
        counted: The request counts as a call. That for the rest of a stream does not, nor one that was never sent.
    """

    asked: int
    breaker: CircuitBreaker
    issued: float
    probe: bool = False
    first_try: bool = True
    counted: bool = True


class TargetHealth:
    """Health of one target. Not thread-safe: its owner holds the lock.

    Args:
        name: The target's name, in the call that used it first.

    Attributes:
        name: As above.
        budget: Its retry budget.
        cooldown_keys: The keys of the cooldowns that hold the account which used it last.
        accounts: The same for every account that used it, within a bound; the values are not used.
        published: What other processes were told last: whom it concerns, and until when.
        responded_at: The instant at which its model responded last, to any caller of this process.
        succeeded_at: The instant of its last success.
        calls: How many requests were sent to it, by all callers of this process.
        failures: How many of them failed.
        refused: How many of them it refused (``failure_rules.REFUSALS``), which is no failure.
        last_failure: The last one that failed, here or in a process that reported its breaker open.
    """

    __slots__ = (
        "_breakers",
        "_latest",
        "_log",
        "_number",
        "_probe",
        "_probe_until",
        "_recent_failures",
        "_settings",
        "_timing",
        "accounts",
        "budget",
        "calls",
        "cooldown_keys",
        "failures",
        "last_failure",
        "name",
        "published",
        "refused",
        "responded_at",
        "succeeded_at",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.budget = RetryBudget()
        self.cooldown_keys: CooldownKeys = ()
        self.accounts: dict[CooldownKeys, None] = {}
        self.published: tuple[tuple[float, int], float] | None = None
        self.responded_at = self.succeeded_at = float("-inf")
        self.calls = self.failures = self.refused = 0
        self.last_failure: LastFailure | None = None
        self._recent_failures: deque[tuple[float, float | None]] = deque(maxlen=_MAX_FAILURES)
        self._log: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self._number = 0
        self._breakers: dict[tuple[BreakerConfig, float], CircuitBreaker] = {}
        self._latest: CircuitBreaker | None = None
        self._settings, self._timing = _DEFAULT_SETTINGS, _DEFAULT_TIMING
        self._probe: weakref.ref[Permit] | None = None
        self._probe_until = 0.0

    @property
    def open_until(self) -> float | None:
        """The instant at which the last of its open breakers admits a probe; None where all are closed."""
        return max((each.open_until for each in self._breakers.values() if each.open_until is not None), default=None)

    def note_caller(self, target: Target) -> None:
        """Remember who uses the target, for the snapshot. Limits of a single call are none of the caller's settings."""
        keys = cooldown_keys(target)
        if keys != self.cooldown_keys:
            self.cooldown_keys = keys
            self.accounts.pop(keys, None)
            self.accounts[keys] = None
            if len(self.accounts) > _MAX_ACCOUNTS:
                del self.accounts[next(iter(self.accounts))]
        self._settings = target.breaker
        if not target.timing.of_call:
            self._timing = target.timing

    def find_breaker(self, settings: BreakerConfig, limit: float) -> CircuitBreaker | None:
        """Return the breaker of a kind of caller, or None."""
        latest = self._latest
        if latest is not None and latest.limit == limit and latest.settings is settings:
            return latest
        key = (settings, limit)
        breaker = self._breakers.pop(key, None)
        if breaker is not None:
            self._breakers[key] = self._latest = breaker
        return breaker

    def add_breaker(self, settings: BreakerConfig, limit: float) -> CircuitBreaker:
        """Return a new breaker for a kind of caller; it knows what the log knows."""
        breaker = self._breakers[settings, limit] = self._latest = self._replay(settings, limit)
        if len(self._breakers) > _MAX_BREAKERS:
            del self._breakers[next(iter(self._breakers))]
        return breaker

    def shown_breaker(self, target: Target | None = None) -> CircuitBreaker:
        """Return the breaker to show: of the caller who used the target last, or would use it as ``target`` says."""
        settings, timing = (target.breaker, target.timing) if target else (self._settings, self._timing)
        limits = (timing.breaker_limit(streaming=True), timing.breaker_limit(streaming=False))
        known = [breaker for limit in limits if (breaker := self._breakers.get((settings, limit)))]
        return max(known, key=_open_until) if known else self._replay(settings, limits[0])

    def condition(self, target: Target, now: float) -> TargetCondition:
        """Return how the target does, as a caller sees it with these settings."""
        limit = min(target.timing.breaker_limit(streaming=streaming) for streaming in (True, False))
        failures = [at for at, passed in self._recent_failures if passed is None or passed >= limit]
        is_open = self.shown_breaker(target).open_until is not None
        failed_at, recent = failures[-1] if failures else float("-inf"), failures[-_TROUBLE:]
        reason = ""
        if is_open:
            reason = "its circuit breaker opened"
        elif len(recent) == _TROUBLE and now - recent[0] <= _TROUBLE_WINDOW and failed_at >= self.succeeded_at:
            reason = f"{_TROUBLE} failures within {_TROUBLE_WINDOW:.0f} s"
        responds = not is_open and float("-inf") < self.succeeded_at >= failed_at
        return TargetCondition(reason, responds, self.succeeded_at)

    def admit(self, breaker: CircuitBreaker, now: float) -> Permit | None:
        """Return a permit, or None while open and while a probe is in progress."""
        if breaker.open_until is None:
            return Permit(self._number, breaker, now)
        if not self.would_admit(breaker, now):
            return None
        permit = Permit(self._number, breaker, now, probe=True)
        self._probe, self._probe_until = weakref.ref(permit), now + breaker.limit + _SLACK
        return permit

    def would_admit(self, breaker: CircuitBreaker, now: float) -> bool:
        """Return whether ``admit`` would return a permit, without taking one."""
        until = breaker.open_until
        if until is None:
            return True
        if now < until:
            return False
        return self._probe is None or self._probe() is None or now >= self._probe_until

    def force(self, breaker: CircuitBreaker, now: float) -> Permit:
        """Return a permit in any state; that of the probe, where a probe is due."""
        return self.admit(breaker, now) or Permit(self._number, breaker, now)

    def follow_up(self, permit: Permit, now: float) -> Permit:
        """Return a permit for the rest of a stream whose first chunk was recorded as a success; it is no probe's."""
        return Permit(self._number, permit.breaker, now, counted=False)

    def count(self, permit: Permit, failure: LastFailure | None, *, failed: bool) -> None:
        """Count a request that has ended."""
        self.calls += permit.counted
        if failure is not None and failure.kind in REFUSALS:
            self.refused += 1
        elif failed:
            self.failures += 1
            self.last_failure = failure or self.last_failure

    def record_outcome(
        self,
        permit: Permit,
        *,
        ok: bool | None,
        weight: int,
        limit: float | None,
        now: float,
        draw: float,
        shared: bool = True,
    ) -> list[Change]:
        """Record the outcome of a request and take its permit back; return the breakers that changed.

        That of the caller comes first.

        Args:
            permit: As returned by ``admit``, ``force`` or ``follow_up``.
            ok: True (success), False (failure), or None where the outcome shows nothing (cancelled ...).
            weight: How many failures a failure counts for; 0 records nothing.
            limit: As in ``breaker.Outcome``.
            now: The current instant.
            draw: A uniform draw from 0 to 1, which spreads the ends of cooldowns by a fifth either way.
            shared: As in ``breaker.Outcome``.
        """
        is_probe = permit.probe and self._probe is not None and self._probe() is permit
        if is_probe:
            self._probe = None
        if ok is None or (not ok and weight == 0):
            return []
        self._number += 1
        if ok:
            self.succeeded_at = now
        else:
            self._recent_failures.append((now, limit))
        since = permit.issued if is_probe else None
        event = Outcome(self._number, permit.asked, now, ok, weight, limit, since, draw, shared)
        changes = self._apply(event)
        if len(changes) > 1:
            changes.sort(key=lambda change: change[0] is not permit.breaker)
        return changes

    def apply_opened(self, update: BreakerOpened, now: float, draw: float) -> list[Change]:
        """Apply that the breaker of another process opened; return the breakers that changed."""
        known, last = self.last_failure, update.last_failure
        if last is not None and (known is None or known.at < last.at):
            self.last_failure = last
        if not self._breakers:  # no call has used the target yet: judge as the default settings do
            self.add_breaker(self._settings, self._timing.breaker_limit(streaming=True))
        self._number += 1
        reported = (update.opened, update.until, update.trips, update.failures, update.limit)
        return self._apply(OpenedElsewhere(self._number, now, *reported, draw))

    def apply_closed(self, now: float) -> list[Change]:
        """Apply that the target answered another process; return the breakers that changed."""
        self._number += 1
        return self._apply(ClosedElsewhere(self._number, now))

    def _apply(self, event: Event) -> list[Change]:
        self._log.append(event)
        return [
            (breaker, before)
            for breaker in self._breakers.values()
            if (before := breaker.apply(event)) is not None and before != breaker.state(event.now)
        ]

    def _replay(self, settings: BreakerConfig, limit: float) -> CircuitBreaker:
        breaker = CircuitBreaker(settings, limit)
        for event in self._log:
            breaker.apply(event)
        return breaker


def cooldown_keys(target: Target) -> CooldownKeys:
    """Return the keys of the cooldowns that hold a target: of its API key, its rate limit, its own."""
    return (target.credentials_key, target.limit_key, target.health_key)


def _open_until(breaker: CircuitBreaker) -> float:
    return breaker.open_until if breaker.open_until is not None else float("-inf")


def strongest(changes: Iterable[Change]) -> CircuitBreaker | None:
    """Return the breaker that opened by the evidence which concerns most callers; None where none opened.

    Evidence that concerns this process alone is left out.
    """
    opened = (breaker for breaker, _ in changes if breaker.open_until is not None and breaker.shared)
    return max(opened, key=audience, default=None)


def audience(breaker: CircuitBreaker) -> tuple[float, int]:
    """Return whom the evidence of an open breaker concerns: callers up to this limit, and this threshold."""
    failures, limit = breaker.evidence
    return (float("inf") if limit is None else limit, failures)
