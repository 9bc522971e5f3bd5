"""``ChatUnified``: a LangChain chat model over a chain of targets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, Unpack

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, model_validator

from unified_llm._adapters.call_secrets import digest_keys, guards_keys, shown_to_tracers
from unified_llm._adapters.field_values import with_body_fields
from unified_llm._adapters.links import with_wrapped_fallbacks
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._config.field_types import Limit
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._core.cache_identity import response_identity
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._version import __version__
from unified_llm.exceptions import LLMError
from unified_llm.langchain._base import LangChainFields, wrap
from unified_llm.langchain._batches import QueuedBatchesMixin
from unified_llm.langchain._binding import DEFAULT_EXCEPTIONS, Fallback, ModelBinding, can_join_chain, checked_bound
from unified_llm.langchain._cache import PrimaryOnlyCacheMixin
from unified_llm.langchain._constants import PROVIDER, REQUEST_FIELDS, Method, Schema, ToolLike
from unified_llm.langchain._errors import translate_errors
from unified_llm.langchain._token_counts import TokenEstimatesMixin
from unified_llm.langchain._traced_runs import TracedStreamsMixin, model_spans_of

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.runnables import RunnableWithFallbacks

    from unified_llm._client.call_options import CallOptions
    from unified_llm._config.model_name import ModelName
    from unified_llm.langchain._keywords import ChatFallbacks, ChatModel, ChatUnifiedKeywords
    from unified_llm.types.requests import LLMRequest
    from unified_llm.types.responses import LLMChunk


def _read_stop(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


@guards_keys(
    ("invoke", "ainvoke", "stream", "astream", "batch", "abatch", "generate", "agenerate"),
    ("bind", "bind_tools", "with_structured_output"),
)
class ChatUnified(
    LangChainFields,
    TargetFields,
    PrimaryOnlyCacheMixin,
    TracedStreamsMixin,
    TokenEstimatesMixin,
    QueuedBatchesMixin,
    BaseChatModel,
):
    """One chat model over many providers: retry, failover, circuit breaking.

    Agents, structured output, streaming, callbacks and traces work with it as with any other chat model, whichever
    target serves the request. ``response_metadata["unified_llm"]`` has the target that did, and the attempts.

    Example:
        .. code-block:: python

            llm = ChatUnified(
                model="openai/gpt-5-mini",
                fallbacks=["anthropic/claude-haiku-4-5", "ollama/llama3.2"],
            )
            llm.invoke("What is failover?").content

    Args:
        fallbacks: Further targets, in order: model strings, mappings, ``LLMConfig``, other LangChain chat models, and
            chat models with bound tools.
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
        streaming: Use a stream for ``invoke`` too.
        stream_usage: Report token usage at the end of a stream.
        hedge_after: For async calls: seconds without a first chunk (or without the whole response) after which the
            request is sent to another target as well; see ``LLMClient``.
        on_stream_break: ``raise`` is the only value.
        model_kwargs: Further fields of the request: those that any call may set, and others for the primary's body.

    The other arguments are in docs/parameters.md, with those of LangChain's own chat models.

    Raises:
        ConfigurationError: A setting is wrong. Nothing has been sent.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            model: ModelName | ChatModel | None = None,
            *,
            fallbacks: ChatFallbacks | None = (),
            **fields: Unpack[ChatUnifiedKeywords],
        ) -> None: ...

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: Annotated[list[str] | None, BeforeValidator(_read_stop)] = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    text_tool_calls: bool | None = None
    merge_messages: bool | None = None
    streaming: bool = False
    stream_usage: bool = True
    hedge_after: Limit = None
    on_stream_break: str = "raise"
    model_kwargs: dict[str, Any] = Field(default_factory=dict, repr=False)

    _computed_profile: Any = PrivateAttr(default=None)

    MODEL_OBJECTS: ClassVar[str] = "a LangChain chat model"
    NAMES_TARGET: ClassVar[bool] = False
    PASSED_ON: ClassVar[frozenset[str]] = TargetFields.PASSED_ON | {"hedge_after", "on_stream_break"}
    MADE_FROM: ClassVar[frozenset[str]] = PASSED_ON | {"model_kwargs"}

    @model_validator(mode="after")
    def _set_unified_llm_version(self) -> Self:
        """Add our version to the metadata of traces."""
        with suppress(AttributeError):  # newer than the oldest supported langchain-core
            self._add_version("unified-llm", __version__)
        return self

    # Calls

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        from unified_llm.langchain import _answers

        given = Hidden((messages, stop, kwargs))
        del messages, stop, kwargs
        with translate_errors():
            request, options = self._read_call(given, run_manager, stream=False)
            response = self.client.run(request, options)
        return _answers.read_response(response, logprobs=bool(request.logprobs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        from unified_llm.langchain import _answers

        given = Hidden((messages, stop, kwargs))
        del messages, stop, kwargs
        with translate_errors():
            request, options = self._read_call(given, run_manager, stream=False)
            response = await self.client.arun(request, options)
        return _answers.read_response(response, logprobs=bool(request.logprobs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        given = Hidden((messages, stop, kwargs))
        del messages, stop, kwargs
        with translate_errors():
            request, options = self._read_call(given, run_manager, stream=True)
            read_chunk = self._make_chunk_reader(request, given.value[2])
            with self.client.open_stream(request, options) as chunks:
                for chunk in chunks:
                    for generation_chunk in read_chunk(chunk):
                        if run_manager:
                            run_manager.on_llm_new_token(generation_chunk.text, chunk=generation_chunk)
                        yield generation_chunk
                        del generation_chunk  # no variable has it while the next is waited for

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        given = Hidden((messages, stop, kwargs))
        del messages, stop, kwargs
        with translate_errors():
            request, options = self._read_call(given, run_manager, stream=True)
            read_chunk = self._make_chunk_reader(request, given.value[2])
            async with self.client.aopen_stream(request, options) as chunks:
                async for chunk in chunks:
                    for generation_chunk in read_chunk(chunk):
                        if run_manager:
                            await run_manager.on_llm_new_token(generation_chunk.text, chunk=generation_chunk)
                        yield generation_chunk
                        del generation_chunk  # no variable has it while the next is waited for

    def _read_call(
        self,
        given: Hidden[tuple[list[BaseMessage], list[str] | None, dict[str, Any]]],
        run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
        *,
        stream: bool,
    ) -> tuple[LLMRequest, CallOptions]:
        from unified_llm.langchain._call_kwargs import read_call

        with CLEAR_VARIABLES:
            model_spans = model_spans_of(run)
            return read_call(
                *given.value[:2],
                with_wrapped_fallbacks(given.value[2], self.wrap),
                replace(self.client.options, model_spans=model_spans) if model_spans else self.client.options,
                fields={name: value for name, value in self.model_kwargs.items() if name in REQUEST_FIELDS},
                refused=frozenset(type(self).model_fields),
                stream=stream,
            )

    def _make_chunk_reader(
        self, request: LLMRequest, options: Mapping[str, Any]
    ) -> Callable[[LLMChunk], Iterator[ChatGenerationChunk]]:
        from unified_llm._adapters.fragments import FragmentMerger
        from unified_llm.langchain import _answers

        usage, logprobs = options.get("stream_usage", self.stream_usage), bool(request.logprobs)
        merger, blocks = FragmentMerger(), self.output_version == "v1"

        def read(chunk: LLMChunk) -> Iterator[ChatGenerationChunk]:
            for merged in merger.feed(chunk):
                yield from _answers.read_chunk(merged, usage=usage, logprobs=logprobs, blocks=blocks)

        return read

    def _config(self) -> LLMConfig:
        """Return the primary's configuration; fields of ``model_kwargs`` that no call has go into ``extra_body``."""
        return with_body_fields(super()._config(), self.model_kwargs, REQUEST_FIELDS)

    # Tools and structured output. The annotations are evaluated at run time: RunnableWithFallbacks decides by them
    # whether to apply a method to each of its models.

    def bind(self, **kwargs: Any) -> ModelBinding:
        """Bind arguments to every call; a misspelled one is refused."""
        return ModelBinding(bound=self, kwargs=checked_bound(kwargs), config={})

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> ModelBinding:
        """Bind a configuration of LangChain, such as tags, to every call."""
        merged: Any = {**(config or {}), **kwargs}
        return ModelBinding(bound=self, kwargs={}, config=merged)

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Schema | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model, on whichever target.

        Args:
            tools: LangChain tools, functions, Pydantic classes, JSON schemas, or a provider's own tools.
            tool_choice: ``auto``, ``none``, ``any`` (also ``required`` and True), or the name of a tool.
            strict: Ask the provider to enforce the schemas.
            parallel_tool_calls: Whether one response may have several calls.
            response_format: A schema for the response, where the model does not call a tool.
            **kwargs: Further arguments to bind.

        Raises:
            ValidationError: An item is no tool, or ``tool_choice`` names none of the tools.
        """
        from unified_llm.langchain._call_kwargs import make_bind_options

        with translate_errors():
            options = make_bind_options(
                tools,
                tool_choice,
                strict=strict,
                parallel_tool_calls=parallel_tool_calls,
                response_format=response_format,
            )
        return self.bind(**options, **kwargs)

    def with_structured_output(
        self,
        schema: Schema | None = None,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[ToolLike] = (),
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable whose output conforms to a schema.

        Args:
            schema: A Pydantic class, a TypedDict, or a JSON schema (also in the format of a tool).
            method: ``json_schema`` (the default: each target in the best way that it has, and its response is
                checked), ``function_calling`` (the response is the arguments of a tool) or ``json_mode`` (any JSON;
                describe it in the prompt).
            include_raw: Return a dict with ``raw``, ``parsed`` and ``parsing_error``.
            strict: Ask the provider to enforce the schema.
            tools: Tools to offer as well, with ``json_schema``.
            **kwargs: Further arguments to bind.

        Raises:
            ValidationError: The method is unknown, or there is no schema.
        """
        from unified_llm.langchain._structured_output import bind_structured_output, with_parser, with_raw

        with translate_errors():
            model, parser = bind_structured_output(
                self, schema, method or "json_schema", strict=strict, tools=tools, options=kwargs
            )
        return (with_raw if include_raw else with_parser)(model, parser)

    def with_fallbacks(  # type: ignore[override] # stays a chat model
        self,
        fallbacks: Sequence[Fallback],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = DEFAULT_EXCEPTIONS,
        exception_key: str | None = None,
    ) -> ChatUnified | RunnableWithFallbacks[LanguageModelInput, AIMessage]:
        """Add model strings, mappings, ``LLMConfig`` or chat models (also with bound tools) as fallbacks.

        With ``exceptions_to_handle``, ``exception_key`` or another ``Runnable`` the result is LangChain's own.
        """
        links = read_fallbacks(fallbacks)
        if can_join_chain(links, exceptions_to_handle, exception_key):
            return self.model_copy(update={"fallbacks": [*self.fallbacks_in_use(), *links]})
        return super().with_fallbacks(links, exceptions_to_handle=exceptions_to_handle, exception_key=exception_key)

    # LangChain's interface of chat models: names, cache key, profile, usage

    @property
    def _llm_type(self) -> str:
        return "unified-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self._identity()

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return the settings of a call for tracers, without keys."""
        return super()._get_invocation_params(stop=stop, **shown_to_tracers(kwargs))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """Return the chain's names for LangSmith; the response carries those of the target that served it."""
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = PROVIDER
        if named := self._model_named_elsewhere():
            params["ls_model_name"] = named
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the key for LangChain's cache: all current settings that the response depends on."""
        wrapped = [model.cache_key for link in (self.model, *self.fallbacks) if (model := wrap(link))]
        targets = [response_identity(target) for target in self.client.targets if target.instance is None]
        identity = {**self._identity(), "wrapped": wrapped, "targets": targets, "_type": self._llm_type}
        return str(sorted({**identity, "stop": stop or self.stop, **digest_keys(kwargs)}.items()))

    def _resolve_model_profile(self) -> ModelProfile | None:
        """Return the capabilities that every target of the chain has."""
        from unified_llm.langchain._profile import read_chain_profile

        profile = read_chain_profile(self._described_targets())
        self._computed_profile = profile
        return profile

    def _changed(self) -> None:
        """Update the profile, unless the user set one."""
        if self.profile is None or self.profile == self._computed_profile:
            vars(self)["profile"] = None
            with suppress(LLMError):  # another field may have to be set first; the next call reports what is wrong
                vars(self)["profile"] = self._resolve_model_profile()


ChatUnified.__module__ = "unified_llm.langchain"  # the public module, which reprs, pickles and documentation name
