"""A model in this process as a target: sync and async exchanges over an engine's callbacks.

``mlx/demo`` is the embedded demo model; any other ``mlx/<folder>`` is a local folder in the Hugging Face layout, with
a chat model or an embedding model in it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, cast

from unified_llm._backends import mlx
from unified_llm._backends.mlx.encoder import no_chat_message
from unified_llm._backends.mlx.engine import get_engine
from unified_llm._backends.mlx.engine_types import (
    Encoded,
    EngineError,
    EngineRequest,
    Finished,
    OpenedBlock,
    Output,
    Payload,
    Prompt,
    TextChunk,
    Texts,
)
from unified_llm._backends.mlx.hub_cache import find_snapshot, is_hub_id
from unified_llm._backends.mlx.local_models import find_models
from unified_llm._backends.mlx.model_folder import find_configured
from unified_llm._core import runtime
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.redaction import quoted
from unified_llm._core.target import Target
from unified_llm._formats.any_model import TextReader, read_whole, reading_rules, with_accepted_order
from unified_llm._formats.request_fields import NOT_IN_FORMAT, log_dropped
from unified_llm._lib.local_files import expand_home
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.messages import Message
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, FinishReason, LLMChunk, LLMResponse


class EngineCall(Protocol):
    """One request to an engine: what is submitted, and how its outputs become events."""

    @property
    def refusal(self) -> Failure | None:
        """Return why the model cannot serve the request at all; checked before it is loaded."""
        ...

    def encode(self) -> Payload:
        """Return what is submitted to the engine."""
        ...

    def decode(self, output: Output) -> Event | None:
        """Convert an output of the engine to an event; None if there is none yet."""
        ...


class _EmbeddingCall:
    """An embedding request."""

    refusal: Failure | None = None  # a target without embeddings gets no embedding requests

    def __init__(self, target: Target, request: EmbeddingRequest) -> None:
        self._target = target
        self._request = request

    def encode(self) -> Payload:
        return Texts(self._request.texts, self._request.purpose, self._request.dimensions)

    def decode(self, output: Output) -> Event | None:
        if not isinstance(output, Encoded):
            return to_failure(output)
        return Done(
            EmbeddingResponse(
                vectors=output.vectors,
                model=self._target.model,
                provider=self._target.provider,
                usage=Usage(prompt_tokens=output.tokens, total_tokens=output.tokens),
            )
        )


def to_failure(output: Output) -> Failure:
    """Convert an engine's error; any other output here means that the model in the folder was replaced."""
    if isinstance(output, EngineError):
        return Failure(output.kind, detail=str(output), context_window=output.context_window)
    return Failure("malformed")


# The default of max_tokens for the demo model, which may never end. Any other model has the rest of its window.
_DEMO_TOKENS: Final = 512
_DEMO: Final = "demo"


def resolve_folder(model: str) -> Path:
    """Return the folder of a model's name.

    Raises:
        ConfigurationError: There is no such folder.
    """
    if model == _DEMO:
        return mlx.demo_folder()
    folder = expand_home(model)
    if folder.is_dir():
        return folder
    if (configured := find_configured(model)) is not None:
        return configured
    if (snapshot := find_snapshot(model)) is not None:
        return snapshot
    raise ConfigurationError(_not_found_message(model, folder))


def _not_found_message(model: str, folder: Path) -> str:
    # Quoted only where the name is none that could be a key.
    shown = repr(str(folder.absolute())) if quoted(model) == repr(model) else quoted(model)
    problem = f"There is no such folder for mlx/: {shown}; and no model of that name in the local Hugging Face cache."
    if not is_hub_id(model) or quoted(model) != repr(model):
        return f"{problem} Pass the path of a folder in the Hugging Face layout: config.json, tokenizer and weights."
    name = model.partition("/")[2]
    return (
        f"{problem} If it is a model of the Hugging Face hub, run hf download {model} --local-dir {name} "
        f"and pass mlx/{name}, or the path of that folder."
    )


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
            return _EmbeddingCall(self._target, request)
        return _ChatCall(self._target, request)


def _prompt(request: LLMRequest, target: Target) -> Prompt:
    def effective(name: str, default: Any) -> Any:
        value = getattr(request, name)
        return target.defaults.get(name, default) if value in (None, ()) else value

    log_dropped(NOT_IN_FORMAT["mlx"], request, target)
    return Prompt(
        messages=tuple({"role": message.role, "content": message.text} for message in _turns(request, target)),
        max_tokens=effective("max_tokens", _DEMO_TOKENS if target.demo else None),
        window=target.context_window,
        temperature=effective("temperature", 0.0),
        top_p=effective("top_p", 1.0),
        seed=effective("seed", None),
        stop=effective("stop", ()),
    )


def _turns(request: LLMRequest, target: Target) -> Sequence[Message]:
    """Return the conversation in the roles of chat templates; the result of a tool is passed on as the user's."""
    turns = [
        replace(message, role="user", tool_call_id=None) if message.role == "tool" else replace(message, tool_calls=())
        for message in request.messages
    ]
    return cast(
        "LLMRequest", with_accepted_order(replace(request, messages=tuple(turns)), target, keep_empty=True)
    ).messages


class _ChatCall:
    """A chat request."""

    def __init__(self, target: Target, request: LLMRequest) -> None:
        self._target = target
        self._request = request
        self._texts: list[str] = []
        self._rules = reading_rules(request, target)
        self._opened: str | None = None
        self._reader: TextReader | None = None

    @property
    def refusal(self) -> Failure | None:
        if "embeddings" not in self._target.features:
            return None
        return Failure("unsupported", detail=no_chat_message(resolve_folder(self._target.model)))

    def encode(self) -> Payload:
        return _prompt(self._request, self._target)

    def decode(self, output: Output) -> Event | None:
        if isinstance(output, TextChunk):
            self._texts.append(output.text)
            return self._read(LLMChunk(content=output.text)) if self._request.stream else None
        if isinstance(output, OpenedBlock):
            self._opened = output.tag
            return None
        if isinstance(output, Finished):
            return self._finish(output)
        return to_failure(output)

    def _read(self, chunk: LLMChunk) -> LLMChunk | None:
        if self._rules is None:
            return chunk
        if self._reader is None:
            self._reader = TextReader(self._rules, self._opened)
        return chunk if self._reader.decided else self._reader.read(chunk)

    def _finish(self, finished: Finished) -> Event:
        if not self._texts and finished.finish_reason == "stop":
            return Failure("empty")
        usage = Usage(
            prompt_tokens=finished.prompt_tokens,
            completion_tokens=finished.completion_tokens,
            total_tokens=finished.prompt_tokens + finished.completion_tokens,
        )
        reason: FinishReason = finished.finish_reason
        if self._request.stream:
            last = LLMChunk(finish_reason=reason, usage=usage, model=self._target.model, provider=self._target.provider)
            return Done(last) if self._reader is None else self._reader.join_end(Done(last))
        done = Done(
            LLMResponse(
                content="".join(self._texts),
                model=self._target.model,
                provider=self._target.provider,
                finish_reason=reason,
                usage=usage,
            )
        )
        return read_whole(done, self._rules, opened=self._opened)


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
            engine = get_engine(resolve_folder(self._target.model))
        except ConfigurationError:
            return Failure("model_not_found")
        except EngineError as error:
            return to_failure(error)
        self._submitted = engine.submit(self._call.encode(), on_output)
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
