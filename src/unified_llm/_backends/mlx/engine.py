"""One thread for each loaded model: it owns the weights, the running batch and every cache.

MLX ties arrays and streams to the thread that made them, so nothing of MLX ever leaves the engine thread: requests go
in through a queue and join the running batch, text comes out through each request's own callback. An engine has no
retries, no deadlines and no back-pressure, and does not use asyncio. The life of one request to a chat model::

    caller's thread     engine thread

    submit() ---------> queue
                          |
                          v
                        admit ---------> EngineError: chat template, context window, sampling fields
                          |
                          v
                        prefill          the prompt is read in parts, by the same steps of the batch
                          |
                          v
                   +--> batch step       one token of every running request
                   |      |
    on_output() <--+------+ TextChunk    held back while it may be the beginning of a stop string
                          |
                          v
    on_output() <------ Finished         end of the turn, stop string, or max_tokens

    cancel() ---------> queue ---------> out of the batch before the next step; no further output

Requests in the queue are admitted between two steps, so a new request joins while others are being answered. A step
that fails (out of memory) ends all running requests with an ``EngineError``, and the batch starts again empty. An
embedding model has the same queue; its requests take turns (see ``encoder``).

An engine is in one of three states. Requests may be submitted in the first two; in the third, as when loading fails,
each request that waits or comes gets the same ``EngineError``::

    loading ------> ready ------> ended
       |                            ^
       +----------------------------+   loading failed; ``close`` or ``stop``; the thread failed
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport] - see below
import gc
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from unified_llm._backends.mlx.encoder import Encoder
from unified_llm._backends.mlx.engine_types import (
    EngineError,
    EngineKey,
    EngineRequest,
    EngineState,
    Output,
    Payload,
    UnloadableError,
)
from unified_llm._backends.mlx.memory import prefix_share
from unified_llm._backends.mlx.model_files import fingerprint, read_object
from unified_llm._backends.mlx.model_folder import is_encoder
from unified_llm._backends.mlx.scheduler import PREFIX_BYTES, Scheduler
from unified_llm._backends.mlx.vision_loading import load
from unified_llm._core import runtime
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.system_memory import release_heap

# mlx-lm imports concurrent.futures.thread, which cannot be imported once the interpreter has begun to exit. It is
# imported here, since the exit may begin while a model is being loaded.

_DEFAULTS: Final = MLXConfig()


class Engine:
    """A model and the thread that runs it.

    The thread starts at once and loads the model; requests may be submitted meanwhile. A model that cannot be loaded
    answers every request with the same ``EngineError``.

    Args:
        key: The model, with its adapter and its draft model.
        settings: Those of the target that asks for it.
        make_room: Called with the engine, in its thread, before the model is loaded. It calls ``reserve``,
            and raises the ``EngineError`` with which the engine ends where there is no memory.

    Attributes:
        key: As above.
        folder: The folder of the model, in the Hugging Face layout.
        settings: Those of the target that asked for the engine last: the length of the queue, the time until unloading.
        state: Whether the model is being loaded, is ready, or the engine has ended.
        ended: Why the engine takes no more requests, or None while it does.
        room: The bytes that the weights may take: as much as the memory limit and the other models leave; None for no
            limit.
        last_used: The instant at which a request came or ended last, of ``runtime.current().now``.
        files: The files of the model when its loading began.
    """

    def __init__(
        self,
        key: EngineKey,
        settings: MLXConfig = _DEFAULTS,
        make_room: Callable[[Engine], None] = lambda _: None,
    ) -> None:
        self.key = key
        self.folder = key.folder
        self.settings = settings
        self.state: EngineState = "loading"
        self.ended: EngineError | None = None
        self._estimate = 0
        self._model: Encoder | Scheduler | None = None
        self.room: int | None = None
        self._make_room = make_room
        self.last_used = runtime.current().now()
        self.files = self._fingerprints()
        self._lock = make_lock()
        self._queue: SimpleQueue[EngineRequest | None] = SimpleQueue()
        self._pending: set[EngineRequest] = set()
        self._when_loaded: list[Callable[[], object]] = []
        self._pid = os.getpid()
        # A daemon, because the interpreter waits for other threads before it calls `close_engines`.
        self._thread = threading.Thread(target=self._run, name=f"mlx-engine-{key.folder.name}", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The bytes that the model takes in memory, with its caches: estimated from its files, then measured.

        What reads images is estimated until it is loaded.

        It is 0 before the estimate, and once the memory is free.
        """
        model = self._model
        return self._estimate if model is None else model.size or self._estimate

    @property
    def lacks_images(self) -> bool:
        """Return whether the part of the model that reads images is still to be loaded."""
        return isinstance(self._model, Scheduler) and self._model.lacks_images

    def reserve(self, size: int, room: int) -> None:
        """Note, before the model is loaded, what it will take, and what its weights may take."""
        self._estimate, self.room = size, room

    @property
    def pending(self) -> int:
        """The number of requests that wait or run."""
        return len(self._pending)

    def submit(self, payload: Payload, on_output: Callable[[Output], None]) -> EngineRequest:
        """Put a request into the queue; where that is full, its output is an error at once.

        Args:
            payload: The prompt, or the texts.
            on_output: Called with each output, from the engine thread: it must return at once. An exception from it
                cancels the request.
        """
        request = EngineRequest(payload, on_output, self._queue.put, self._on_end)
        refusal = None if self._is_here else fork_error()
        if refusal is None:
            with self._lock:  # the thread empties the queue for the last time under the same lock
                refusal = self.ended or self._full_error()
                if refusal is None:
                    self.last_used = runtime.current().now()
                    self._pending.add(request)
                    self._queue.put(request)
        if refusal is not None:
            request.deliver(refusal)
        return request

    @property
    def _is_here(self) -> bool:
        """Return whether this is the process that started the engine, not a forked child of it."""
        return self._pid == os.getpid()

    def _full_error(self) -> EngineError | None:
        if len(self._pending) < self.settings.max_queue:
            return None
        message = (
            f"The model in {self.folder} has {len(self._pending)} requests that wait or run, and max_queue allows no "
            "more: try again when one has ended, raise max_queue in mlx=, or add a fallback."
        )
        return EngineError("rate_limit", message)

    def _on_end(self, request: EngineRequest) -> None:
        with self._lock:
            if request in self._pending:
                self._pending.discard(request)
                self.last_used = runtime.current().now()

    def when_loaded(self, callback: Callable[[], object]) -> None:
        """Call back once the model is loaded, or the engine has ended; at once where that has happened.

        Args:
            callback: Called once, from the engine thread or from this one; it must return at once and not raise.
        """
        with self._lock:
            if self.state == "loading" and self._is_here:
                self._when_loaded.append(callback)
                return
        callback()

    def wait_loaded(self, timeout: float | None = None) -> bool:
        """Wait until the model is loaded or the engine has ended; return False if that takes longer than ``timeout``.

        Args:
            timeout: Seconds; None for no limit.
        """
        loaded = threading.Event()
        self.when_loaded(loaded.set)
        return loaded.wait(timeout)

    @property
    def may_be_replaced(self) -> bool:
        """Return whether a new engine of the same model might do what this one cannot do any more."""
        if isinstance(self.ended, UnloadableError):
            return self._fingerprints() != self.files
        return self.ended is not None

    def _fingerprints(self) -> tuple[object, ...]:
        folders = (self.key.folder, self.key.adapter, self.key.draft)
        return tuple(fingerprint(folder) for folder in folders if folder is not None)

    @property
    def is_alive(self) -> bool:
        """Return whether the thread runs, and may have memory of MLX."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until the thread has ended and its memory is free; not in the thread itself, or in a forked child."""
        if self._is_here and self._thread is not threading.current_thread():
            self._thread.join()

    def stop(self) -> None:
        """Let the thread end and free the model, without waiting for it; running requests get an ``EngineError``."""
        with self._lock:
            self._end(self._closed_error())
        self._queue.put(None)

    def _end(self, reason: EngineError) -> EngineError:
        """Take no more requests, and return why: the first reason stays. The caller holds the lock."""
        self.ended = self.ended or reason
        self.state = "ended"
        return self.ended

    def _closed_error(self) -> EngineError:
        return EngineError("server", f"The engine of the model in {self.folder} was closed: start a new one.")

    def close(self) -> None:
        """End the thread and free the model; requests that still run receive an ``EngineError``."""
        if self._is_here and self._thread is not threading.current_thread():
            self.stop()
            self.join()

    def _is_loaded(self) -> None:
        """Note, in the engine thread, that the model is loaded."""
        with self._lock:
            if self.state == "loading":  # else it was closed meanwhile
                self.state = "ready"
            self.last_used = runtime.current().now()
        self._call_back()

    def _call_back(self) -> None:
        with self._lock:
            callbacks, self._when_loaded = self._when_loaded, []
        for callback in callbacks:
            callback()

    def _run(self) -> None:
        reason = self._closed_error()
        try:
            self._make_room(self)
            self._serve()
        except EngineError as error:
            # Its frames, and those of its causes, have the model, which is to be freed; the error stays.
            reason = error.with_traceback(None)
            reason.__cause__ = reason.__context__ = None
        except BaseException as error:  # noqa: BLE001 - whatever it was, the requests in the queue get an answer
            reason = EngineError("server", f"The engine of the model in {self.folder} failed ({type(error).__name__}).")
        with self._lock:
            ended = self._end(reason)
            late = [self._queue.get() for _ in range(self._queue.qsize())]
        for request in late:
            if request is not None:
                request.deliver(ended)
        self._call_back()
        _release_thread()
        self._estimate = 0

    def _serve(self) -> None:
        model = self._model = self._load()
        try:
            self._is_loaded()
            model.serve(self._queue)
        finally:
            self._model = None

    def _load(self) -> Encoder | Scheduler:
        if is_encoder(read_object(self.folder / "config.json")):
            return Encoder(self.folder)
        loaded = load(self.key, self.room, self._check)
        weights = loaded.size
        if loaded.vision is not None:
            left = None if self.room is None else self.room - loaded.size
            loaded.vision.reserve(self._estimate - loaded.size, left)
            weights += loaded.vision.size
        return Scheduler(loaded, prefix_share(self.room, weights, PREFIX_BYTES))

    def _check(self) -> None:
        """Refuse to go on loading where the engine was told to end."""
        if self.ended is not None:
            raise self.ended


def _release_thread() -> None:
    """Give the memory back, and synchronise MLX, so that this thread, and then the interpreter, can end cleanly."""
    if "mlx.core" in sys.modules:
        import mlx.core as mx  # waits where another thread has only begun to import it

        gc.collect()  # networks have reference cycles
        mx.synchronize()
        mx.clear_cache()
        release_heap()
        mx.clear_streams()


def fork_error() -> EngineError:
    """Make the error for a forked child of the process that started an engine: the thread does not exist there."""
    message = "MLX does not survive a fork: start worker processes with the 'spawn' method, or use MLX in them alone."
    return EngineError("unsupported", message, reason="MLX does not survive a fork")
