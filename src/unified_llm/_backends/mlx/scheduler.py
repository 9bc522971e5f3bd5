"""The loop of an engine with a chat model: it empties the queue, and runs a step of what was admitted.

Only the engine thread may use this module::

    queue ----> admit ----> batch      one token of every request, and a part of the prompts that are read
"""

from __future__ import annotations

from queue import Empty, SimpleQueue

from unified_llm._backends.mlx.admission import admit
from unified_llm._backends.mlx.batch import Batch
from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest
from unified_llm._backends.mlx.loading import LoadedModel


class Scheduler:
    """A chat model and its running requests."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._batch = Batch(loaded)

    def serve(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        """Admit requests and write answers until None comes through the queue."""
        try:
            while self._admit(queue):
                self._batch.step()
        finally:
            message = f"The engine of the model in {self._loaded.folder} was closed during the answer."
            self._batch.fail_all(EngineError("server", message))
            self._batch.close()

    def _admit(self, queue: SimpleQueue[EngineRequest | None]) -> bool:
        """Empty the queue, blocking only while nothing runs; return False when the engine is to end."""
        while True:
            try:
                request = queue.get(block=not self._batch)
            except Empty:
                return True
            if request is None:
                return False
            if request.cancelled:
                self._batch.remove(request)
                continue
            try:
                self._batch.add(admit(request, self._loaded))
            except Exception as error:  # noqa: BLE001 - whatever it was, it is the error of this request alone
                request.deliver(self._loaded.make_error(error))
