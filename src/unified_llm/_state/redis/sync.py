"""What is to be told to other processes, what has been heard from them, and whether Redis can be trusted just now.

Used by one thread. Nothing here raises: when Redis fails it is left alone for a few seconds, as any target would be,
and what was to be told is kept for as long as it is true.
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

# Seconds between two turns: usually, and while there is something to tell.
PERIOD: Final = 1.0
_BRISK: Final = 0.1
# Seconds for which Redis is left alone after a failure, and between two warnings of that.
_REST: Final = 5.0
_WARN_EVERY: Final = 600.0
_MOST_TO_TELL: Final = 4096


class HealthSync:
    """The books of one process.

    Args:
        store: Where the records are.
        learn: Given each fact of another process, once.
        now: The clock of the facts.
    """

    def __init__(self, store: Store, learn: Callable[[HealthUpdate], None], now: Callable[[], float]) -> None:
        """Nothing told, nothing heard."""
        self._store, self._learn, self._now = store, learn, now
        self._sender = secrets.token_hex(8)
        self._sent = 0
        self._outbox: dict[str, HealthUpdate] = {}
        self._heard: dict[str, str] = {}
        self._last_turn = self._rests_until = self._warned = float("-inf")
        self._ailing = False

    @property
    def due(self) -> float:
        """The instant of the next turn."""
        return max(self._rests_until, self._last_turn + (_BRISK if self._outbox else PERIOD))

    def note(self, fact: HealthUpdate) -> None:
        """Tell this at the next turn, in place of what was to be told of the same thing."""
        key = records.key_of(fact)
        if key is None:
            return
        self._outbox.pop(key, None)
        self._outbox[key] = fact
        if len(self._outbox) > _MOST_TO_TELL:
            del self._outbox[next(iter(self._outbox))]

    def turn(self, *, early: bool = False) -> None:
        """Tell what is to be told and hear what is new, if it is time for that (or ``early``)."""
        now = self._now()
        if now < self.due and not early:
            return
        self._last_turn = now
        told = [record for fact in self._outbox.values() if (record := records.write(fact, self._next(), now))]
        heard = self._ask(lambda: self._store.swap(told))
        if heard is not None:
            self._outbox.clear()
            self._take_in(heard)

    def find(self, key: Hashable) -> tuple[tuple[ModelInfo, ...], float] | None:
        """The model list that another process stored and its age in seconds, if Redis has it and answers."""
        name = records.list_key(key)
        found = self._ask(lambda: self._store.get(name)) if name else None
        return records.read_list(found) if found else None

    def keep(self, key: Hashable, models: tuple[ModelInfo, ...], ttl: float) -> None:
        """Store a model list, if Redis answers."""
        if record := records.write_list(key, models, ttl):
            self._ask(lambda: self._store.put(record))

    def close(self) -> None:
        """Tell what is still to be told, and hang up."""
        if self._outbox:
            self.turn(early=True)
        self._ask(self._store.close)

    def _next(self) -> str:
        self._sent += 1
        return f"{self._sender}-{self._sent}"

    def _take_in(self, heard: list[Record]) -> None:
        before, self._heard = self._heard, {}
        for record in heard:
            found = records.read(record, self._now())
            if found is None:
                continue
            fact, identifier = found
            self._heard[record.key] = identifier
            if before.get(record.key) != identifier and not identifier.startswith(self._sender):
                self._learn(fact)

    def _ask(self, work: Callable[[], _T]) -> _T | None:
        """What Redis answers; None where it fails, or failed a moment ago."""
        if self._now() < self._rests_until:
            return None
        try:
            answer = work()
        except Exception as problem:  # noqa: BLE001 - whatever the client raises: no call may notice, nor this thread end
            self._fail(problem)
            return None
        if self._ailing:
            self._ailing = False
            _log.info("shared state: Redis answers again")
        return answer

    def _fail(self, problem: Exception) -> None:
        now = self._now()
        self._rests_until = now + _REST
        self._ailing = True
        # A server at the limit of what is waited for fails now and then: that is said once in a while, not each time.
        level = logging.WARNING if now - self._warned >= _WARN_EVERY else logging.DEBUG
        if level == logging.WARNING:
            self._warned = now
        told = (type(problem).__name__, _REST)  # its words may hold the address
        _log.log(level, "shared state: Redis failed (%s); calls go on without it, next try in %.0f s", *told)
