"""Model lists, kept for a while: one request however many ask, from threads and tasks alike.

Where state is shared, a list that another process asked for will do as well.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unified_llm import sharing
from unified_llm.types import ModelInfo

if TYPE_CHECKING:
    from concurrent.futures import Future

Models = tuple[ModelInfo, ...]


class _AbandonedError(Exception):
    """Whoever was asking gave up (cancelled, interrupted): one of those who waited must ask instead."""


@dataclass(frozen=True, slots=True)
class _Kept:
    models: Models
    until: float
    now: Callable[[], float]  # the clock of that instant


class Catalogue:
    """A cache of model lists with a time to live, in seconds of the clock that is passed in.

    Whoever comes first for a key asks; the others wait for that answer. Failures are not kept. A list that came by
    another clock is no longer fresh: that clock was a test's.
    """

    def __init__(self) -> None:
        """An empty catalogue."""
        self._kept: dict[Hashable, _Kept] = {}
        # What was forgotten is asked for anew, whatever other processes still have. A key is as old as its last list.
        self._age = 0
        self._ages: dict[Hashable, int] = {}
        self._begin()
        sharing.begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._asking: dict[Hashable, Future[Models]] = {}

    def get(self, key: Hashable, ttl: float, now: Callable[[], float], fetch: Callable[[], Models]) -> Models:
        """The models of ``key``, asked for through ``fetch`` unless a fresh list is at hand."""
        while True:
            found, leads = self._look(key, now)
            if isinstance(found, tuple):
                return found
            if not leads:
                if _in_event_loop():
                    return fetch()  # waiting here could block the very loop that the answer needs
                with suppress(_AbandonedError):
                    return found.result()
                continue
            try:
                courier = sharing.courier()
                shared = courier.find(key, ttl) if courier and self._trusts(key) else None
                models, age = shared or (fetch(), 0.0)
            except BaseException as problem:
                self._fail(key, found, problem)
                raise
            self._keep(key, found, _Kept(models, now() + ttl - age, now))
            if courier and not shared:
                courier.keep(key, models, ttl)
            return models

    async def aget(
        self, key: Hashable, ttl: float, now: Callable[[], float], fetch: Callable[[], Awaitable[Models]]
    ) -> Models:
        """As ``get``."""
        while True:
            found, leads = self._look(key, now)
            if isinstance(found, tuple):
                return found
            if not leads:
                import asyncio

                with suppress(_AbandonedError):
                    return await asyncio.wrap_future(found)
                continue
            try:
                courier = sharing.courier()
                shared = await courier.afind(key, ttl) if courier and self._trusts(key) else None
                models, age = shared or (await fetch(), 0.0)
            except BaseException as problem:
                self._fail(key, found, problem)
                raise
            self._keep(key, found, _Kept(models, now() + ttl - age, now))
            if courier and not shared:
                courier.keep(key, models, ttl)
            return models

    def forget(self, key: Hashable | None = None) -> None:
        """Drop one list, or all."""
        with self._lock:
            if key is None:
                self._kept.clear()
                self._age += 1
            else:
                self._kept.pop(key, None)
                self._ages[key] = -1

    def drop(self, key: Hashable, model: str) -> None:
        """Take one model out of a list: its provider says that there is none."""
        with self._lock:
            if kept := self._kept.get(key):
                self._kept[key] = replace(kept, models=tuple(each for each in kept.models if each.id != model))

    def _look(self, key: Hashable, now: Callable[[], float]) -> tuple[Models | Future[Models], bool]:
        """What is at hand: a fresh list, or an answer to wait for, or (True) one that the caller must bring about."""
        from concurrent.futures import Future

        if self._process != os.getpid():  # forked: whoever was asking is a thread of the parent, and will not answer
            self._begin()
        with self._lock:
            kept = self._kept.get(key)
            if kept and kept.now == now and kept.until > now():
                return kept.models, False
            asking = self._asking.get(key)
            if asking:
                return asking, False
            asking = self._asking[key] = Future()
            asking.set_running_or_notify_cancel()  # so that a waiting task that is cancelled cannot cancel it for all
            return asking, True

    def _trusts(self, key: Hashable) -> bool:
        """Whether the list of another process will do: not where it could be the one that was forgotten here."""
        with self._lock:
            return self._ages.get(key, 0) == self._age

    def _keep(self, key: Hashable, asking: Future[Models], kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._ages[key] = self._age
            del self._asking[key]
        asking.set_result(kept.models)

    def _fail(self, key: Hashable, asking: Future[Models], problem: BaseException) -> None:
        with self._lock:
            del self._asking[key]
        asking.set_exception(problem if isinstance(problem, Exception) else _AbandonedError())


def _in_event_loop() -> bool:
    if (asyncio := sys.modules.get("asyncio")) is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
