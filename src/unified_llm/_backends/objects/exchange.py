"""Exchanges with model objects (wrapped models, user-defined providers), which have no deadlines of their own.

A sync model runs in a daemon thread that passes its events on through a short queue. When the deadline of the attempt
is over, the thread is abandoned: it stops at its next event, and as a daemon it does not delay the interpreter's exit.
A model that hangs would leave one thread for every call, so their number is bounded: beyond it, an attempt fails at
once, and the call goes on to its next target.

A model object yields events: chunks, then ``Done`` or a ``Failure``. Exceptions from it are mapped to failures here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from typing import Final, Protocol

from unified_llm._backends.objects.finalize import FinishInBackground
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import current
from unified_llm.types.requests import LLMRequest

# Events that a thread may be ahead of its reader.
_QUEUE_SIZE: Final = 16
# Abandoned threads that may be running: of one model object, and of all in this process.
_MAX_ABANDONED: Final = 16
_MAX_ABANDONED_IN_ALL: Final = 256

_abandoned: Final[dict[Thread, int]] = {}
"""Threads that ran when they were abandoned, with the number of their model object."""


class EventSource(Protocol):
    """Model object as a source of events; each request has its own generator.

    ``number`` belongs to the object, as in ``WrappedModel``.
    """

    number: int

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        """Yield the events of one response, blocking the thread that reads them."""
        ...

    def aevents(self, request: LLMRequest) -> AsyncGenerator[Event, None]:
        """Yield the events of one response, on the event loop."""
        ...

    def read_failure(self, error: Exception, /) -> Failure | None:
        """Map an exception to a failure of the model's provider; None for a bug in someone's code."""
        ...


class ThreadExchange:
    """An attempt in a thread. Nothing runs before ``open``.

    Args:
        model: The model object.
        request: The request to it.
        notify: Called, in the thread, after each event that is put into the queue.
    """

    def __init__(self, model: EventSource, request: LLMRequest, notify: Callable[[], None] | None = None) -> None:
        self._model = model
        self._request = request
        self._notify = notify
        self._queue: Queue[Event | BaseException] = Queue(_QUEUE_SIZE)
        self._abandoned = False
        self._thread: Thread | None = None

    def open(self, until: float) -> Failure | None:  # noqa: ARG002 - nothing is waited for
        """Start the thread, in the caller's context; fail if too many that were abandoned are still running."""
        if _too_many_abandoned(self._model.number):
            return Failure("pool", detail="Too many threads still run calls that have timed out.")
        context = contextvars.copy_context()
        self._thread = Thread(target=context.run, args=(self._run,), name="unified-llm-model", daemon=True)
        self._thread.start()
        return None

    def read(self, until: float) -> Event:
        """Return the next event from the thread, or a timeout failure."""
        try:
            return _raise_or_return(self._queue.get(timeout=max(0.0, until - current().now())))
        except Empty:
            return Failure("timeout")

    def read_nowait(self) -> Event | None:
        """Return the next event if there is one yet."""
        try:
            return _raise_or_return(self._queue.get_nowait())
        except Empty:
            return None

    def close(self) -> None:
        """Abandon the thread: it stops at its next event."""
        self._abandoned = True
        with suppress(Empty):
            while True:  # make room: a thread that waits to put an event would wait without end
                self._queue.get_nowait()
        if self._thread is not None and self._thread.is_alive():
            _abandoned[self._thread] = self._model.number

    def _run(self) -> None:
        events = self._model.events(self._request)
        try:
            for event in events:
                self._put(event)
                if self._abandoned:
                    return
        except BaseException as error:  # noqa: BLE001 - a failure, or raised in the thread that reads
            failure = self._model.read_failure(error) if isinstance(error, Exception) else None
            self._put(failure or error)
        finally:
            with suppress(Exception):  # the attempt has its outcome already, or was abandoned
                events.close()

    def _put(self, event: Event | BaseException) -> None:
        self._queue.put(event)
        if self._notify:
            self._notify()


def _too_many_abandoned(number: int) -> bool:
    """Return whether too many abandoned threads are running: of one model object, or of all."""
    if not _abandoned:
        return False
    for thread in list(_abandoned):
        if not thread.is_alive():  # it ended, or it is a thread of the parent of this process
            _abandoned.pop(thread, None)
    of_model = sum(owner == number for owner in list(_abandoned.values()))
    return of_model >= _MAX_ABANDONED or len(_abandoned) >= _MAX_ABANDONED_IN_ALL


def _raise_or_return(event: Event | BaseException) -> Event:
    if isinstance(event, BaseException):
        raise event
    return event


class ThreadedAsyncExchange:
    """An attempt in a thread, for async callers: the event loop is never blocked. Nothing runs before ``open``."""

    def __init__(self, model: EventSource, request: LLMRequest) -> None:
        self._loop = asyncio.get_running_loop()
        self._event_ready = asyncio.Event()
        self._inner = ThreadExchange(model, request, self._wake_loop)

    def _wake_loop(self) -> None:
        with suppress(RuntimeError):  # the loop has been closed, so nothing waits any more
            self._loop.call_soon_threadsafe(self._event_ready.set)

    async def open(self, until: float) -> Failure | None:
        """Start the thread."""
        return self._inner.open(until)

    async def read(self, until: float) -> Event:
        """Return the next event, or a timeout failure, without blocking the loop."""
        try:
            async with asyncio.timeout(until - current().now()):
                while (event := self._inner.read_nowait()) is None:
                    await self._event_ready.wait()
                    self._event_ready.clear()
        except TimeoutError:
            return Failure("timeout")
        return event

    async def close(self) -> None:
        """Abandon the thread: it stops at its next event."""
        self._inner.close()


class NativeExchange:
    """An attempt on the event loop, with a model object that is async itself. Nothing runs before ``read``."""

    def __init__(self, model: EventSource, request: LLMRequest) -> None:
        self._model = model
        self._events = model.aevents(request)

    async def open(self, until: float) -> Failure | None:  # noqa: ARG002 - the model opens when it is read
        """Return None: the first read starts the call."""
        return None

    async def read(self, until: float) -> Event:
        """Return the next event; at the deadline, cancel the model."""
        try:
            async with asyncio.timeout(until - current().now()):
                return await anext(self._events)
        except Exception as error:
            failure = self._model.read_failure(error)
            if failure is None:
                raise
            return failure

    async def close(self) -> None:
        """Close the model's generator. What its clean-up raises is dropped: the attempt has its outcome already."""
        with suppress(Exception):
            await FinishInBackground(self._events.aclose())
