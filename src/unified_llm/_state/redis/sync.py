"""Exchange of health updates with other processes, and the cooldown of Redis after a failure.

Used by one thread. Nothing here raises: when Redis fails it is not used for a few seconds, and the updates that were to
be sent are kept for as long as they hold.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Hashable
from typing import Final, TypeVar

from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._policy.health_updates import CooldownStarted, HealthUpdate
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._state.redis import limit_usages, records
from unified_llm._state.redis.commands import BATCH, News, Store
from unified_llm._state.redis.outbox import Outbox
from unified_llm._state.redis.records import Clock, Received
from unified_llm.types.responses import ModelInfo

_log = logging.getLogger("unified_llm")
_T = TypeVar("_T")

# Seconds between two polls: usually, and while there are updates to send or more to read.
PERIOD: Final = 1.0
_BUSY_PERIOD: Final = 0.1
# Seconds by which a period may be shorter.
_EARLY: Final = 0.05
# Seconds for which Redis is not used after a failure, and between two warnings of one kind.
_COOLDOWN: Final = 5.0
_WARN_EVERY: Final = 600.0
# Breakers of which the instant of the last update is kept, and the seconds by which such instants are uncertain: they
# are compared by the clock of the server, which is as old as its answer.
_MOST_BREAKERS: Final = 4096
_UNCERTAINTY: Final = 0.05


class HealthSync:
    """Exchanges health updates with other processes.

    Args:
        store: The records in Redis.
        learn: Called with each update of another process, once.
        now: The clock of the updates.
        limits: The rate limits that are shared, if any.
    """

    def __init__(
        self,
        store: Store,
        learn: Callable[[HealthUpdate], None],
        now: Callable[[], float],
        limits: RateLimits | None = None,
    ) -> None:
        self._store, self._learn, self._now, self._limits = store, learn, now, limits
        self._exchanged_at = float("-inf")
        self._sender = secrets.token_hex(8)
        self._outbox = Outbox()
        self._more = False
        # The instant of the last update about a breaker, of this process or another, by its name.
        self._last_change: BoundedDict[str, float] = BoundedDict(_MOST_BREAKERS)
        self._last_poll = self._cooldown_until = float("-inf")
        self._warned: dict[str, float] = {}
        self._failing = False

    @property
    def due(self) -> float:
        """The instant of the next poll."""
        period = _BUSY_PERIOD if self._outbox or self._more else PERIOD
        return max(self._cooldown_until, self._last_poll + period)

    @property
    def overdue(self) -> bool:
        """Return whether the next poll should have been a period ago."""
        return self._now() >= self.due + PERIOD

    def publish(self, update: HealthUpdate) -> None:
        """Send this update with one of the next polls, in place of an unsent one about the same target or key."""
        name, now = records.name_of(update), self._now()
        if name is None:
            return
        self._outbox.put(name, update, now)
        if not isinstance(update, CooldownStarted):
            self._last_change.put(name, now)

    def poll(self, *, early: bool = False) -> None:
        """Receive new updates and send those of this process, if a poll is due (or ``early``)."""
        now = self._now()
        if now < self.due and not early:
            return
        self._last_poll = now
        news = self._call(self._store.read)
        if self._limits is not None:
            self._limits.note_exchange(failed=news is None)
        if news is not None:
            clock = Clock(now, news.now)
            self._more = news.more
            self._warn_of_replaced(news.replaced)
            self._receive(news, clock)
            sent = self._send(clock)
            self._exchange_usages(clock)
            if sent and self._failing:
                self._failing = False
                _log.info("shared state: Redis answers again")

    def _exchange_usages(self, clock: Clock) -> None:
        """Renew the leases of rate limits, once a period."""
        limits = self._limits
        if limits is not None and clock.now - self._exchanged_at >= PERIOD - _EARLY:
            self._exchanged_at = clock.now
            self._call(lambda: limit_usages.exchange(self._store, limits, self._sender, clock))

    def _receive(self, news: News, clock: Clock) -> None:
        changes: dict[str, Received] = {}
        for value in news.values:
            received = records.read(value, clock)
            if received is None:
                continue
            if isinstance(received.update, CooldownStarted):
                self._learn_from(received)
            elif received.since >= self._last_change.get(received.name, received.since) - _UNCERTAINTY:
                # Only the last one is applied, since the breaker's changes before it are over.
                changes[received.name] = received
                self._last_change.put(received.name, received.since)
        for received in changes.values():
            self._learn_from(received)

    def _learn_from(self, received: Received) -> None:
        if received.sender != self._sender:
            self._learn(received.update)

    def _send(self, clock: Clock) -> bool:
        """Send the first updates; return False where Redis fails."""
        pending = self._outbox.first(BATCH)
        outgoing: dict[str, list[str]] = {}
        for update, since in pending:
            if text := records.write(update, self._sender, since, clock):
                outgoing.setdefault(records.stream_of(update), []).append(text)
        replaced = self._call(lambda: self._store.write(outgoing)) if outgoing else []
        if replaced is None:
            return False
        self._outbox.remove(len(pending))
        self._warn_of_replaced(replaced)
        return True

    def find(self, key: Hashable) -> tuple[tuple[ModelInfo, ...], float] | None:
        """Return the model list that another process stored and its age in seconds, if Redis has it and answers."""
        name = records.list_key(key)
        record = self._call(lambda: self._store.get(name)) if name else None
        return records.read_list(record) if record else None

    def keep(self, key: Hashable, models: tuple[ModelInfo, ...], ttl: float) -> None:
        """Store a model list, if Redis answers."""
        if record := records.write_list(key, models, ttl):
            self._call(lambda: self._store.put(record))

    def close(self) -> None:
        """Send the updates that are left, and close the connection. After a failure, try once more at once."""
        failures = 0
        while failures < 2 and (unsent := len(self._outbox)):
            self._cooldown_until = float("-inf")
            self.poll(early=True)
            failures += len(self._outbox) == unsent
        self._call(self._store.close)

    def _call(self, work: Callable[[], _T]) -> _T | None:
        """Return what Redis answers; None where it fails, or is in cooldown."""
        if self._now() < self._cooldown_until:
            return None
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - whatever the client raises: no call may notice, nor this thread end
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        # The class alone: the message may hold the URL.
        name = type(error).__name__
        # A first timeout may be a moment in which the machine is busy.
        pause = PERIOD if name == "TimeoutError" and not self._failing else _COOLDOWN
        self._cooldown_until = self._now() + pause
        self._failing = True
        # A server close to the timeout fails now and then: one warning in ten minutes is enough.
        text = "shared state: Redis failed (%s); calls go on without it, next try in %.0f s"
        _log.log(self._level("failure"), text, name, pause)

    def _warn_of_replaced(self, keys: list[str]) -> None:
        text = "shared state: %s in Redis held data of another program and was replaced; find out which one it is"
        for key in keys:
            _log.log(self._level("replaced"), text, key)

    def _level(self, kind: str) -> int:
        """Return the level of a message of this kind: WARNING once in ten minutes, else DEBUG."""
        now = self._now()
        if now - self._warned.get(kind, float("-inf")) < _WARN_EVERY:
            return logging.DEBUG
        self._warned[kind] = now
        return logging.WARNING
