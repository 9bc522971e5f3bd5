"""One thread for each loaded model: it owns the weights, the running batch and every cache.

MLX ties arrays and streams to the thread that made them, so nothing of MLX ever leaves the engine thread: requests go
in through a queue and join the running batch, text comes out through each request's own callback. An engine decides
nothing (no retry, no deadline, no waiting for a slow reader) and knows nothing of asyncio.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport] - see below
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from unified_llm._backends.mlx.batch import Batch
from unified_llm._backends.mlx.encoder import Encoder
from unified_llm._backends.mlx.engine_types import Payload, EngineError, Output, EngineRequest
from unified_llm._backends.mlx.loading import load
from unified_llm._backends.mlx.model_folder import is_encoder, read_object

# mlx-lm imports concurrent.futures.thread, which refuses to be imported once the interpreter has begun to exit; where
# that happens while a model is being loaded, it must be there already.


class Engine:
    """A model and the thread that runs it.

    The thread starts at once and loads the model; requests may be handed in meanwhile. A model that cannot be loaded
    answers every request with the same ``EngineError``.

    Attributes:
        folder: Where the model lies, in the Hugging Face layout.
        ended: Why the engine takes no more requests, or None while it does.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: EngineError | None = None
        self._lock = threading.Lock()
        self._queue: SimpleQueue[EngineRequest | None] = SimpleQueue()
        self._pid = os.getpid()
        # A daemon, for the interpreter waits for other threads before it calls `close_engines`.
        self._thread = threading.Thread(target=self._run, name=f"mlx-engine-{folder.name}", daemon=True)
        self._thread.start()

    def submit(self, prompt: Payload, put: Callable[[Output], None]) -> EngineRequest:
        """Hand in a request.

        Args:
            prompt: What to ask.
            put: Called with each output, from the engine thread: it must return at once. An exception from it
                cancels the request.
        """
        ticket = EngineRequest(prompt, put, self._queue.put)
        refusal = _forked(self._pid)
        if refusal is None:
            with self._lock:  # the thread looks for the last time into the queue under the same lock
                refusal = self.ended
                if refusal is None:
                    self._queue.put(ticket)
        if refusal is not None:
            ticket.deliver(refusal)
        return ticket

    def close(self) -> None:
        """End the thread and free the model; requests that still run receive an ``EngineError``."""
        if _forked(self._pid) is None and self._thread is not threading.current_thread():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        ended = EngineError("server", f"The engine of the model in {self.folder} was closed: start a new one.")
        try:
            if is_encoder(read_object(self.folder / "config.json")):
                Encoder(self.folder).serve(self._queue)
            else:
                Batch(load(self.folder), self.folder).serve(self._queue)
        except EngineError as error:
            ended = error
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for an answer
            ended = EngineError("server", f"The engine of the model in {self.folder} failed ({type(error).__name__}).")
        with self._lock:
            self.ended = ended
            late = [self._queue.get() for _ in range(self._queue.qsize())]
        for ticket in late:
            if ticket is not None:
                ticket.deliver(ended)
        _release_thread()


def _release_thread() -> None:
    """Leave MLX in a state in which this thread, and then the interpreter, can end without an abort."""
    if mx := sys.modules.get("mlx.core"):
        mx.synchronize()
        mx.clear_streams()


_engines: dict[Path, Engine] = {}
_engines_lock = threading.Lock()
_engines_pid = os.getpid()


def engine_for(folder: Path) -> Engine:
    """Return this process's engine for a model, starting it on first use; one that has ended is replaced.

    Raises:
        EngineError: An engine was started before this process was forked.
    """
    global _engines_pid  # noqa: PLW0603 - the process that the table belongs to
    if _engines_pid != os.getpid():
        if _engines and (refusal := _forked(_engines_pid)):
            raise refusal
        _engines_pid = os.getpid()
    folder = folder.resolve()
    with _engines_lock:
        engine = _engines.get(folder)
        if engine is None or engine.ended is not None:
            engine = _engines[folder] = Engine(folder)
        return engine


@atexit.register
def close_engines() -> None:
    """Close every engine of this process; called at exit, and harmless at any other time."""
    while _engines and _engines_pid == os.getpid():
        _engines.popitem()[1].close()


def _forked(pid: int) -> EngineError | None:
    """Refuse work in a child of the process in which MLX was started: its threads did not come along."""
    if pid == os.getpid():
        return None
    message = "MLX does not survive a fork: start worker processes with the 'spawn' method, or use MLX in them alone."
    return EngineError("unsupported", message)
