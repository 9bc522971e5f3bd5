"""Attempts on a chat model object of LangChain's, which knows nothing of deadlines.

A synchronous model runs in a daemon thread that hands its chunks over through a short queue. When the attempt's time is
over the thread is left to itself: it stops at its next chunk, and never keeps the interpreter from ending.
"""

# LangChain's own points of extension begin with an underscore, and this file is on their other side.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, suppress
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Final

from langchain_core.outputs import ChatResult

from unified_llm.exchange import Event
from unified_llm.langchain.foreign_answers import ChunkReader, read_result
from unified_llm.langchain.foreign_failures import read_failure
from unified_llm.outcome import Failure
from unified_llm.runtime import current
from unified_llm.types import LLMRequest

if TYPE_CHECKING:
    from unified_llm.langchain.foreign import ForeignChat, Phrased

# Chunks that a thread may be ahead of its reader.
_AHEAD: Final = 16


class ThreadExchange:
    """An attempt in a thread.

    Args:
        foreign: The model.
        request: What is asked of it.
        notify: Called, in the thread, after each event that is handed over.
    """

    def __init__(self, foreign: ForeignChat, request: LLMRequest, notify: Callable[[], None] | None = None) -> None:
        """Nothing runs before ``open``."""
        self._foreign = foreign
        self._request = request
        self._notify = notify
        self._queue: Queue[Event | Exception] = Queue(_AHEAD)
        self._abandoned = False

    def open(self, until: float) -> Failure | None:  # noqa: ARG002 - a thread is always accepted
        """Start the thread, in the caller's context."""
        context = contextvars.copy_context()
        Thread(target=context.run, args=(self._run,), name="unified-llm-langchain", daemon=True).start()
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
        events = self._events()
        try:
            for event in events:
                self._hand_over(event)
                if self._abandoned:
                    return
        except Exception as problem:  # noqa: BLE001 - what a model raises is an outcome; others' mistakes are raised
            self._hand_over(read_failure(problem) or problem)
        finally:
            events.close()

    def _hand_over(self, event: Event | Exception) -> None:
        self._queue.put(event)
        if self._notify:
            self._notify()

    def _events(self) -> Generator[Event, None, None]:
        foreign = self._foreign
        phrased = foreign.phrase(self._request)
        if limiter := foreign.chat.rate_limiter:
            limiter.acquire(blocking=True)
        if self._request.stream and foreign.streams:
            reader = ChunkReader(foreign, phrased)
            stream = foreign.chat._stream(phrased.messages, phrased.stop, **phrased.options)
            for chunk in stream:
                if ours := reader.feed(chunk):
                    yield ours
            yield reader.finish()
        else:
            result = foreign.chat._generate(phrased.messages, phrased.stop, **phrased.options)
            yield from _whole(foreign, phrased, result, streaming=self._request.stream)


def _unwrap(event: Event | Exception) -> Event:
    if isinstance(event, Exception):
        raise event
    return event


class ThreadedAsyncExchange:
    """An attempt in a thread, for asynchronous callers. No thread of theirs waits for it."""

    def __init__(self, foreign: ForeignChat, request: LLMRequest) -> None:
        """Nothing runs before ``open``."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._inner = ThreadExchange(foreign, request, self._tell)

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

    def __init__(self, foreign: ForeignChat, request: LLMRequest) -> None:
        """Nothing runs before ``read``."""
        self._events = self._produce(foreign, request)

    async def open(self, until: float) -> Failure | None:  # noqa: ARG002 - the model opens when it is read
        """Nothing to do: the first read begins the call."""
        return None

    async def read(self, until: float) -> Event:
        """The next event; when time is over, the model is cancelled."""
        try:
            async with asyncio.timeout(until - current().now()):
                return await anext(self._events)
        except Exception as problem:
            failure = read_failure(problem)
            if failure is None:
                raise
            return failure

    async def close(self) -> None:
        """End the model's own generator."""
        await self._events.aclose()

    async def _produce(self, foreign: ForeignChat, request: LLMRequest) -> AsyncGenerator[Event, None]:
        phrased = foreign.phrase(request)
        if limiter := foreign.chat.rate_limiter:
            await limiter.aacquire(blocking=True)
        if request.stream and foreign.streams:
            reader = ChunkReader(foreign, phrased)
            stream = foreign.chat._astream(phrased.messages, phrased.stop, **phrased.options)
            async with aclosing(stream) as chunks:  # type: ignore[type-var] # an async generator, said more widely
                async for chunk in chunks:
                    if ours := reader.feed(chunk):
                        yield ours
            yield reader.finish()
        else:
            result = await foreign.chat._agenerate(phrased.messages, phrased.stop, **phrased.options)
            for event in _whole(foreign, phrased, result, streaming=request.stream):
                yield event


def _whole(foreign: ForeignChat, phrased: Phrased, result: ChatResult, *, streaming: bool) -> Iterator[Event]:
    """The events of a whole answer: one, or a stream of one chunk where chunks were asked for."""
    if not streaming:
        yield read_result(foreign, phrased, result)
        return
    reader = ChunkReader(foreign, phrased)
    if chunk := reader.feed_whole(result):
        yield chunk
    yield reader.finish()
