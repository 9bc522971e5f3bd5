"""Outgoing and incoming health updates of this process, and the cooldown of Redis after a failure.

Used by one thread. Nothing here raises: when Redis fails it is not used for a few seconds, and the updates that were to
be sent are kept for as long as they hold.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Hashable
from typing import Final, TypeVar

from unified_llm._policy.health_updates import HealthUpdate
from unified_llm._state.redis import records
from unified_llm._state.redis.commands import Store
from unified_llm._state.redis.records import Record
from unified_llm.types.responses import ModelInfo

_log = logging.getLogger("unified_llm")
_T = TypeVar("_T")

# Seconds between two polls: usually, and while there are updates to send.
PERIOD: Final = 1.0
_PERIOD_WITH_UPDATES: Final = 0.1
# Seconds for which Redis is not used after a failure, and between two warnings of that.
_COOLDOWN: Final = 5.0
_WARN_EVERY: Final = 600.0
_MOST_UPDATES: Final = 4096


class HealthSync:
    """Exchanges health updates with other processes.

    Args:
        store: The records in Redis.
        learn: Called with each update of another process, once.
        now: The clock of the updates.
    """

    def __init__(self, store: Store, learn: Callable[[HealthUpdate], None], now: Callable[[], float]) -> None:
        self._store, self._learn, self._now = store, learn, now
        self._sender = secrets.token_hex(8)
        self._sent = 0
        self._outbox: dict[str, HealthUpdate] = {}
        self._received: dict[str, str] = {}
        self._last_poll = self._cooldown_until = self._warned = float("-inf")
        self._failing = False

    @property
    def due(self) -> float:
        """The instant of the next poll."""
        return max(self._cooldown_until, self._last_poll + (_PERIOD_WITH_UPDATES if self._outbox else PERIOD))

    def publish(self, update: HealthUpdate) -> None:
        """Send this update with the next poll, in place of an unsent one about the same target or key."""
        key = records.key_of(update)
        if key is None:
            return
        self._outbox.pop(key, None)
        self._outbox[key] = update
        if len(self._outbox) > _MOST_UPDATES:
            del self._outbox[next(iter(self._outbox))]

    def poll(self, *, early: bool = False) -> None:
        """Send the updates of this process and receive new ones, if a poll is due (or ``early``)."""
        now = self._now()
        if now < self.due and not early:
            return
        self._last_poll = now
        outgoing = [record for update in self._outbox.values() if (record := records.write(update, self._next(), now))]
        incoming = self._call(lambda: self._store.swap(outgoing))
        if incoming is not None:
            self._outbox.clear()
            self._receive(incoming)

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
        """Send the updates that are left, and close the connection."""
        if self._outbox:
            self.poll(early=True)
        self._call(self._store.close)

    def _next(self) -> str:
        self._sent += 1
        return f"{self._sender}-{self._sent}"

    def _receive(self, incoming: list[Record]) -> None:
        before, self._received = self._received, {}
        for record in incoming:
            update_and_id = records.read(record, self._now())
            if update_and_id is None:
                continue
            update, identifier = update_and_id
            self._received[record.key] = identifier
            if before.get(record.key) != identifier and not identifier.startswith(self._sender):
                self._learn(update)

    def _call(self, work: Callable[[], _T]) -> _T | None:
        """Return what Redis answers; None where it fails, or is in cooldown."""
        if self._now() < self._cooldown_until:
            return None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - whatever the client raises: no call may notice, nor this thread end
            self._fail(error)
            return None
        if self._failing:
            self._failing = False
            _log.info("shared state: Redis answers again")
        return answer

    def _fail(self, error: Exception) -> None:
        now = self._now()
        self._cooldown_until = now + _COOLDOWN
        self._failing = True
        # A server close to the timeout fails now and then: one warning in ten minutes is enough.
        level = logging.WARNING if now - self._warned >= _WARN_EVERY else logging.DEBUG
        if level == logging.WARNING:
            self._warned = now
        # The class alone: the message may hold the URL.
        name = type(error).__name__
        _log.log(level, "shared state: Redis failed (%s); calls go on without it, next try in %.0f s", name, _COOLDOWN)
