"""The model lists of this process: kept for a time, and requested once however many callers need one.

A list that is too old for a caller is requested again. Where that fails, or takes longer than a moment, the old one is
returned, marked as stale, for a day at most; the request goes on meanwhile::

    fresh                      the list
    none, or a day old         the first caller requests it, the others wait
    older than its time        the request runs by itself, all callers wait a moment for it, then get the old list

Where lists are stored in a folder, or state is shared through Redis, a list that another process has requested is used
as well.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from unified_llm import exceptions as exc
from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.swappable import Swappable
from unified_llm._state import model_list_files, sharing
from unified_llm._state.model_list_files import LONGEST_STALE, Stored
from unified_llm.types.responses import ModelInfo

if TYPE_CHECKING:
    import asyncio

Models = tuple[ModelInfo, ...]

# Seconds that a caller waits for a new list where there is an old one.
PATIENCE: Final = 1.0
# The most lists, and models in all of them, that are kept; those that were requested first are dropped.
_MOST_LISTS: Final = 256
_MOST_MODELS: Final = 200_000
# Failures that say nothing of the models; another one (the key was refused) is for the caller to see.
_TRANSIENT: Final = (
    exc.ConnectionError,
    exc.TimeoutError,
    exc.ServiceUnavailableError,
    exc.RateLimitError,
    exc.GenerationError,
)


class _AbandonedError(Exception):
    """The thread or task that requested the list was cancelled: one of those that waited must do it instead."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list, and the instant of its request by the clock ``now``. Tests swap the clock: then it does not count."""

    models: Models
    requested: float
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that runs; ``loop`` is the event loop that it needs."""

    future: Future[Models] = field(default_factory=Future[Models])
    began: float = field(default_factory=time.monotonic)
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_dead(self) -> bool:
        """Return whether it can never end: its event loop was closed under it."""
        return self.loop is not None and self.loop.is_closed()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Request of a caller for a model list.

    Attributes:
        key: Names the list.
        ttl: Seconds for which the caller takes a list as fresh; 0 for none.
        now: The clock.
        use_cache: False for a list that is requested from now on.
    """

    key: Hashable
    ttl: float
    now: Callable[[], float]
    use_cache: bool = True


class ModelListCache:
    """Model lists by their keys, for threads and event loops. Failures are not cached."""

    def __init__(self) -> None:
        self._lock = make_lock()
        self._kept: BoundedDict[Hashable, _Kept] = BoundedDict(_MOST_LISTS)
        # Lists that were dropped here are requested from their provider, whatever other processes still have.
        self._dropped: BoundedDict[Hashable, None] = BoundedDict(_MOST_LISTS)
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._running: dict[Hashable, _Request] = {}
        self._tasks: set[asyncio.Task[Models]] = set()

    def get(self, wanted: Wanted, fetch: Callable[[], Models]) -> Models:
        """Return a list, requested by ``fetch`` where none is kept that will do.

        Raises:
            LLMError: The request failed, and there is no old list, or the failure says that it is of no use.
        """
        while True:
            models, request, leads = self._look_up(wanted, None)
            if request is None:
                return models
            if leads and (stored := self._read_stored(wanted, request)) is not None:
                return stored
            old = self._find_old(wanted)
            if leads and old is None:
                return self._run(wanted, request, fetch)
            if leads:
                self._start_thread(wanted, request, fetch)
            elif _running_loop():  # waiting here could block the event loop that the response needs
                return fetch() if old is None else old
            try:
                return request.future.result(None if old is None else _patience(request))
            except _AbandonedError:
                continue
            except (TimeoutError, *_TRANSIENT):
                if old is None:
                    raise
                return old

    async def aget(self, wanted: Wanted, fetch: Callable[[], Awaitable[Models]]) -> Models:
        """Do the same as ``get``, for async callers."""
        import asyncio

        while True:
            models, request, leads = self._look_up(wanted, asyncio.get_running_loop())
            if request is None:
                return models
            if leads and (stored := await self._aread_stored(wanted, request)) is not None:
                return stored
            old = self._find_old(wanted)
            if leads and old is None:
                return await self._arun(wanted, request, fetch)
            if leads:
                self._start_task(self._arun(wanted, request, fetch))
            waiting = asyncio.wrap_future(request.future)
            try:
                return await asyncio.wait_for(waiting, None if old is None else _patience(request))
            except _AbandonedError:
                continue
            except (TimeoutError, *_TRANSIENT):
                if old is None:
                    raise
                return old

    def forget(self, keys: Iterable[Hashable]) -> None:
        """Drop lists: they are requested again, also where a request runs."""
        for key in keys:
            with self._lock:
                self._kept.pop(key, None)
                self._running.pop(key, None)
                self._dropped.put(key, None)
            model_list_files.remove(key)

    def drop(self, key: Hashable, model: str) -> None:
        """Remove one model from a list: its provider has none of that name."""
        with self._lock:
            if kept := self._kept.get(key):
                self._kept[key] = replace(kept, models=tuple(info for info in kept.models if info.id != model))

    def clear(self) -> None:
        """Forget everything, for tests."""
        with self._lock:
            self._kept.clear()
            self._dropped.clear()
            self._begin()

    def _look_up(self, wanted: Wanted, loop: asyncio.AbstractEventLoop | None) -> tuple[Models, _Request | None, bool]:
        """Return a fresh list; or a request to wait for, or (True) one that the caller must run."""
        if self._process != os.getpid():  # forked: the threads that were requesting exist in the parent alone
            self._begin()
        with self._lock:
            kept = self._kept.get(wanted.key)
            if wanted.use_cache and kept and kept.now == wanted.now and _age(kept) < wanted.ttl:
                return kept.models, None, False
            request = self._running.get(wanted.key)
            if request is not None and not request.is_dead:
                return (), request, False
            if request is not None:
                request.future.set_exception(_AbandonedError())
            request = self._running[wanted.key] = _Request(loop=loop)
            request.future.set_running_or_notify_cancel()  # no waiting task that is cancelled cancels it for all
            return (), request, True

    def _find_old(self, wanted: Wanted) -> Models | None:
        """Return the list that stands in for a new one, marked as stale; None where there is none."""
        kept = self._kept.get(wanted.key)
        if not (wanted.use_cache and wanted.ttl > 0 and kept and kept.now == wanted.now):
            return None
        return tuple(replace(info, stale=True) for info in kept.models) if _age(kept) < LONGEST_STALE else None

    # Lists in files

    def _read_stored(self, wanted: Wanted, request: _Request) -> Models | None:
        """Keep the list that is stored, if it is newer; return it where it is fresh, which ends the request."""
        if not self._uses_files(wanted):
            return None
        with self._failing_with(wanted, request):
            return self._take(wanted, request, model_list_files.read(wanted.key))

    async def _aread_stored(self, wanted: Wanted, request: _Request) -> Models | None:
        if not self._uses_files(wanted):
            return None
        import asyncio

        with self._failing_with(wanted, request):
            return self._take(wanted, request, await asyncio.to_thread(model_list_files.read, wanted.key))

    def _take(self, wanted: Wanted, request: _Request, stored: Stored | None) -> Models | None:
        if stored is None:
            return None
        if stored.age < wanted.ttl:
            self._store(wanted, request, stored.models, stored.age)
            return stored.models
        with self._lock:
            kept = self._kept.get(wanted.key)
            if kept is None or kept.now != wanted.now or _age(kept) > stored.age:
                self._kept.put(wanted.key, _Kept(stored.models, wanted.now() - stored.age, wanted.now))
        return None

    def _uses_files(self, wanted: Wanted) -> bool:
        return wanted.ttl > 0 and self._trusts(wanted) and model_list_files.folder() is not None

    def _stores(self, wanted: Wanted, request: _Request, age: float) -> bool:
        """Return whether a list is written: it was requested now, and was not dropped meanwhile."""
        is_wanted = wanted.ttl > 0 and age <= 0 and self._running.get(wanted.key) is request
        return is_wanted and model_list_files.folder() is not None

    # The request

    def _run(self, wanted: Wanted, request: _Request, fetch: Callable[[], Models]) -> Models:
        with self._failing_with(wanted, request):
            sync = sharing.sync_thread()
            shared = sync.find(wanted.key, wanted.ttl) if sync and self._trusts(wanted) else None
            models, age = shared or (fetch(), 0.0)
            if self._stores(wanted, request, age):
                model_list_files.write(wanted.key, models)
        self._store(wanted, request, models, age)
        if sync and not shared:
            sync.keep(wanted.key, models, wanted.ttl)
        return models

    async def _arun(self, wanted: Wanted, request: _Request, fetch: Callable[[], Awaitable[Models]]) -> Models:
        with self._failing_with(wanted, request):
            sync = sharing.sync_thread()
            shared = await sync.afind(wanted.key, wanted.ttl) if sync and self._trusts(wanted) else None
            models, age = shared or (await fetch(), 0.0)
            if self._stores(wanted, request, age):
                import asyncio

                await asyncio.to_thread(model_list_files.write, wanted.key, models)
        self._store(wanted, request, models, age)
        if sync and not shared:
            sync.keep(wanted.key, models, wanted.ttl)
        return models

    def _trusts(self, wanted: Wanted) -> bool:
        """Check that a list of another process may be used: not one that may have been dropped here."""
        return wanted.use_cache and wanted.key not in self._dropped

    def _store(self, wanted: Wanted, request: _Request, models: Models, age: float) -> None:
        with self._lock:
            if self._running.get(wanted.key) is request:  # else the list was dropped since
                del self._running[wanted.key]
                self._dropped.pop(wanted.key, None)
                self._kept.put(wanted.key, _Kept(models, wanted.now() - age, wanted.now))
                while len(self._kept) > 1 and sum(len(kept.models) for kept in self._kept.values()) > _MOST_MODELS:
                    del self._kept[next(iter(self._kept))]
        with suppress(InvalidStateError):  # it was taken for dead
            request.future.set_result(models)

    @contextmanager
    def _failing_with(self, wanted: Wanted, request: _Request) -> Generator[None]:
        """End the request for all that wait for it where this block raises."""
        try:
            yield
        except BaseException as error:
            with self._lock:
                if self._running.get(wanted.key) is request:
                    del self._running[wanted.key]
            with suppress(InvalidStateError):
                request.future.set_exception(error if isinstance(error, Exception) else _AbandonedError())
            raise

    # The request by itself, while callers have an old list

    def _start_thread(self, wanted: Wanted, request: _Request, fetch: Callable[[], Models]) -> None:
        """Run a request in a thread; here if there can be no more threads."""

        def run() -> None:
            with suppress(Exception):  # which those that wait for the request get
                self._run(wanted, request, fetch)

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(run,), name="unified-llm-models", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            run()

    def _start_task(self, request: Coroutine[Any, Any, Models]) -> None:
        import asyncio

        task = asyncio.get_running_loop().create_task(request)
        self._tasks.add(task)  # the event loop itself keeps tasks only while something else does
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[Models]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # those that wait for the request have it


def _age(kept: _Kept) -> float:
    return kept.now() - kept.requested


def _patience(request: _Request) -> float:
    return max(0.0, request.began + PATIENCE - time.monotonic())


def _running_loop() -> bool:
    if (asyncio := sys.modules.get("asyncio")) is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_lists: Final = Swappable(ModelListCache)
# ``apart`` is for simulated providers, which have made-up lists.
current, apart = _lists.current, _lists.apart
