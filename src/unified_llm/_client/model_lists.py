"""Model lists, kept for a while: one request however many ask, from threads and tasks alike.

Where state is shared, a list that another process asked for will do as well.

Which model lists a chain has, and how they are put together. Asking for them is the client's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.resolve import ResolvedTarget
from unified_llm._core import defaults
from unified_llm._core.target import Target
from unified_llm._state import sharing
from unified_llm.exceptions import LLMError, UnsupportedOperationError
from unified_llm.types.requests import ModelsRequest
from unified_llm.types.responses import ModelInfo

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


class ModelListCache:
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


# A list that never ends is a fault of the server.
_MOST_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class ModelListKey:
    """One model list: fallbacks at the same provider, address and key share it.

    Attributes:
        target: Whom to ask.
        ttl: Seconds that the list stays fresh.
    """

    target: Target
    ttl: float

    @property
    def key(self) -> Hashable:
        """What the list is kept under."""
        target = self.target
        return (target.provider, target.base_url, target.key.fingerprint if target.key else None)


def places(chain: Sequence[ResolvedTarget]) -> list[ModelListKey]:
    """The model lists of a chain, in its order."""
    found: dict[Hashable, ModelListKey] = {}
    for resolved in chain:
        # Without a model: a list that is broken says nothing of the health of a model, nor the other way round.
        place = ModelListKey(replace(resolved.target, model=""), _ttl(resolved.config))
        found.setdefault(place.key, place)
    return list(found.values())


def _ttl(config: LLMConfig | None) -> float:
    if config is not None and "cache_ttl" in config.model_fields_set:
        return config.cache_ttl
    ttl: float | None = defaults.default("cache_ttl")
    return LLMConfig().cache_ttl if ttl is None else ttl


class PageReader:
    """Reads one list page by page.

    Attributes:
        next: What to ask next; None when the list is complete.
        models: What has come so far.
    """

    def __init__(self) -> None:
        """Nothing has been asked yet."""
        self.next: ModelsRequest | None = ModelsRequest()
        self.models: Models = ()
        self._read = 0

    def read(self, page: tuple[Models, str | None]) -> None:
        """Take in a page and the cursor of the next."""
        models, cursor = page
        self.models += models
        self._read += 1
        self.next = ModelsRequest(cursor) if cursor is not None and self._read < _MOST_PAGES else None


class ModelListMerger:
    """Lists as they come in; a failure counts only where nothing came at all."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._models: list[ModelInfo] = []
        self._problem: LLMError | None = None
        self._answered = False

    def add(self, models: Models) -> None:
        """A provider answered."""
        self._answered = True
        self._models.extend(models)

    def missed(self, problem: LLMError) -> None:
        """A provider did not; a failure says more than a missing feature."""
        if self._problem is None or isinstance(self._problem, UnsupportedOperationError):
            self._problem = problem

    def result(self) -> list[ModelInfo]:
        """All models.

        Raises:
            LLMError: No provider answered.
        """
        if not self._answered and self._problem:
            raise self._problem
        return self._models
