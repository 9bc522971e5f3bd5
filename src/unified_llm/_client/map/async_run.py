"""A run over many prompts, for async callers. See ``run``."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Generic, Self

from unified_llm._client.drivers import check_loop
from unified_llm._client.map.job_queue import JobQueue
from unified_llm._client.map.options import RunOptions
from unified_llm._client.map.run import BaseRun
from unified_llm._client.map.tally import Finished
from unified_llm._client.map.window import Step
from unified_llm._client.map.work import Item, Work
from unified_llm._client.stream_misuse import AsyncOnly
from unified_llm.exceptions import ValidationError
from unified_llm.types.map_results import MapResult, ResponseT


class _Inbox(Generic[ResponseT]):
    """What the jobs and the prompts' reader of an async run have delivered. Refers to nothing else of the run."""

    def __init__(self) -> None:
        self.outcomes: deque[list[Finished[ResponseT]] | BaseException] = deque()
        self._wake = asyncio.Event()

    def put(self, outcome: list[Finished[ResponseT]] | BaseException) -> None:
        """Add what a job returned."""
        self.outcomes.append(outcome)
        self._wake.set()

    def wake(self) -> None:
        """Let ``wait`` return."""
        self._wake.set()

    async def wait(self) -> None:
        """Wait for something new."""
        await self._wake.wait()
        self._wake.clear()


class _AsyncReader:
    """Reads an async iterable in one task, a few prompts ahead, while results are waited for."""

    def __init__(self, source: AsyncIterable[Any], wake: Callable[[], None]) -> None:
        self._source, self._wake = source, wake
        self._prompts: asyncio.Queue[Any] = asyncio.Queue(1)
        self._is_done = self._is_cancelled = False
        self._error: BaseException | None = None
        self._task = asyncio.get_running_loop().create_task(self._pump())

    async def _pump(self) -> None:
        try:
            async for prompt in self._source:
                await self._prompts.put(prompt)
                self._wake()
        except BaseException as error:
            if self._is_cancelled:
                raise
            self._error = error  # raised by ``read``: an iterable that was cancelled has not come to its end
        finally:
            self._is_done = True
            self._wake()

    @property
    def can_read(self) -> bool:
        """Whether ``read`` has something to return or to raise."""
        return self._is_done or not self._prompts.empty()

    def read(self) -> Any:
        """Return the next prompt.

        Raises:
            StopIteration: There is none.
        """
        if not self._prompts.empty():
            return self._prompts.get_nowait()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def cancel(self) -> None:
        """Read no more."""
        self._is_cancelled = True
        self._task.cancel()

    async def stop(self) -> None:
        """Do the same, and wait until the iterable has noticed."""
        self.cancel()
        await asyncio.wait([self._task])


class _SyncReader:
    """Reads an iterable in the task of the caller."""

    can_read: Final = True

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source

    def read(self) -> Any:
        """Return the next prompt.

        Raises:
            StopIteration: There is none.
        """
        return next(self._source)

    def cancel(self) -> None:
        """Read no more."""
        self._source = iter(())

    async def stop(self) -> None:
        """Do the same."""
        self.cancel()


class AsyncMapRun(BaseRun[ResponseT], AsyncOnly):
    """The results of ``client.amap(prompts)``: an async iterator of ``MapResult``, and an async context manager.

    As ``MapRun``; ``aclose`` ends it, and so does the cancellation of a task that waits for a result.
    """

    _event_loop: asyncio.AbstractEventLoop | None = None
    _queue: JobQueue[list[Item], list[Finished[ResponseT]]]
    _reader: _AsyncReader | _SyncReader

    def __init__(
        self,
        work: Work[ResponseT],
        source: AsyncIterable[Any] | Iterable[Any],
        options: RunOptions,
        method: str = "map",
    ) -> None:
        super().__init__(work, options, method)
        self._source: AsyncIterable[Any] | Iterable[Any] | None = source
        self._inbox: _Inbox[ResponseT] = _Inbox()
        self._turn = asyncio.Lock()

    def __aiter__(self) -> Self:
        """Return itself: a run is read once.

        Raises:
            ValidationError: It has ended.
        """
        self._check_unread()
        return self

    async def __anext__(self) -> MapResult[ResponseT]:
        """Return the next result.

        Raises:
            LLMError: A prompt failed and ``on_error`` is ``raise``, or more than ``max_failed`` of them did.
            ConfigurationError: The checkpoint cannot be used.
        """
        self._enter_loop()
        async with self._turn:  # several tasks may share the results
            if self._over:
                raise StopAsyncIteration
            try:
                self._begin()
                return await self._advance()
            except GeneratorExit:  # nothing can be awaited any more
                self._cancel()
                raise
            except BaseException:
                await self.aclose()
                raise

    def _enter_loop(self) -> None:
        check_loop()
        loop = asyncio.get_running_loop()
        if self._event_loop is None:
            self._event_loop = loop
        elif self._event_loop is not loop:
            raise ValidationError(
                "This run belongs to the event loop that asked for its first result: call amap() again."
            )

    def _begin(self) -> None:
        super()._begin()
        if self._source is None:
            return
        source, self._source = self._source, None
        self._queue = JobQueue(self._options.concurrency, self._work.run, self._inbox.put)
        if isinstance(source, AsyncIterable):
            self._reader = _AsyncReader(source, self._inbox.wake)
        else:
            self._reader = _SyncReader(iter(source))

    async def _advance(self) -> MapResult[ResponseT]:
        while True:
            while self._inbox.outcomes:
                self._receive(self._inbox.outcomes.popleft())
            match self._window.next_step(can_read=self._reader.can_read):
                case Step.READ:
                    self._read()
                case Step.RETURN:
                    return self._pop()
                case Step.WAIT:
                    if not self._busy:
                        self._submit_group()
                    await self._inbox.wait()
                    if self._over:  # closed by another task
                        raise StopAsyncIteration
                case Step.END:
                    if self._source_error is not None:
                        raise self._source_error
                    raise StopAsyncIteration

    def _read(self) -> None:
        try:
            prompt = self._reader.read()
        except StopIteration:
            self._exhaust(None)
        except Exception as error:  # noqa: BLE001 - raised after the results of what was read
            self._exhaust(error)
        else:
            self._take(prompt)

    def _submit(self, group: list[Item]) -> None:
        self._queue.submit(group, contextvars.copy_context())

    def _cancel(self) -> None:
        """End without waiting."""
        self._over = True
        if self._event_loop is not None and self._source is None:
            self._reader.cancel()
            self._queue.cancel()
        self._inbox.wake()
        self._end_common()

    async def aclose(self) -> None:
        """End the run: cancel the calls in flight, and store what has arrived."""
        self._over = True
        self._inbox.wake()
        try:
            if self._event_loop is not None and self._source is None:
                await self._reader.stop()
                await self._queue.stop()
        finally:
            self._cancel()

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __del__(self) -> None:
        """End a run that nobody holds any more, as after ``break``."""
        loop = getattr(self, "_event_loop", None)
        if loop is None or self._over or self._source is not None:
            return
        reader, queue = self._reader, self._queue
        with suppress(RuntimeError):  # the loop was closed, and its tasks with it
            loop.call_soon_threadsafe(reader.cancel)
            loop.call_soon_threadsafe(queue.cancel)
        self._over = True
        self._end_common()


AsyncMapRun.__module__ = "unified_llm"
