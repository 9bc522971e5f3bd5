"""A LangChain chat model object as a target of a chain.

The object keeps its own configuration and its own retries, which count as one attempt. It receives LangChain's own
messages; tools and response format of the request are converted by its own ``bind_tools`` and
``with_structured_output``. It starts no callback run of its own: the run is that of the chain. Its results, chunks and
exceptions become the events of an exchange.
"""

# LangChain's extension points begin with an underscore, and this module calls them.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from weakref import WeakValueDictionary

from langchain_core import exceptions as theirs
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableBinding, RunnableSequence

from unified_llm import exceptions as ours
from unified_llm._adapters.model_settings import thinking_settings, timeout_of
from unified_llm._backends.objects import errors
from unified_llm._core.echoes import mask_echoes
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.redaction import keys_of_object
from unified_llm.langchain._call_kwargs import NativeCall
from unified_llm.langchain._errors import REFUSAL
from unified_llm.langchain._wrapped_answers import ChunkReader, read_result
from unified_llm.langchain._wrapped_options import bind_tools, quirks_of, takes_tool_choice, with_settings
from unified_llm.types.messages import ResponseFormat
from unified_llm.types.requests import LLMRequest

# Our features -> fields of LangChain's model profile. A model without a profile is assumed to have these features.
_PROFILE_FIELDS: Final[Mapping[Feature, str]] = {
    "images": "image_inputs",
    "image_urls": "image_url_inputs",
    "audio": "audio_inputs",
    "files": "pdf_inputs",
    "file_urls": "pdf_inputs",
    "tool_choice": "tool_choice",
}
_INSTANCE_NUMBERS: Final = count()
_ANY_OBJECT_SCHEMA: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": True}


@dataclass(frozen=True, slots=True)
class NativeArguments:
    """The arguments of one call of a wrapped model.

    Attributes:
        chat: The model, with the settings of the call.
        messages: LangChain's messages.
        stop: Texts at which to stop, or None.
        options: Keyword arguments.
        answer_tool: The tool whose arguments are the response, where the model has no other structured output.
    """

    chat: BaseChatModel = field(repr=False)
    messages: list[BaseMessage] = field(repr=False)
    stop: list[str] | None
    options: Mapping[str, Any] = field(repr=False)
    answer_tool: str | None = None


class WrappedChatModel:
    """A ``WrappedModel`` around a LangChain chat model.

    Args:
        model: The chat model.
        bound: Keyword arguments that a binding adds to every call. They override those of the call; tools are joined.
        origin: The object that the user passed: the model or the binding. Kept alive, since its ``id`` identifies the
            target.

    The name and the features of the model are read once, at construction.
    """

    def __init__(self, model: BaseChatModel, bound: Mapping[str, Any], origin: object) -> None:
        params = model._get_ls_params()
        self.number = next(_INSTANCE_NUMBERS)
        self.chat = model
        self.origin = origin
        self.bound = {name: value for name, value in bound.items() if name != "ls_structured_output_format"}
        self.provider = str(params.get("ls_provider") or model._llm_type)
        self.model = str(params.get("ls_model_name") or type(model).__name__)
        self.features = _read_features(model)
        self.quirks = quirks_of(model, self.provider, self.model)
        window = (model.profile or {}).get("max_input_tokens")
        self.context_window = window if isinstance(window, int) else None
        self.vendor, self.timeout, self.thinking = self.provider, timeout_of(model), thinking_settings(model)

    def exchange(self, request: LLMRequest) -> Exchange:
        """Make an attempt in a thread of its own, which is abandoned at its deadline."""
        from unified_llm._backends.objects.exchange import ThreadExchange

        return ThreadExchange(self, request)

    def aexchange(self, request: LLMRequest) -> AsyncExchange:
        """Make an attempt on the event loop, or in a thread if the model has no async implementation."""
        from unified_llm._backends.objects.exchange import NativeExchange, ThreadedAsyncExchange

        if self.has_native_async(streaming=request.stream):
            return NativeExchange(self, request)
        return ThreadedAsyncExchange(self, request)

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        """Call the model and yield the events of its response; blocks the thread."""
        arguments = self.make_arguments(request)
        if limiter := self.chat.rate_limiter:
            limiter.acquire(blocking=True)
        if request.stream and self.streams:
            reader = ChunkReader(self, arguments.answer_tool)
            stream = arguments.chat._stream(arguments.messages, arguments.stop, **arguments.options)
            for native_chunk in stream:
                if chunk := reader.feed(native_chunk):
                    yield chunk
            yield reader.finish()
        else:
            result = arguments.chat._generate(arguments.messages, arguments.stop, **arguments.options)
            yield from self._result_events(result, arguments, streaming=request.stream)

    async def aevents(self, request: LLMRequest) -> AsyncGenerator[Event, None]:
        """Call the model and yield the events of its response, on the event loop."""
        arguments = self.make_arguments(request)
        if limiter := self.chat.rate_limiter:
            await limiter.aacquire(blocking=True)
        if request.stream and self.streams:
            reader = ChunkReader(self, arguments.answer_tool)
            stream = arguments.chat._astream(arguments.messages, arguments.stop, **arguments.options)
            async with aclosing(stream) as native_chunks:  # type: ignore[type-var] # declared as an AsyncIterator
                async for native_chunk in native_chunks:
                    if chunk := reader.feed(native_chunk):
                        yield chunk
            yield reader.finish()
        else:
            result = await arguments.chat._agenerate(arguments.messages, arguments.stop, **arguments.options)
            for event in self._result_events(result, arguments, streaming=request.stream):
                yield event

    def _result_events(self, result: ChatResult, arguments: NativeArguments, *, streaming: bool) -> Iterator[Event]:
        """Yield the events of a whole result: one, or a stream of one chunk if the request was for a stream."""
        if not streaming:
            yield read_result(self, arguments.answer_tool, result)
            return
        reader = ChunkReader(self, arguments.answer_tool)
        if chunk := reader.feed_result(result):
            yield chunk
        yield reader.finish()

    def read_failure(self, problem: Exception) -> Failure | None:
        """Convert an exception of the model into a failure; return None for a bug in someone's code."""
        failure = read_failure(problem)
        return failure and mask_echoes(failure, keys_of_object(self.chat))

    def has_native_async(self, *, streaming: bool) -> bool:
        """Return whether the model has an async implementation, rather than the inherited call in a thread pool.

        A thread of a pool cannot be abandoned: it would keep the interpreter from exiting.
        """
        kind = type(self.chat)
        if streaming and self.streams and kind._astream is not BaseChatModel._astream:
            return True
        if streaming and self.streams and kind._stream is not BaseChatModel._stream:
            return False
        return kind._agenerate is not BaseChatModel._agenerate

    @property
    def streams(self) -> bool:
        """Return whether the model can stream at all."""
        kind, base = type(self.chat), BaseChatModel
        implemented = kind._stream is not base._stream or kind._astream is not base._astream
        return implemented and self.chat.disable_streaming is not True

    @property
    def cache_key(self) -> str:
        """The settings that the response depends on, for LangChain's cache."""
        return self.chat._get_llm_string(**self.bound)

    def make_arguments(self, request: LLMRequest) -> NativeArguments:
        """Convert a request into the arguments of a call of this model."""
        native: NativeCall = request.native
        chat = with_settings(self.chat, request, self.quirks.drop, f"{self.provider}/{self.model}")
        response_format = request.response_format if "response_format" not in self.bound else None
        # Beside tools the response format becomes a tool too: models differ in what else they require of tools then.
        own_format = self._bind_response_format(response_format) if response_format and not request.tools else None
        answer_tool = _make_answer_tool(response_format) if response_format and own_format is None else None
        options = {**_bind_tools(chat, request, native, answer_tool), **(own_format or {})}
        tools = _join_tools(options.get("tools"), self.bound.get("tools"))
        options = {**options, **self.bound, **({"tools": tools} if tools else {})}
        sent_stop = [] if "stop" in self.quirks.drop else list(request.stop)  # else the client applies it
        stop = options.pop("stop", None) or sent_stop or None
        answer_tool_name = response_format.name if response_format and answer_tool else None
        return NativeArguments(chat, list(native.messages), stop, options, answer_tool_name)

    def _bind_response_format(self, response_format: ResponseFormat) -> dict[str, Any] | None:
        """Return the model's own keyword arguments for a response in JSON; None if it has none."""
        if type(self.chat).with_structured_output is BaseChatModel.with_structured_output:
            return None
        if (self.chat.profile or {}).get("structured_output") is False:
            return None
        schema = {**(response_format.schema or _ANY_OBJECT_SCHEMA), "title": response_format.name}
        method = "json_schema" if response_format.schema else "json_mode"
        try:
            chain = self.chat.with_structured_output(schema, method=method)
        except (NotImplementedError, TypeError, ValueError):
            return None
        first = chain.first if isinstance(chain, RunnableSequence) else None
        if not isinstance(first, RunnableBinding) or "tools" in first.kwargs:
            return None  # the model uses a tool too: then use one of ours, whose name identifies its arguments
        return {name: value for name, value in first.kwargs.items() if name != "ls_structured_output_format"}


def _bind_tools(
    chat: BaseChatModel, request: LLMRequest, native: NativeCall, answer_tool: dict[str, Any] | None
) -> Mapping[str, Any]:
    """Return the model's own keyword arguments for the tools of a call."""
    tools = [*(native.options.get("tools") or ()), *([answer_tool] if answer_tool else ())]
    choice = {"required": "any"}.get(request.tool_choice or "", request.tool_choice)
    if not tools or choice == "none":
        return {}
    if answer_tool:
        choice = "any" if len(tools) > 1 else answer_tool["function"]["name"]
    parallel = native.options.get("parallel_tool_calls")
    return bind_tools(chat, tools, {"tool_choice": choice, "parallel_tool_calls": parallel})


def _make_answer_tool(response_format: ResponseFormat) -> dict[str, Any]:
    parameters = response_format.schema or _ANY_OBJECT_SCHEMA
    function = {"name": response_format.name, "description": "Give the final answer.", "parameters": parameters}
    return {"type": "function", "function": function}


def _read_features(model: BaseChatModel) -> frozenset[Feature]:
    profile = model.profile or {}
    features: set[Feature] = {"streaming"}
    features |= {feature for feature, name in _PROFILE_FIELDS.items() if profile.get(name) is not False}
    if type(model).bind_tools is BaseChatModel.bind_tools or profile.get("tool_calling") is False:
        features.discard("tool_choice")
    else:
        if "tool_choice" in features and not takes_tool_choice(model):
            features.discard("tool_choice")
        # With tools, structured output is always possible: as the arguments of a tool.
        features |= {"tools", "json_object", "json_schema"}
    if profile.get("structured_output"):
        features |= {"json_object", "json_schema"}
    return frozenset(features)


def _join_tools(called: Iterable[Any] | None, bound: Iterable[Any] | None) -> list[Any]:
    """Join the tools of the call and those of the binding; of two with the same name, keep the binding's."""
    bound_tools = list(bound or ())
    names = {_tool_name(tool) for tool in bound_tools} - {None}
    return [*(tool for tool in called or () if _tool_name(tool) not in names), *bound_tools]


def _tool_name(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else tool.get("name")
    return str(name) if name else None


_wrappers: WeakValueDictionary[int, WrappedChatModel] = WeakValueDictionary()


def wrap(candidate: object) -> WrappedChatModel | None:
    """Return the target for a chat model or a binding of one; None if the candidate is neither.

    One object has one wrapper, in however many chains it is a target, so that all of them share its health.
    """
    model: object = candidate.bound if isinstance(candidate, RunnableBinding) else candidate
    bound = candidate.kwargs if isinstance(candidate, RunnableBinding) else {}
    if not isinstance(model, BaseChatModel):
        return None
    wrapper = _wrappers.get(id(candidate))
    if wrapper is None:
        wrapper = _wrappers[id(candidate)] = WrappedChatModel(model, bound, candidate)
    return wrapper


# Kind of failure by class, the most specific first: LangChain's errors, ours (a chain inside a chain), the builtins.
_KINDS_BY_CLASS: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
    (theirs.ContextOverflowError, "context"),
    (theirs.ModelAuthenticationError, "auth"),
    (theirs.ModelPermissionDeniedError, "permission"),
    (theirs.ModelNotFoundError, "model_not_found"),
    (ours.QuotaExceededError, "quota"),
    (theirs.ModelRateLimitError, "rate_limit"),
    (ours.ContentFilterError, "filter"),
    *(((REFUSAL, "filter"),) if REFUSAL is not theirs.ModelInvalidRequestError else ()),
    (theirs.ModelTimeoutError, "timeout"),
    (theirs.ModelConnectionError, "connection"),
    (theirs.ModelAPIError, "server"),
    (ours.UnsupportedOperationError, "unsupported"),
    (theirs.ModelInvalidRequestError, "bad_request"),
    *errors.KINDS_BY_CLASS,
)


def read_failure(problem: Exception) -> Failure | None:
    """Convert the exception of a wrapped model into a failure; return None for a bug in someone's code.

    LangChain's error classes come first, then the rules of ``_backends.objects.errors`` for any exception.
    """
    return errors.read_unknown_argument(problem) or errors.read_failure(problem, _KINDS_BY_CLASS)
