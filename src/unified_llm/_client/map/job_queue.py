"""The calls of a run in an event loop, a limited number at once; and that loop in a thread, for sync callers."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from unified_llm._client.queued_calls import queued_calls

JobT = TypeVar("JobT")
OutcomeT = TypeVar("OutcomeT")

_JOIN_SECONDS: Final = 10.0  # after which the thread is left to end by itself: a model object may block its loop


class JobQueue(Generic[JobT, OutcomeT]):
    """Runs jobs in the running event loop, in the order in which they are submitted.

    Args:
        concurrency: The most that run at once.
        run: Runs a job.
        deliver: Called with what a job returned, or with the exception that it raised.
    """

    def __init__(
        self,
        concurrency: int,
        run: Callable[[JobT], Coroutine[Any, Any, OutcomeT]],
        deliver: Callable[[OutcomeT | BaseException], object],
    ) -> None:
        self._concurrency, self._run, self._deliver = concurrency, run, deliver
        self._waiting: deque[tuple[JobT, contextvars.Context]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def submit(self, job: JobT, context: contextvars.Context) -> None:
        """Run a job, in a context, as soon as there is room."""
        self._waiting.append((job, context))
        self._start_next()

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < self._concurrency and not self._is_stopped:
            job, context = self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(self._run_one(job), context=context)
            self._running.add(task)
            task.add_done_callback(self._end)

    async def _run_one(self, job: JobT) -> None:
        try:
            with queued_calls():
                outcome: OutcomeT | BaseException = await self._run(job)
        except BaseException as error:
            if self._is_stopped:
                raise
            outcome = error  # which ends the run, in the thread or task that waits
        self._deliver(outcome)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start_next()

    def cancel(self) -> None:
        """Cancel what runs, and run nothing more."""
        self._is_stopped = True
        self._waiting.clear()
        for task in self._running:
            task.cancel()

    async def stop(self) -> None:
        """Do the same, and wait until all of it has ended."""
        self.cancel()
        while self._running:
            await asyncio.wait(self._running)


class ThreadedJobQueue(Generic[JobT, OutcomeT]):
    """A ``JobQueue`` in an event loop of its own thread. Its methods are called in other threads.

    Args:
        make_queue: Makes the queue, in that loop.
        at_end: Awaited in the loop after the last job.
    """

    def __init__(
        self, make_queue: Callable[[], JobQueue[JobT, OutcomeT]], at_end: Callable[[], Awaitable[None]]
    ) -> None:
        self._make_queue, self._at_end = make_queue, at_end
        self._process = os.getpid()
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._work,), name="unified-llm-map", daemon=True)
        self._thread.start()
        self._loop, self._stop = self._started.result()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
            raise

    async def _serve(self) -> None:
        self._queue, stop = self._make_queue(), asyncio.Event()
        self._started.set_result((asyncio.get_running_loop(), stop))
        try:
            await stop.wait()
        finally:
            await self._queue.stop()
            await self._at_end()

    def submit(self, job: JobT, context: contextvars.Context) -> None:
        """Run a job, in a context, as soon as there is room."""
        self._loop.call_soon_threadsafe(self._queue.submit, job, context)

    def close(self) -> None:
        """Cancel what runs, and end the thread; a forked child has none."""
        if os.getpid() != self._process:
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not threading.current_thread():  # which the garbage collector may run in
            self._thread.join(_JOIN_SECONDS)
