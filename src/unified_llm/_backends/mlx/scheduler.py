"""The loop of an engine with a chat model: it empties the queue, and runs a step of what was admitted.

Only the engine thread may use this module::

    queue ----> admit --+--> batch      one token of every request, and a part of the prompts that are read
                        |
                        +--> serial     one token of one request, or a part of its prompt
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Final

from unified_llm._backends.mlx.admission import admit
from unified_llm._backends.mlx.batch import Batch
from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, Finished, LoadImages
from unified_llm._backends.mlx.loading import LoadedModel
from unified_llm._backends.mlx.prefix_cache import PrefixCache
from unified_llm._backends.mlx.serial import Serial

PREFIX_BYTES: Final = 1 << 30
"""The bound of the prefix cache, in bytes, where the engine knows no better one."""


class Scheduler:
    """A chat model and its running requests.

    Args:
        loaded: The model.
        prefix_bytes: The most bytes that the prefix cache takes.
    """

    def __init__(self, loaded: LoadedModel, prefix_bytes: int = PREFIX_BYTES) -> None:
        self._loaded = loaded
        self.prefixes = PrefixCache(prefix_bytes)
        self._batch = Batch(loaded, self.prefixes)
        self._serial = Serial(loaded, self.prefixes)

    @property
    def size(self) -> int:
        """The bytes of the weights, those that images need included, and of the caches; any thread may read it."""
        vision = self._loaded.vision
        return self._loaded.size + self.prefixes.nbytes + (0 if vision is None else vision.size)

    @property
    def lacks_images(self) -> bool:
        """Return whether a prompt with images would have to wait for a part of the model; any thread may ask."""
        vision = self._loaded.vision
        return vision is not None and not vision.is_loaded

    def serve(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        """Admit requests and write answers until None comes through the queue."""
        try:
            while self._admit(queue):
                self._batch.step()
                self._serial.step()
        finally:
            closed = EngineError(
                "server", f"The engine of the model in {self._loaded.folder} was closed during the answer."
            )
            self._batch.fail_all(closed)
            self._serial.fail_all(closed)
            self._batch.close()

    def _admit(self, queue: SimpleQueue[EngineRequest | None]) -> bool:
        """Empty the queue, blocking only while nothing runs; return False when the engine is to end."""
        while True:
            try:
                request = queue.get(block=not (self._batch or self._serial))
            except Empty:
                return True
            if request is None:
                return False
            if request.cancelled:
                self._batch.remove(request)
                self._serial.remove(request)
                continue
            try:
                if isinstance(request.payload, LoadImages):
                    self._load_images()
                    request.deliver(Finished("stop", 0, 0))
                    continue
                running = admit(request, self._loaded)
                (self._serial if self._serial.takes(running.prompt) else self._batch).add(running)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is the error of this request alone
                request.deliver(self._loaded.make_error(error))

    def _load_images(self) -> None:
        if self._loaded.vision is not None:
            self._loaded.vision.load()
