"""A model in this process as a target: the same exchange that HTTP has, over an engine's callbacks.

``mlx/demo`` is the embedded demo model; any other ``mlx/<folder>`` is a local folder in the Hugging Face layout, with
a chat model or an embedding model in it.

An embedding request to a model in this process: what an engine is handed, and how its output becomes vectors.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from unified_llm._backends import mlx
from unified_llm._backends.mlx.encoder import no_chat_message
from unified_llm._backends.mlx.engine import engine_for
from unified_llm._backends.mlx.engine_types import (
    Payload,
    Encoded,
    EngineError,
    Finished,
    Output,
    TextChunk,
    Prompt,
    Texts,
    EngineRequest,
)
from unified_llm._core import runtime
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.messages import Message
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelsRequest
from unified_llm.types.responses import EmbeddingResponse, FinishReason, LLMChunk, LLMResponse, ModelInfo


class EngineCall(Protocol):
    """A request on its way through an engine, for synchronous and asynchronous callers alike."""

    @property
    def refusal(self) -> Failure | None:
        """Why the model cannot be asked this at all; found before it is loaded."""
        ...

    def asked(self) -> Payload:
        """What the engine is handed."""
        ...

    def event(self, output: Output) -> Event | None:
        """What an output of the engine means to the caller; None for nothing yet."""
        ...


class Embedding:
    """Texts to turn into vectors."""

    refusal: Failure | None = None  # a target without embeddings is never asked for them

    def __init__(self, target: Target, request: EmbeddingRequest) -> None:
        """Nothing is loaded yet."""
        self._target = target
        self._request = request

    def asked(self) -> Payload:
        """The texts."""
        return Texts(self._request.texts, self._request.purpose, self._request.dimensions)

    def event(self, output: Output) -> Event | None:
        """The vectors, all at once."""
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
    """What an engine could not do; an output of the wrong kind says that the folder's model was exchanged."""
    if isinstance(output, EngineError):
        return Failure(output.kind, detail=str(output))
    return Failure("malformed")


# As much as the demo model can usefully write, and a bound for one that never ends.
_MOST_TOKENS = 512


def resolve_folder(model: str) -> Path:
    """The folder of a model's name.

    Raises:
        ConfigurationError: There is no such folder.
    """
    if model == "demo":
        return mlx.demo_folder()
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ConfigurationError(
            "There is no such folder for mlx/: give the path of a model in the Hugging Face layout, or use mlx/demo."
        )
    return folder


class MLXModel:
    """A target that is a model in this process.

    Attributes:
        provider: ``mlx``.
        model: ``demo``, or the folder as the user wrote it.
        features: What it can do.
        context_window: Tokens, where known.
    """

    def __init__(self, target: Target) -> None:
        """Nothing is loaded before the first exchange."""
        self.provider = target.provider
        self.model = target.model
        self.features: frozenset[Feature] = target.features
        self.context_window = target.context_window
        self._target = target

    def exchange(self, request: Any) -> Exchange:
        """An attempt for synchronous callers."""
        return _Listing() if isinstance(request, ModelsRequest) else _Blocking(self._target, self._reading(request))

    def aexchange(self, request: Any) -> AsyncExchange:
        """An attempt for asynchronous callers."""
        return (
            _AsyncListing() if isinstance(request, ModelsRequest) else _Awaiting(self._target, self._reading(request))
        )

    def _reading(self, request: Any) -> EngineCall:
        if isinstance(request, EmbeddingRequest):
            return Embedding(self._target, request)
        return _Chat(self._target, request)


def _prompt(request: LLMRequest, target: Target) -> Prompt:
    def setting(name: str, default: Any) -> Any:
        given = getattr(request, name)
        return target.defaults.get(name, default) if given in (None, ()) else given

    return Prompt(
        messages=tuple(_message(message) for message in request.messages),
        max_tokens=setting("max_tokens", _MOST_TOKENS),
        temperature=setting("temperature", 0.0),
        top_p=setting("top_p", 1.0),
        seed=setting("seed", None),
        stop=setting("stop", ()),
    )


def _message(message: Message) -> dict[str, str]:
    # Chat templates know system, user and assistant; what a tool said is something that the user hands on.
    return {"role": "user" if message.role == "tool" else message.role, "content": message.text}


class _Chat:
    """A prompt, and how what the engine says becomes an answer."""

    def __init__(self, target: Target, request: LLMRequest) -> None:
        self._target = target
        self._request = request
        self._texts: list[str] = []

    @property
    def refusal(self) -> Failure | None:
        if "embeddings" not in self._target.features:
            return None
        return Failure("unsupported", detail=no_chat_message(resolve_folder(self._target.model)))

    def asked(self) -> Payload:
        return _prompt(self._request, self._target)

    def event(self, output: Output) -> Event | None:
        if isinstance(output, TextChunk):
            self._texts.append(output.text)
            return LLMChunk(content=output.text) if self._request.stream else None
        if isinstance(output, Finished):
            return self._done(output)
        return to_failure(output)

    def _done(self, finished: Finished) -> Event:
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
            return Done(last)
        return Done(
            LLMResponse(
                content="".join(self._texts),
                model=self._target.model,
                provider=self._target.provider,
                finish_reason=reason,
                usage=usage,
            )
        )


class _Attempt:
    """What both kinds of exchange share: handing in, and taking back."""

    def __init__(self, target: Target, reading: EngineCall) -> None:
        self._target = target
        self._reading = reading
        self._ticket: EngineRequest | None = None

    def _submit(self, put: Any) -> Failure | None:
        try:
            if (refusal := self._reading.refusal) is not None:
                return refusal
            engine = engine_for(resolve_folder(self._target.model))
        except ConfigurationError:
            return Failure("model_not_found")
        except EngineError as error:
            return Failure(error.kind, detail=str(error))
        self._ticket = engine.submit(self._reading.asked(), put)
        return None

    def _cancel(self) -> None:
        if self._ticket is not None:
            self._ticket.cancel()


class _Blocking(_Attempt):
    """An attempt for synchronous callers."""

    def __init__(self, target: Target, reading: EngineCall) -> None:
        super().__init__(target, reading)
        self._outputs: SimpleQueue[Output] = SimpleQueue()

    def open(self, until: float) -> Failure | None:
        del until  # handing in a request takes no time; loading the model is waited for in the first read
        return self._submit(self._outputs.put)

    def read(self, until: float) -> Event:
        while True:
            try:
                left = max(0.0, until - runtime.current().now())
                output = self._outputs.get(timeout=min(left, threading.TIMEOUT_MAX))
            except Empty:
                return Failure("timeout")
            if (event := self._reading.event(output)) is not None:
                return event

    def close(self) -> None:
        self._cancel()


class _Awaiting(_Attempt):
    """An attempt for asynchronous callers: the engine thread wakes their loop."""

    def __init__(self, target: Target, reading: EngineCall) -> None:
        super().__init__(target, reading)
        self._outputs: deque[Output] = deque()
        self._arrived = asyncio.Event()

    async def open(self, until: float) -> Failure | None:
        del until
        loop = asyncio.get_running_loop()

        def put(output: Output) -> None:
            self._outputs.append(output)
            loop.call_soon_threadsafe(self._arrived.set)

        return self._submit(put)

    async def read(self, until: float) -> Event:
        while True:
            while self._outputs:
                if (event := self._reading.event(self._outputs.popleft())) is not None:
                    return event
            self._arrived.clear()
            if self._outputs:  # arrived between the last look and the clearing
                continue
            try:
                async with asyncio.timeout(max(0.0, until - runtime.current().now())):
                    await self._arrived.wait()
            except TimeoutError:
                return Failure("timeout")

    async def close(self) -> None:
        self._cancel()


class _Listing:
    """The models that need no download: the embedded one."""

    def open(self, until: float) -> Failure | None:
        del until
        return None

    def read(self, until: float) -> Event:
        del until
        return Done(((ModelInfo("demo", "mlx", owned_by="unified-llm"),), None))

    def close(self) -> None:
        """Nothing is held."""


class _AsyncListing:
    """As ``_Listing``."""

    async def open(self, until: float) -> Failure | None:
        return _Listing().open(until)

    async def read(self, until: float) -> Event:
        return _Listing().read(until)

    async def close(self) -> None:
        """Nothing is held."""
