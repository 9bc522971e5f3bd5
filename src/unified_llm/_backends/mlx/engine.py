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
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport] - see below
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from unified_llm._backends.mlx.encoder import Encoder
from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, Output, Payload, UnloadableError
from unified_llm._backends.mlx.loading import load
from unified_llm._backends.mlx.model_folder import fingerprint, is_encoder, read_object
from unified_llm._backends.mlx.scheduler import Scheduler
from unified_llm._lib.fork_safe import make_lock

# mlx-lm imports concurrent.futures.thread, which cannot be imported once the interpreter has begun to exit. It is
# imported here, since the exit may begin while a model is being loaded.


class Engine:
    """A model and the thread that runs it.

    The thread starts at once and loads the model; requests may be submitted meanwhile. A model that cannot be loaded
    answers every request with the same ``EngineError``.

    Attributes:
        folder: The folder of the model, in the Hugging Face layout.
        ended: Why the engine takes no more requests, or None while it does.
        files: The files of the model when its loading began.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = fingerprint(folder)
        self.ended: EngineError | None = None
        self._lock = make_lock()
        self._queue: SimpleQueue[EngineRequest | None] = SimpleQueue()
        self._pid = os.getpid()
        # A daemon, because the interpreter waits for other threads before it calls `close_engines`.
        self._thread = threading.Thread(target=self._run, name=f"mlx-engine-{folder.name}", daemon=True)
        self._thread.start()

    def submit(self, payload: Payload, on_output: Callable[[Output], None]) -> EngineRequest:
        """Put a request into the queue.

        Args:
            payload: The prompt, or the texts.
            on_output: Called with each output, from the engine thread: it must return at once. An exception from it
                cancels the request.
        """
        request = EngineRequest(payload, on_output, self._queue.put)
        refusal = fork_error(self._pid)
        if refusal is None:
            with self._lock:  # the thread empties the queue for the last time under the same lock
                refusal = self.ended
                if refusal is None:
                    self._queue.put(request)
        if refusal is not None:
            request.deliver(refusal)
        return request

    @property
    def may_be_replaced(self) -> bool:
        """Return whether a new engine of the same model might do what this one cannot do any more."""
        if isinstance(self.ended, UnloadableError):
            return fingerprint(self.folder) != self.files
        return self.ended is not None

    def close(self) -> None:
        """End the thread and free the model; requests that still run receive an ``EngineError``."""
        if fork_error(self._pid) is None and self._thread is not threading.current_thread():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        ended = EngineError("server", f"The engine of the model in {self.folder} was closed: start a new one.")
        try:
            if is_encoder(read_object(self.folder / "config.json")):
                Encoder(self.folder).serve(self._queue)
            else:
                Scheduler(load(self.folder)).serve(self._queue)
        except EngineError as error:
            ended = error
        except Exception as error:  # noqa: BLE001 - whatever it was, the requests in the queue get an answer
            ended = EngineError("server", f"The engine of the model in {self.folder} failed ({type(error).__name__}).")
        with self._lock:
            self.ended = ended
            late = [self._queue.get() for _ in range(self._queue.qsize())]
        for request in late:
            if request is not None:
                request.deliver(ended)
        _release_thread()


def _release_thread() -> None:
    """Synchronise MLX, so that this thread, and then the interpreter, can end without an abort."""
    if "mlx.core" in sys.modules:
        import mlx.core as mx  # waits where another thread has only begun to import it

        mx.synchronize()
        mx.clear_streams()


def fork_error(pid: int) -> EngineError | None:
    """Return an error in a forked child of the process in which MLX was started: its threads do not exist there."""
    if pid == os.getpid():
        return None
    message = "MLX does not survive a fork: start worker processes with the 'spawn' method, or use MLX in them alone."
    return EngineError("unsupported", message)
