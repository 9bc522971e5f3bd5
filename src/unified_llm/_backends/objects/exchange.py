"""Attempts on a model object of a framework, which knows nothing of deadlines.

A synchronous model runs in a daemon thread that hands its chunks over through a short queue. When the attempt's time is
over the thread is left to itself: it stops at its next chunk, and never keeps the interpreter from ending.

What the model answers, the framework's own surface tells as events: a generator of chunks that ends with ``Done`` or a
``Failure``. What it raises is read there too.
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

# Chunks that a thread may be ahead of its reader.
_AHEAD: Final = 16


class Asked(Protocol):
    """A model object that can be asked."""

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        """One answer, blocking the thread that reads it."""
        ...

    def aevents(self, request: LLMRequest) -> AsyncGenerator[Event, None]:
        """One answer, on the event loop."""
        ...

    def read_failure(self, problem: Exception) -> Failure | None:
        """What an exception says of the model's provider; None for a mistake in someone's code."""
        ...


class ThreadExchange:
    """An attempt in a thread.

    Args:
        model: Whom to ask.
        request: What is asked.
        notify: Called, in the thread, after each event that is handed over.
    """

    def __init__(self, model: Asked, request: LLMRequest, notify: Callable[[], None] | None = None) -> None:
        """Nothing runs before ``open``."""
        self._model = model
        self._request = request
        self._notify = notify
        self._queue: Queue[Event | BaseException] = Queue(_AHEAD)
        self._abandoned = False

    def open(self, until: float) -> Failure | None:  # noqa: ARG002 - a thread is always accepted
        """Start the thread, in the caller's context."""
        context = contextvars.copy_context()
        Thread(target=context.run, args=(self._run,), name="unified-llm-foreign", daemon=True).start()
        return None

    def read(self, until: float) -> Event:
        """The next event that the thread has handed over."""
        try:
            return _unwrap(self._queue.get(timeout=max(0.0, until - current().now())))
        except Empty:
            return Failure("timeout")

    def read_now(self) -> Event | None:
        """The next event, if there is one yet."""
        try:
            return _unwrap(self._queue.get_nowait())
        except Empty:
            return None

    def close(self) -> None:
        """Leave the thread to itself."""
        self._abandoned = True
        with suppress(Empty):
            while True:  # a thread that waits for room must find some, or it would wait for ever
                self._queue.get_nowait()

    def _run(self) -> None:
        events = self._model.events(self._request)
        try:
            for event in events:
                self._hand_over(event)
                if self._abandoned:
                    return
        except BaseException as problem:  # noqa: BLE001 - an outcome, or raised where somebody waits for an answer
            failure = self._model.read_failure(problem) if isinstance(problem, Exception) else None
            self._hand_over(failure or problem)
        finally:
            with suppress(Exception):  # there is an outcome already, or nobody wants one
                events.close()

    def _hand_over(self, event: Event | BaseException) -> None:
        self._queue.put(event)
        if self._notify:
            self._notify()


def _unwrap(event: Event | BaseException) -> Event:
    if isinstance(event, BaseException):
        raise event
    return event


class ThreadedAsyncExchange:
    """An attempt in a thread, for asynchronous callers. No thread of theirs waits for it."""

    def __init__(self, model: Asked, request: LLMRequest) -> None:
        """Nothing runs before ``open``."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._inner = ThreadExchange(model, request, self._tell)

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop has been closed, and nobody waits any more
            self._loop.call_soon_threadsafe(self._news.set)

    async def open(self, until: float) -> Failure | None:
        """Start the thread."""
        return self._inner.open(until)

    async def read(self, until: float) -> Event:
        """The next event, without blocking the loop."""
        try:
            async with asyncio.timeout(until - current().now()):
                while (event := self._inner.read_now()) is None:
                    await self._news.wait()
                    self._news.clear()
        except TimeoutError:
            return Failure("timeout")
        return event

    async def close(self) -> None:
        """Leave the thread to itself."""
        self._inner.close()


class NativeExchange:
    """An attempt on the event loop."""

    def __init__(self, model: Asked, request: LLMRequest) -> None:
        """Nothing runs before ``read``."""
        self._model = model
        self._events = model.aevents(request)

    async def open(self, until: float) -> Failure | None:  # noqa: ARG002 - the model opens when it is read
        """Nothing to do: the first read begins the call."""
        return None

    async def read(self, until: float) -> Event:
        """The next event; when time is over, the model is cancelled."""
        try:
            async with asyncio.timeout(until - current().now()):
                return await anext(self._events)
        except Exception as problem:
            failure = self._model.read_failure(problem)
            if failure is None:
                raise
            return failure

    async def close(self) -> None:
        """End the model's own generator. What its clean-up raises concerns nobody: there is an outcome already."""
        with suppress(Exception):
            await FinishInBackground(self._events.aclose())
