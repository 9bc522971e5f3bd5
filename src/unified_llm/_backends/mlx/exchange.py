"""A model in this process as a target: sync and async exchanges over an engine's callbacks.

``mlx/demo`` is the embedded demo model; any other ``mlx/<name>`` is a folder in the Hugging Face layout, with a chat
model or an embedding model in it (``model_names``).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from unified_llm._backends.mlx import engines
from unified_llm._backends.mlx.chat_call import ChatCall
from unified_llm._backends.mlx.engine_calls import EmbeddingCall, EngineCall, to_failure
from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, Output
from unified_llm._backends.mlx.engines import engine_key, get_engine
from unified_llm._backends.mlx.local_models import find_models
from unified_llm._core import runtime
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.requests import EmbeddingRequest, ModelsRequest


class MLXModel:
    """A target that is a model in this process. The model is loaded by the first exchange.

    Attributes:
        provider: ``mlx``.
        model: ``demo``, or the folder as the user wrote it.
        features: The model's features.
        context_window: In tokens, where known.
    """

    def __init__(self, target: Target) -> None:
        self.provider = target.provider
        self.model = target.model
        self.features: frozenset[Feature] = target.features
        self.context_window = target.context_window
        self._target = target

    def exchange(self, request: Any) -> Exchange:
        """Create an attempt for sync callers."""
        if isinstance(request, ModelsRequest):
            return _SyncModelList()
        return _SyncExchange(self._target, self._call(request))

    def aexchange(self, request: Any) -> AsyncExchange:
        """Create an attempt for async callers."""
        if isinstance(request, ModelsRequest):
            return _AsyncModelList()
        return _AsyncExchange(self._target, self._call(request))

    def _call(self, request: Any) -> EngineCall:
        if isinstance(request, EmbeddingRequest):
            return EmbeddingCall(self._target, request)
        return ChatCall(self._target, request)


class _EngineExchange:
    """The common part of the sync and async exchanges: submit and cancel."""

    def __init__(self, target: Target, call: EngineCall) -> None:
        self._target = target
        self._call = call
        self._submitted: EngineRequest | None = None

    def _submit(self, on_output: Callable[[Output], None]) -> Failure | None:
        try:
            if (refusal := self._call.refusal) is not None:
                return refusal
            key, payload = engine_key(self._target), self._call.encode()
            with engines.LOCK:  # so that the engine is not unloaded between the two
                engine = get_engine(key, settings=self._target.mlx, memory_limit=self._target.memory_limit)
                self._submitted = engine.submit(payload, on_output)
        except ConfigurationError:
            return Failure("model_not_found")
        except EngineError as error:
            return to_failure(error)
        return None

    def _left_behind(self) -> Failure | None:
        """Return why nothing more comes where this process was forked after the request was submitted."""
        try:
            engines.refuse_in_child()
        except EngineError as error:
            return to_failure(error)
        return None

    def _cancel(self) -> None:
        if self._submitted is not None:
            self._submitted.cancel()


class _SyncExchange(_EngineExchange):
    """An attempt for sync callers."""

    def __init__(self, target: Target, call: EngineCall) -> None:
        super().__init__(target, call)
        self._outputs: SimpleQueue[Output] = SimpleQueue()

    def open(self, until: float) -> Failure | None:
        del until  # submitting takes no time; the first read waits until the model is loaded
        return self._submit(self._outputs.put)

    def read(self, until: float) -> Event:
        if (failure := self._left_behind()) is not None:
            return failure
        while True:
            try:
                left = max(0.0, until - runtime.current().now())
                output = self._outputs.get(timeout=min(left, threading.TIMEOUT_MAX))
            except Empty:
                return Failure("timeout")
            if (event := self._call.decode(output)) is not None:
                return event

    def close(self) -> None:
        self._cancel()


class _AsyncExchange(_EngineExchange):
    """An attempt for async callers: the engine thread wakes their event loop."""

    def __init__(self, target: Target, call: EngineCall) -> None:
        super().__init__(target, call)
        self._outputs: deque[Output] = deque()
        self._arrived = asyncio.Event()

    async def open(self, until: float) -> Failure | None:
        del until
        loop = asyncio.get_running_loop()

        def on_output(output: Output) -> None:
            self._outputs.append(output)
            loop.call_soon_threadsafe(self._arrived.set)

        return self._submit(on_output)

    async def read(self, until: float) -> Event:
        if (failure := self._left_behind()) is not None:
            return failure
        while True:
            while self._outputs:
                if (event := self._call.decode(self._outputs.popleft())) is not None:
                    return event
            self._arrived.clear()
            if self._outputs:  # arrived between the last check and `clear`
                continue
            try:
                async with asyncio.timeout(max(0.0, until - runtime.current().now())):
                    await self._arrived.wait()
            except TimeoutError:
                return Failure("timeout")

    async def close(self) -> None:
        self._cancel()


class _SyncModelList:
    """A list of the models on this machine."""

    def open(self, until: float) -> Failure | None:
        del until
        return None

    def read(self, until: float) -> Event:
        del until
        return Done((find_models(), None))

    def close(self) -> None:
        """Do nothing: there is no connection."""


class _AsyncModelList:
    """As ``_SyncModelList``. Many files are read, so that happens in a thread."""

    async def open(self, until: float) -> Failure | None:
        return _SyncModelList().open(until)

    async def read(self, until: float) -> Event:
        return await asyncio.to_thread(_SyncModelList().read, until)

    async def close(self) -> None:
        """Do nothing: there is no connection."""
