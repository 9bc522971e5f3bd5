"""A run over many prompts: what its sync and its async form share, and the iterator for sync callers.

The caller's thread or task reads the prompts and returns the results, as ``Window`` says; an event loop sends them::

    caller     read a prompt --> look into the checkpoint --> submit         settle --> return a result
                                                                |              ^
    loop                                                        `-- JobQueue --'   concurrency at once

For async callers that is their own loop. For sync callers it is one in a thread of its own, whatever the concurrency,
since a task can be cancelled, and a thread that waits for a response cannot.
"""

from __future__ import annotations

import contextvars
import os
import weakref
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from queue import SimpleQueue
from typing import Any, Generic, Self

from unified_llm._client.map.job_queue import JobQueue, ThreadedJobQueue
from unified_llm._client.map.options import RunOptions
from unified_llm._client.map.tally import Finished, Tally
from unified_llm._client.map.window import Step, Window
from unified_llm._client.map.work import Item, Work
from unified_llm._client.stream_misuse import SyncOnly
from unified_llm._core import runtime
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.short_repr import short_repr
from unified_llm.exceptions import ValidationError
from unified_llm.types.map_results import MapResult, MapTotals, ResponseT


class BaseRun(Generic[ResponseT]):
    """What both runs share: the prompts between reading and returning, and the totals."""

    _item, _thing = "result", "run"  # in errors of misuse
    _over = False

    def __init__(self, work: Work[ResponseT], options: RunOptions, method: str) -> None:
        self._work, self._options, self._method = work, options, method
        self._window: Window[Finished[ResponseT]] = Window(options.concurrency * work.size, ordered=options.ordered)
        self._group: list[Item] = []
        self._busy = 0  # jobs in the queue
        self._tally = Tally()
        self._source_error: Exception | None = None
        self._began: float | None = None
        self._seconds: float | None = None
        self._own_checkpoint: Checkpoint | None = None

    @property
    def totals(self) -> MapTotals:
        """What the run has done so far."""
        return self._tally.totals(self._elapsed() if self._seconds is None else self._seconds)

    def __repr__(self) -> str:
        """Show what was done; no text."""
        state = "ended" if self._over else "running" if self._began is not None else "not begun"
        return short_repr(self, [f"{self._tally.done} done", f"{self._tally.failures} failed", state])

    def _elapsed(self) -> float:
        return 0.0 if self._began is None else runtime.current().now() - self._began

    def _check_unread(self) -> None:
        if self._over:
            raise ValidationError(
                "This run has ended, or was closed: .totals has what it did. To go through the results twice, keep "
                "them in a list; to go on with the prompts that are left, call map() again with the same checkpoint=."
            )

    def _begin(self) -> None:
        """Open the checkpoint and the progress bar, before the first prompt is read."""
        if self._began is not None:
            return
        self._began = runtime.current().now()
        checkpoint = self._options.checkpoint
        if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
            from unified_llm._client.checkpoints import open_checkpoint

            checkpoint = self._own_checkpoint = open_checkpoint(checkpoint)
        self._work.checkpoint = checkpoint
        self._options.progress.start()

    def _take(self, prompt: Any) -> None:
        """Number a prompt that was read, and submit it with others, once they are enough for a call."""
        number = self._window.take()
        item = self._work.read(number, prompt)
        if isinstance(item, Finished):
            self._settle([item])
            return
        self._group.append(item)
        if len(self._group) >= self._work.size:
            self._submit_group()

    def _exhaust(self, error: Exception | None) -> None:
        """Read no more: the prompts are at their end, or raised this; then that is raised after the last result."""
        self._source_error = error
        self._window.exhaust()
        self._submit_group()

    def _submit_group(self) -> None:
        if self._group:
            group, self._group = self._group, []
            self._busy += 1
            self._submit(group)

    @abstractmethod
    def _submit(self, group: list[Item]) -> None:
        """Hand prompts to the event loop."""

    def _receive(self, outcome: list[Finished[ResponseT]] | BaseException) -> None:
        """Take what a job returned."""
        self._busy -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        self._settle(outcome)

    def _settle(self, results: list[Finished[ResponseT]]) -> None:
        for finished in results:
            self._tally.add(finished)
            self._window.finish(finished.result.index, finished)
            error = finished.result.error
            if error is not None and (most := self._options.max_failed) is not None and self._tally.failures > most:
                error.add_note(
                    f"The run has ended: more than max_failed={most} prompts failed. This is the last error."
                )
                raise error
        self._options.progress.update(self._make_totals)

    def _make_totals(self) -> MapTotals:
        return self.totals

    def _pop(self) -> MapResult[ResponseT]:
        result = self._window.pop().result
        if self._options.raise_errors and result.error is not None:
            raise result.error
        return result

    def _end_common(self) -> None:
        """Close what both runs have, once nothing is running."""
        if self._seconds is None:
            self._seconds = self._elapsed()
            if self._began is not None:
                self._options.progress.end(self.totals)
        checkpoint, self._own_checkpoint = self._own_checkpoint, None
        if checkpoint is not None:
            checkpoint.close()


class MapRun(BaseRun[ResponseT], SyncOnly):
    """The results of ``client.map(prompts)``: an iterator of ``MapResult``, and a context manager.

    Nothing is read or sent before the first result is asked for. ``close``, the end of a ``with`` block, an exception
    and the last result end it: calls in flight are cancelled. ``totals`` has what was done, at any time.
    """

    _queue: ThreadedJobQueue[list[Item], list[Finished[ResponseT]]] | None = None

    def __init__(
        self,
        work: Work[ResponseT],
        source: Iterator[Any],
        options: RunOptions,
        *,
        close_loop: Callable[[], Awaitable[None]],
        method: str = "map",
    ) -> None:
        super().__init__(work, options, method)
        self._source: Iterator[Any] = source
        self._close_loop = close_loop
        self._inbox: SimpleQueue[list[Finished[ResponseT]] | BaseException | None] = SimpleQueue()
        self._lock = make_lock()
        self._process = os.getpid()

    def __iter__(self) -> Self:
        """Return itself: a run is read once.

        Raises:
            ValidationError: It has ended.
        """
        self._check_unread()
        return self

    def __next__(self) -> MapResult[ResponseT]:
        """Return the next result.

        Raises:
            LLMError: A prompt failed and ``on_error`` is ``raise``, or more than ``max_failed`` of them did.
            ConfigurationError: The checkpoint cannot be used.
        """
        if os.getpid() != self._process:
            raise ValidationError(
                "This run was begun by the process that this one was forked from, which goes on with it: call map() "
                "in the child for a run of its own."
            )
        with self._lock:  # several threads may share the results
            if self._over:
                raise StopIteration
            try:
                self._begin()
                return self._advance()
            except BaseException:
                self.close()
                raise

    def _advance(self) -> MapResult[ResponseT]:
        while True:
            while not self._inbox.empty():
                self._take_outcome()
            match self._window.next_step():
                case Step.READ:
                    self._read()
                case Step.RETURN:
                    return self._pop()
                case Step.WAIT:
                    if not self._busy:
                        self._submit_group()
                    self._take_outcome()
                case Step.END:
                    if self._source_error is not None:
                        raise self._source_error
                    raise StopIteration

    def _read(self) -> None:
        """Read a prompt, in the thread of the caller: iterators are not made for several, nor are database cursors."""
        try:
            prompt = next(self._source)
        except StopIteration:
            self._exhaust(None)
        except Exception as error:  # noqa: BLE001 - raised after the results of what was read
            self._exhaust(error)
        else:
            self._take(prompt)

    def _submit(self, group: list[Item]) -> None:
        if self._over:  # closed by another thread
            raise StopIteration
        if self._queue is None:
            # Functions that do not refer to this run: one that nobody holds any more is to be collected.
            concurrency, run, deliver = self._options.concurrency, self._work.run, self._inbox.put
            self._queue = ThreadedJobQueue(lambda: JobQueue(concurrency, run, deliver), self._close_loop)
            weakref.finalize(self, self._queue.close)  # also at the end of the interpreter, before its threads stop
        self._queue.submit(group, contextvars.copy_context())

    def _take_outcome(self) -> None:
        outcome = self._inbox.get()
        if outcome is None:  # closed by another thread
            raise StopIteration
        self._receive(outcome)

    def close(self) -> None:
        """End the run: cancel the calls in flight, close their connections, and store what has arrived."""
        if os.getpid() != self._process:
            return
        self._over, self._source = True, iter(())
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.close()
        self._inbox.put(None)
        self._end_common()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """End a run that nobody holds any more, as after ``break``."""
        if getattr(self, "_queue", None) is not None or getattr(self, "_own_checkpoint", None) is not None:
            self.close()


MapRun.__module__ = "unified_llm"
