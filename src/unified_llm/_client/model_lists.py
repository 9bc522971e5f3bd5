"""Model lists: a cache in which one request serves all who ask at once, threads and tasks alike; paging; merging.

Where state is shared through Redis, a list that another process has fetched is used as well. The requests themselves
are made by the client.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from unified_llm._client import errors
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.make_target import ResolvedTarget
from unified_llm._core import defaults, runtime
from unified_llm._core.cache_identity import cache_identity
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits, Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm._state import sharing
from unified_llm.exceptions import LLMError, UnsupportedOperationError
from unified_llm.types.requests import ModelsRequest
from unified_llm.types.responses import ModelInfo

if TYPE_CHECKING:
    from concurrent.futures import Future


Models = tuple[ModelInfo, ...]


class _AbandonedError(Exception):
    """The thread or task that fetched the list was cancelled: one of those that waited must fetch it instead."""


@dataclass(frozen=True, slots=True)
class _Cached:
    models: Models
    until: float
    now: Callable[[], float]  # the clock of that instant


class ModelListCache:
    """A cache of model lists with a time to live, in seconds of the clock that is passed in.

    The first to ask for a key fetches the list; the others wait for its result. Failures are not cached. Entries stored
    under another clock are stale (tests swap the clock).
    """

    def __init__(self) -> None:
        self._lock = make_lock()
        self._cached: dict[Hashable, _Cached] = {}
        # A list that was dropped is fetched again, whatever other processes still have: each key keeps the generation
        # in which its list was last fetched.
        self._generation = 0
        self._generations: dict[Hashable, int] = {}
        self._begin()
        sharing.begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._fetching: dict[Hashable, Future[Models]] = {}

    def get(self, key: Hashable, ttl: float, now: Callable[[], float], fetch: Callable[[], Models]) -> Models:
        """Return the models of ``key``, fetched by ``fetch`` unless a fresh list is cached."""
        while True:
            cached, leads = self._look_up(key, now)
            if isinstance(cached, tuple):
                return cached
            if not leads:
                if _in_event_loop():
                    return fetch()  # waiting here could block the event loop that the response needs
                with suppress(_AbandonedError):
                    return cached.result()
                continue
            try:
                sync = sharing.sync_thread()
                shared = sync.find(key, ttl) if sync and self._trusts(key) else None
                models, age = shared or (fetch(), 0.0)
            except BaseException as error:
                self._fail(key, cached, error)
                raise
            self._store(key, cached, _Cached(models, now() + ttl - age, now))
            if sync and not shared:
                sync.keep(key, models, ttl)
            return models

    async def aget(
        self, key: Hashable, ttl: float, now: Callable[[], float], fetch: Callable[[], Awaitable[Models]]
    ) -> Models:
        """Do the same as ``get``, for async callers."""
        while True:
            cached, leads = self._look_up(key, now)
            if isinstance(cached, tuple):
                return cached
            if not leads:
                import asyncio

                with suppress(_AbandonedError):
                    return await asyncio.wrap_future(cached)
                continue
            try:
                sync = sharing.sync_thread()
                shared = await sync.afind(key, ttl) if sync and self._trusts(key) else None
                models, age = shared or (await fetch(), 0.0)
            except BaseException as error:
                self._fail(key, cached, error)
                raise
            self._store(key, cached, _Cached(models, now() + ttl - age, now))
            if sync and not shared:
                sync.keep(key, models, ttl)
            return models

    def forget(self, key: Hashable | None = None) -> None:
        """Drop one list, or all."""
        with self._lock:
            if key is None:
                self._cached.clear()
                self._generation += 1
            else:
                self._cached.pop(key, None)
                self._generations[key] = -1

    def drop(self, key: Hashable, model: str) -> None:
        """Remove one model from a list: its provider has none of that name."""
        with self._lock:
            if kept := self._cached.get(key):
                self._cached[key] = replace(kept, models=tuple(info for info in kept.models if info.id != model))

    def _look_up(self, key: Hashable, now: Callable[[], float]) -> tuple[Models | Future[Models], bool]:
        """Return a fresh list, or a future to wait for, or (True) a future that the caller must fulfil."""
        from concurrent.futures import Future

        if self._process != os.getpid():  # forked: the thread that was fetching exists in the parent alone
            self._begin()
        with self._lock:
            kept = self._cached.get(key)
            if kept and kept.now == now and kept.until > now():
                return kept.models, False
            future = self._fetching.get(key)
            if future:
                return future, False
            future = self._fetching[key] = Future()
            future.set_running_or_notify_cancel()  # so that a waiting task that is cancelled cannot cancel it for all
            return future, True

    def _trusts(self, key: Hashable) -> bool:
        """Check that a list of another process may be used: not one that may have been dropped here."""
        with self._lock:
            return self._generations.get(key, 0) == self._generation

    def _store(self, key: Hashable, future: Future[Models], kept: _Cached) -> None:
        with self._lock:
            self._cached[key] = kept
            self._generations[key] = self._generation
            del self._fetching[key]
        future.set_result(kept.models)

    def _fail(self, key: Hashable, future: Future[Models], error: BaseException) -> None:
        with self._lock:
            del self._fetching[key]
        future.set_exception(error if isinstance(error, Exception) else _AbandonedError())


def _in_event_loop() -> bool:
    if (asyncio := sys.modules.get("asyncio")) is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


# Pages and models of one list; a server whose list never ends is broken.
_MOST_PAGES: Final = 100
_MOST_MODELS: Final = 100_000
# Seconds for the description of the loaded models, which servers have at hand.
_LOADED_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ModelListKey:
    """One model list: fallbacks with the same provider, address, account and headers share it.

    Attributes:
        target: The target whose provider is asked.
        ttl: Seconds that the list stays fresh.
    """

    target: Target
    ttl: float

    @property
    def cache_key(self) -> Hashable:
        """Provider, address, account and headers: a list of one account says nothing of another's models."""
        return (self.target.provider, self.target.base_url, cache_identity(self.target))

    def serves(self, target: Target) -> bool:
        """Return whether the models of this list include that of a target, if it is listed at all."""
        return (self.target.provider, self.target.base_url) == (target.provider, target.base_url)


def model_list_keys(chain: Sequence[ResolvedTarget]) -> list[ModelListKey]:
    """Return the model lists of a chain, in its order, each once."""
    keys: dict[Hashable, ModelListKey] = {}
    for resolved in chain:
        # Without a model: the health of a model list and that of a model are apart.
        key = ModelListKey(replace(resolved.target, model=""), _ttl(resolved.config))
        keys.setdefault(key.cache_key, key)
    return list(keys.values())


def _ttl(config: LLMConfig | None) -> float:
    if config is not None and "cache_ttl" in config.model_fields_set:
        return config.cache_ttl
    ttl: float | None = defaults.default("cache_ttl")
    return LLMConfig().cache_ttl if ttl is None else ttl


def with_short_limits(target: Target) -> Target:
    """Return the target for a request that a model list can do without: one attempt of a few seconds."""
    timing = replace(target.timing, whole=_LOADED_SECONDS, fixed=True, of_call=True)
    return replace(target, retry=RetryLimits(limit=0), timing=timing)


class PageReader:
    """Reads one list page by page.

    Attributes:
        next: The request for the next page; None when the list is complete.

    Args:
        target: The target whose provider is asked.
    """

    def __init__(self, target: Target) -> None:
        self.next: ModelsRequest | None = ModelsRequest()
        self._target = target
        self._models: list[ModelInfo] = []
        self._read = 0

    @property
    def models(self) -> Models:
        """The models of all pages so far."""
        return tuple(self._models)

    def read(self, page: tuple[Models, str | None]) -> None:
        """Add a page, given with the cursor of the next.

        Raises:
            GenerationError: The list has more than 100,000 models.
        """
        models, cursor = page
        self._models += models
        if len(self._models) > _MOST_MODELS:
            detail = f"More than {_MOST_MODELS} models in one list."
            raise errors.from_failure(self._target, Failure("oversized", detail=detail))
        self._read += 1
        self.next = ModelsRequest(cursor) if cursor is not None and self._read < _MOST_PAGES else None

    def with_windows(self, loaded: Models) -> Models:
        """Return the models, with the context windows that the loaded ones of these names are served with."""
        windows = {info.id: info.context_window for info in loaded}
        only = loaded[0].context_window if len(loaded) == len(self._models) == 1 else None
        return tuple(
            replace(info, context_window=window) if (window := windows.get(info.id) or only) else info
            for info in self._models
        )


class ModelListMerger:
    """Merges the lists of a chain; a failure counts only where no list came at all."""

    def __init__(self) -> None:
        self._models: list[ModelInfo] = []
        self._error: LLMError | None = None
        self._answered = False

    def add(self, models: Models) -> None:
        """Add the list of a provider."""
        self._answered = True
        self._models.extend(models)

    def failed(self, error: LLMError) -> None:
        """Remember the first error; a failure is more telling than a missing feature."""
        if self._error is None or isinstance(self._error, UnsupportedOperationError):
            self._error = error

    def result(self) -> list[ModelInfo]:
        """Return all models.

        Raises:
            LLMError: No provider answered.
        """
        if not self._answered and self._error:
            raise self._error
        return self._models


class ProviderCheck:
    """Whether a provider responds to a request for its model list.

    Attributes:
        key: Its list.
        models: The list, once there is one.
    """

    def __init__(self, key: ModelListKey) -> None:
        self.key = key
        self.models: Models | None = None
        self._error: LLMError | None = None
        self._seconds = 0.0

    @contextmanager
    def recording(self) -> Generator[None]:
        """Take the time of the request in this block, and keep its error."""
        now = runtime.current().now
        began = now()
        try:
            yield
        except LLMError as error:
            self._error = error
        finally:
            self._seconds = now() - began

    def row(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return {
            "provider": self.key.target.provider,
            "base_url": self.key.target.base_url or None,
            "ok": self.models is not None,
            "models": None if self.models is None else len(self.models),
            "seconds": round(self._seconds, 3),
            "error": None if self._error is None else str(self._error),
        }
