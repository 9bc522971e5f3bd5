"""The LangChain run of a call, for tracing tools that record it.

LangChain passes a run manager to ``_generate``, but to ``_stream`` only in some of its ways to stream. In the others
the run is remembered before, in a context variable that is read at the first step of ``_stream``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, CallbackManager, Callbacks
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from unified_llm._observe.otel_instruments import instruments
from unified_llm._observe.tracing_tools import ModelSpan, find_model_spans
from unified_llm.langchain._errors import translate_errors

if TYPE_CHECKING:
    from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import BaseChatModel

    _Base = BaseChatModel
else:
    _Base = object

Chunk = TypeVar("Chunk")
_NOTHING: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class TracedRun:
    """A run, and the handlers that are told about it."""

    run_id: UUID
    handlers: list[BaseCallbackHandler]


_run_of_stream: Final[ContextVar[TracedRun | None]] = ContextVar("run_of_stream", default=None)


def model_spans_of(manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> tuple[ModelSpan, ...]:
    """Return what tracing tools record of the current call of the model.

    Args:
        manager: The run manager; None in a stream that LangChain passes none to.
    """
    run = manager or _run_of_stream.get()
    if run is None:
        return ()
    _run_of_stream.set(None)  # a model within this call has another run, or none
    return find_model_spans(run.handlers, run.run_id)


class TracedStreamsMixin(_Base):
    """Makes the run of a stream known to ``model_spans_of``."""

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the response, as every LangChain chat model does."""
        identified = _identify_stream(config, self.callbacks)
        if identified is None:
            return super().stream(input, config, stop=stop, **kwargs)
        run, config = identified
        return _within(run, super().stream(input, config, stop=stop, **kwargs))

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream the response, as every LangChain chat model does."""
        identified = _identify_stream(config, self.callbacks)
        if identified is None:
            return super().astream(input, config, stop=stop, **kwargs)
        run, config = identified
        return _awithin(run, super().astream(input, config, stop=stop, **kwargs))

    def _should_stream(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        """Decide as LangChain does whether a call streams, and remember its run if so."""
        streams = super()._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)
        if streams and run_manager is not None:
            _run_of_stream.set(TracedRun(run_manager.run_id, run_manager.handlers))
        return streams


def _identify_stream(config: RunnableConfig | None, own: Callbacks) -> tuple[TracedRun, RunnableConfig] | None:
    """Choose the ID of a stream's run; return the run, and the config with its ID. None if no calls are recorded.

    Args:
        config: The config of the call.
        own: The callbacks of the model.
    """
    with translate_errors():
        if instruments() is None:
            return None
    from langchain_core.utils.uuid import uuid7

    config = ensure_config(config)
    run_id = config.get("run_id") or uuid7()
    # LangChain will make a manager in the same way: with the handlers that the environment or a tool adds to every one.
    manager = CallbackManager.configure(config.get("callbacks"), own)
    return TracedRun(run_id, manager.handlers), {**config, "run_id": run_id}


def _within(run: TracedRun, stream: Iterator[Chunk]) -> Generator[Chunk, None, None]:
    """Yield the chunks of a stream whose run is known at its first step."""
    with closing(cast("Generator[Chunk, None, None]", stream)) as chunks:
        token = _run_of_stream.set(run)
        try:
            first = next(chunks, _NOTHING)
        finally:
            _run_of_stream.reset(token)
        if first is not _NOTHING:
            yield first
            del first  # no variable has it while the next is waited for
            yield from chunks


async def _awithin(run: TracedRun, stream: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of an async stream whose run is known at its first step."""
    async with aclosing(cast("AsyncGenerator[Chunk, None]", stream)) as chunks:
        token = _run_of_stream.set(run)
        try:
            first = await anext(chunks, _NOTHING)
        finally:
            _run_of_stream.reset(token)
        if first is _NOTHING:
            return
        yield first
        del first
        async for chunk in chunks:
            yield chunk
