"""``UnifiedLLM``: a LlamaIndex ``FunctionCallingLLM`` over a chain of targets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, Unpack, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined] # its public name
from llama_index.core.instrumentation.span import active_span_id
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from pydantic import BeforeValidator, Field
from typing_extensions import override

from unified_llm._adapters.call_names import ALIASES
from unified_llm._adapters.call_secrets import guards_keys
from unified_llm._adapters.field_values import with_body_fields
from unified_llm._adapters.links import with_wrapped_fallbacks
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._config.field_types import Limit
from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._observe.tracing_tools import find_model_spans
from unified_llm.exceptions import LLMError
from unified_llm.llama_index._answers import StreamReader, as_completion, read_response
from unified_llm.llama_index._batches import queued_in_run_jobs
from unified_llm.llama_index._call_kwargs import read_call
from unified_llm.llama_index._constants import REQUEST_FIELDS
from unified_llm.llama_index._metadata import chain_metadata
from unified_llm.llama_index._structured import StructuredPrediction
from unified_llm.llama_index._tools import ToolCalling

if TYPE_CHECKING:
    from llama_index.core.base.llms.base import BaseLLM

    from unified_llm._client.call_options import CallOptions
    from unified_llm._config.model_name import ModelName
    from unified_llm.llama_index._keywords import LLMFallbacks, UnifiedLLMKeywords
    from unified_llm.llama_index._wrapped_llm import WrappedLLM
    from unified_llm.types.requests import LLMRequest
    from unified_llm.types.responses import LLMChunk


Method = TypeVar("Method", bound=Callable[..., Any])


# LlamaIndex's decorators, with types. Each call from outside is reported to observers once.


def chat_events(method: Method) -> Method:
    """Decorate a chat method so that its calls are reported to observers."""
    return cast("Method", llm_chat_callback()(method))


def completion_events(method: Method) -> Method:
    """Decorate a completion method so that its calls are reported to observers."""
    return cast("Method", llm_completion_callback()(method))


Read = TypeVar("Read")

_Arguments: TypeAlias = Hidden[tuple[Sequence[ChatMessage], dict[str, Any]]]
"""The messages and keyword arguments of a call, which no variable shows."""


def _stop(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


@guards_keys(
    (
        "chat", "achat", "stream_chat", "astream_chat", "complete", "acomplete", "stream_complete", "astream_complete",
        "chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools",
        "predict_and_call", "apredict_and_call",
    ),
    nested=(
        "structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict",
    ),
)  # fmt: skip
class UnifiedLLM(TargetFields, StructuredPrediction, ToolCalling, FunctionCallingLLM):
    """One model over many providers: retry, failover, circuit breaking.

    It is a full LlamaIndex model: query engines, chat engines, agents and observers work with it as with any other.
    ``response.raw["unified_llm"]`` has the target that served the request and the attempts.

    Example:
        .. code-block:: python

            llm = UnifiedLLM(
                model="openai/gpt-5-mini",
                fallbacks=["anthropic/claude-haiku-4-5", "ollama/llama3.2"],
            )
            llm.complete("What is failover?").text

    Args:
        fallbacks: Further targets, in order: model strings, mappings, ``LLMConfig``, and other LlamaIndex LLMs.
        temperature: Randomness, commonly 0 to 2.
        max_tokens: The most tokens to generate (``max_completion_tokens``).
        top_p: Nucleus sampling, 0 to 1.
        stop: Texts at which to stop (``stop_sequences``); those of a call replace them.
        seed: For repeatable sampling.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        reasoning_effort: ``low``, ``medium``, ``high`` ..., as the provider names it.
        reasoning_format: ``raw`` leaves a ``<think>`` block in the text; see ``LLMRequest``, also for the next two.
        text_tool_calls: False leaves tool calls that are written as text as text.
        merge_messages: False sends the messages in the order in which they are given.
        hedge_after: For async calls: seconds without a first chunk (or without the whole response) after which another
            target gets the request too; see ``LLMClient``.
        on_stream_break: Only ``raise`` is supported.
        context_window: The primary's context window in tokens, which the metadata has in place of the smallest of the
            chain; at Ollama it is sent along.
        is_function_calling_model: In place of whether every model of the chain supports tool calls. With True, those
            that do not are skipped when tools are offered.
        additional_kwargs: Further fields of the request: those that any call may set, and others for the primary's
            body.

    The other arguments are in docs/parameters.md, with those of LlamaIndex's own LLMs. ``rate_limiter`` is acquired
    once for each call, not for each attempt.

    Raises:
        ConfigurationError: A setting is wrong. No request has been sent.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            model: ModelName | BaseLLM | None = None,
            *,
            fallbacks: LLMFallbacks | None = (),
            **fields: Unpack[UnifiedLLMKeywords],
        ) -> None: ...

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: Annotated[list[str] | None, BeforeValidator(_stop)] = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    text_tool_calls: bool | None = None
    merge_messages: bool | None = None
    hedge_after: Limit = None
    on_stream_break: str = "raise"
    is_function_calling_model: bool | None = None
    additional_kwargs: dict[str, Any] = Field(default_factory=dict, repr=False)

    ALIASES: ClassVar[Mapping[str, str]] = ALIASES
    MODEL_OBJECTS: ClassVar[str] = "a LlamaIndex LLM"
    PASSED_ON: ClassVar[frozenset[str]] = TargetFields.PASSED_ON | {"hedge_after", "on_stream_break"}
    MADE_FROM: ClassVar[frozenset[str]] = PASSED_ON | {"additional_kwargs"}
    SHARED: ClassVar[tuple[str, ...]] = (*TargetFields.SHARED, "callback_manager", "rate_limiter")

    @classmethod
    def class_name(cls) -> str:
        """Return the name of this class in LlamaIndex's dumps."""
        return "unified_llm"

    @classmethod
    def wrap(cls, candidate: object) -> WrappedLLM | None:
        """Return the target for another LlamaIndex LLM; None if the object is not one."""
        from unified_llm.llama_index import _wrapped_llm

        return _wrapped_llm.wrap(candidate)

    # Metadata

    @property
    def metadata(self) -> LLMMetadata:
        """Return what all models of the chain support. Sends no request, never raises, is the same in an outage."""
        try:
            targets = self._described_targets()
        except LLMError:  # a field was set and another will be; the next call raises if the settings are still wrong
            targets = ()
        return chain_metadata(
            targets,
            window=self.context_window,
            calls_tools=self.is_function_calling_model,
            max_tokens=self.max_tokens,
        )

    def to_payload(self) -> dict[str, Any]:
        """Return the description of this model for observers: without keys and headers."""
        return {
            "class_name": self.class_name(),
            **self.metadata.model_dump(),
            "model": self._describe_model(self.model),
            "fallbacks": [self.describe(link) for link in self.fallbacks],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    # Chat

    @override
    @chat_events
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Send a chat request and return the whole response.

        Args:
            messages: The conversation, oldest first.
            **kwargs: Request fields for this call (``model``, ``temperature``, ``tools``, ``response_format`` ...),
                ``timeout``, ``deadline``, ``failover_on``. They take precedence over those of the constructor; an
                unknown field goes into the body of the request.

        Raises:
            LLMError: No target served the request; ``.attempts`` lists the attempts.
        """
        given = Hidden((messages, kwargs))
        del messages, kwargs
        return self._chat(given)

    @override
    @chat_events
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Send a chat request and return the whole response; arguments as for ``chat``."""
        given = Hidden((messages, kwargs))
        del messages, kwargs
        return await self._achat(given)

    @override
    @chat_events
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream a response; arguments as for ``chat``. The request is sent when the first response is read."""
        given = Hidden((messages, kwargs))
        del messages, kwargs
        return self._stream(given, StreamReader().feed)

    @override
    @chat_events
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Stream a response; arguments as for ``chat``. The request is sent when the first response is read."""
        given = Hidden((messages, kwargs))
        del messages, kwargs
        return self._astream(given, StreamReader().feed)

    # Completion: the prompt becomes a user message. With ``as_text=True`` it is sent as text to be continued, to
    # targets that support it.

    @override
    @completion_events
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt; arguments as for ``chat``."""
        given = Hidden((_user_messages(prompt), kwargs))
        del prompt, kwargs
        return as_completion(self._chat(given))

    @override
    @completion_events
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt; arguments as for ``chat``."""
        given = Hidden((_user_messages(prompt), kwargs))
        del prompt, kwargs
        return as_completion(await self._achat(given))

    @override
    @completion_events
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Stream the response to a prompt; arguments as for ``chat``."""
        given = Hidden((_user_messages(prompt), kwargs))
        del prompt, kwargs
        reader = StreamReader()
        return self._stream(given, lambda chunk: as_completion(reader.feed(chunk)))

    @override
    @completion_events
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Stream the response to a prompt; arguments as for ``chat``."""
        given = Hidden((_user_messages(prompt), kwargs))
        del prompt, kwargs
        reader = StreamReader()
        return self._astream(given, lambda chunk: as_completion(reader.feed(chunk)))

    # The same without events, so that a completion is not reported as a chat too

    def _chat(self, given: _Arguments) -> ChatResponse:
        request, options = self._read_call(given, stream=False)
        return read_response(self.client.run(request, options))

    async def _achat(self, given: _Arguments) -> ChatResponse:
        request, options = self._read_call(given, stream=False)
        with queued_in_run_jobs():
            return read_response(await self.client.arun(request, options))

    def _stream(self, given: _Arguments, read: Callable[[LLMChunk], Read]) -> Generator[Read, None, None]:
        request, options = self._read_call(given, stream=True)
        return self._chunks(request, options, read)

    def _astream(self, given: _Arguments, read: Callable[[LLMChunk], Read]) -> AsyncGenerator[Read, None]:
        request, options = self._read_call(given, stream=True)
        return self._achunks(request, options, read)

    # Generators, because LlamaIndex recognises a stream by that. One generator for each stream, not nested ones: an
    # event loop that ends closes all async generators at once, and a generator that closes another conflicts with that.

    def _chunks(
        self, request: LLMRequest, options: CallOptions, read: Callable[[LLMChunk], Read]
    ) -> Generator[Read, None, None]:
        with self.client.open_stream(request, options) as chunks:
            for chunk in chunks:
                yield read(chunk)

    async def _achunks(
        self, request: LLMRequest, options: CallOptions, read: Callable[[LLMChunk], Read]
    ) -> AsyncGenerator[Read, None]:
        with queued_in_run_jobs():
            stream = self.client.aopen_stream(request, options)
        async with stream as chunks:
            async for chunk in chunks:
                yield read(chunk)

    def _read_call(self, given: _Arguments, *, stream: bool) -> tuple[LLMRequest, CallOptions]:
        with CLEAR_VARIABLES:
            model_spans = find_model_spans(get_dispatcher().span_handlers, active_span_id.get())
            return read_call(
                given.value[0],
                with_wrapped_fallbacks(given.value[1], self.wrap),
                replace(self.client.options, model_spans=model_spans) if model_spans else self.client.options,
                fields={name: value for name, value in self.additional_kwargs.items() if name in REQUEST_FIELDS},
                refused=frozenset(type(self).model_fields),
                stream=stream,
            )

    def _to_pickle(self) -> Self:
        """Return a copy: LlamaIndex removes what cannot be pickled from the object itself, and from wrapped LLMs."""
        copied = self.model_copy()
        if isinstance(self.model, LLM):
            copied.model = self.model.model_copy()
        copied.fallbacks = [link.model_copy() if isinstance(link, LLM) else link for link in self.fallbacks]
        return copied

    def _config(self) -> LLMConfig:
        """Return the primary's configuration, with the fields of ``additional_kwargs`` that go into its body."""
        return with_body_fields(super()._config(), self.additional_kwargs, REQUEST_FIELDS)


# The public name in reprs, tracebacks and pickles. Set here, not in the class: Pydantic looks up annotations in the
# module that defines the class.
UnifiedLLM.__module__ = "unified_llm.llama_index"


def _user_messages(prompt: str) -> list[ChatMessage]:
    return [ChatMessage(role=MessageRole.USER, content=prompt)]
