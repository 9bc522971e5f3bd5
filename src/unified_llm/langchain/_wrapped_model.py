"""A chat model object of LangChain's as a target in a chain.

The object keeps its own configuration and does its own retries, which count as one attempt. It receives LangChain's own
messages; what the call asks for (tools, a form of the answer) is phrased by its own ``bind_tools`` and
``with_structured_output``. No second callback run is started: the run is that of the chain.

What a chat model object of LangChain's does when it is asked, told as the events of an exchange.

What the exceptions of a chat model object of LangChain's say of its provider.
"""

# LangChain's own points of extension begin with an underscore, and this file is on their other side.
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
from unified_llm._backends.objects import errors
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm.langchain._call_kwargs import NativeCall
from unified_llm.langchain._errors import REFUSAL
from unified_llm.langchain._wrapped_answers import ChunkReader, read_result
from unified_llm.types.messages import ResponseFormat
from unified_llm.types.requests import LLMRequest

# Options of a call that every chat model of LangChain's takes. Others belong to the provider of the primary.
_PASSED: Final = ("temperature", "max_tokens", "top_p", "parallel_tool_calls")
# What a profile calls our features. Where a model publishes no profile it is given the benefit of the doubt.
_PROFILE: Final[Mapping[Feature, str]] = {
    "images": "image_inputs",
    "image_urls": "image_url_inputs",
    "audio": "audio_inputs",
    "files": "pdf_inputs",
    "tool_choice": "tool_choice",
}
_NUMBERS: Final = count()
_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": True}


@dataclass(frozen=True, slots=True)
class NativeArguments:
    """A call as one model object wants it.

    Attributes:
        messages: LangChain's own.
        stop: Texts at which to stop, or None.
        options: Keyword arguments.
        answer_tool: The tool whose arguments are the answer, where the model has no other way to be held to a schema.
    """

    messages: list[BaseMessage] = field(repr=False)
    stop: list[str] | None
    options: Mapping[str, Any] = field(repr=False)
    answer_tool: str | None = None


class WrappedChatModel:
    """A ``WrappedModel`` around a LangChain chat model.

    Args:
        model: The chat model.
        bound: Keyword arguments that a binding adds to every call. They win over those of the call; tools are joined.
        origin: What the user gave: the model or the binding. Kept alive, since its identity is the target's.
    """

    def __init__(self, model: BaseChatModel, bound: Mapping[str, Any], origin: object) -> None:
        """Ask the model for its name and abilities, once."""
        params = model._get_ls_params()
        self.number = next(_NUMBERS)
        self.chat = model
        self.origin = origin
        self.bound = {name: value for name, value in bound.items() if name != "ls_structured_output_format"}
        self.provider = str(params.get("ls_provider") or model._llm_type)
        self.model = str(params.get("ls_model_name") or type(model).__name__)
        self.features = _features(model)
        window = (model.profile or {}).get("max_input_tokens")
        self.context_window = window if isinstance(window, int) else None

    def exchange(self, request: LLMRequest) -> Exchange:
        """An attempt in a thread of its own, abandoned when its time is over."""
        from unified_llm._backends.objects.exchange import ThreadExchange

        return ThreadExchange(self, request)

    def aexchange(self, request: LLMRequest) -> AsyncExchange:
        """An attempt on the event loop, or in a thread where the model knows nothing of event loops."""
        from unified_llm._backends.objects.exchange import NativeExchange, ThreadedAsyncExchange

        if self.native_async(streaming=request.stream):
            return NativeExchange(self, request)
        return ThreadedAsyncExchange(self, request)

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        """One answer, for a thread that may wait."""
        return events(self, request)

    def aevents(self, request: LLMRequest) -> AsyncGenerator[Event, None]:
        """One answer, on the event loop."""
        return aevents(self, request)

    def read_failure(self, problem: Exception) -> Failure | None:
        """What an exception of the model says of its provider."""
        return read_failure(problem)

    def native_async(self, *, streaming: bool) -> bool:
        """Whether the model has an asynchronous implementation, rather than the inherited hop into a thread pool.

        A thread of a pool cannot be abandoned: it would keep the interpreter from ending.
        """
        kind = type(self.chat)
        if streaming and self.streams and kind._astream is not BaseChatModel._astream:
            return True
        if streaming and self.streams and kind._stream is not BaseChatModel._stream:
            return False
        return kind._agenerate is not BaseChatModel._agenerate

    @property
    def streams(self) -> bool:
        """Whether the model can stream at all."""
        kind, base = type(self.chat), BaseChatModel
        implemented = kind._stream is not base._stream or kind._astream is not base._astream
        return implemented and self.chat.disable_streaming is not True

    @property
    def cache_key(self) -> str:
        """What its answers depend on, for LangChain's cache."""
        return self.chat._get_llm_string(**self.bound)

    def phrase(self, request: LLMRequest) -> NativeArguments:
        """Turn a request into a call of this model's own."""
        native: NativeCall = request.native
        given = {name: native.options[name] for name in _PASSED if native.options.get(name) is not None}
        form = request.response_format if "response_format" not in self.bound else None
        # Beside tools the form is always a tool too: models differ in what else they demand of tools then.
        own_form = self._form(form) if form and not request.tools else None
        answer = _answer_tool(form) if form and own_form is None else None
        options = {**given, **self._tools(request, native, answer), **(own_form or {})}
        joined = _join(options.get("tools"), self.bound.get("tools"))
        options = {**options, **self.bound, **({"tools": joined} if joined else {})}
        stop = options.pop("stop", None) or list(native.stop) or None
        return NativeArguments(list(native.messages), stop, options, form.name if form and answer else None)

    def _tools(self, request: LLMRequest, native: NativeCall, answer: dict[str, Any] | None) -> Mapping[str, Any]:
        tools = [*(native.options.get("tools") or ()), *([answer] if answer else ())]
        choice = {"required": "any"}.get(request.tool_choice or "", request.tool_choice)
        if not tools or choice == "none":
            return {}
        if answer:
            choice = "any" if len(tools) > 1 else answer["function"]["name"]
        binding = self.chat.bind_tools(tools, **({"tool_choice": choice} if choice else {}))
        return dict(binding.kwargs) if isinstance(binding, RunnableBinding) else {}

    def _form(self, form: ResponseFormat) -> dict[str, Any] | None:
        """The model's own keyword arguments for an answer in JSON, or None where it has none."""
        if type(self.chat).with_structured_output is BaseChatModel.with_structured_output:
            return None
        if (self.chat.profile or {}).get("structured_output") is False:
            return None
        schema = {**(form.schema or _ANY_OBJECT), "title": form.name}
        try:
            chain = self.chat.with_structured_output(schema, method="json_schema" if form.schema else "json_mode")
        except (NotImplementedError, TypeError, ValueError):
            return None
        first = chain.first if isinstance(chain, RunnableSequence) else None
        if not isinstance(first, RunnableBinding) or "tools" in first.kwargs:
            return None  # it would use a tool as well: then one of ours, so that we can tell it from the others
        return {name: value for name, value in first.kwargs.items() if name != "ls_structured_output_format"}


def _answer_tool(form: ResponseFormat) -> dict[str, Any]:
    function = {"name": form.name, "description": "Give the final answer.", "parameters": form.schema or _ANY_OBJECT}
    return {"type": "function", "function": function}


def _features(model: BaseChatModel) -> frozenset[Feature]:
    profile = model.profile or {}
    features: set[Feature] = {"streaming"}
    features |= {feature for feature, name in _PROFILE.items() if profile.get(name) is not False}
    if type(model).bind_tools is BaseChatModel.bind_tools or profile.get("tool_calling") is False:
        features.discard("tool_choice")
    else:
        # With tools, an answer of a given schema can always be had: as the arguments of one.
        features |= {"tools", "json_object", "json_schema"}
    if profile.get("structured_output"):
        features |= {"json_object", "json_schema"}
    return frozenset(features)


def _join(called: Iterable[Any] | None, bound: Iterable[Any] | None) -> list[Any]:
    """The tools of the call and those of the binding; where both have one of a name, the binding's own form of it."""
    own = list(bound or ())
    names = {_tool_name(tool) for tool in own} - {None}
    return [*(tool for tool in called or () if _tool_name(tool) not in names), *own]


def _tool_name(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else tool.get("name")
    return str(name) if name else None


_known: WeakValueDictionary[int, WrappedChatModel] = WeakValueDictionary()


def wrap(candidate: object) -> WrappedChatModel | None:
    """The target for a chat model or a binding of one, or None if it is neither.

    One object has one wrapper, however many chains it stands in, so that its health is known to all of them.
    """
    model: object = candidate.bound if isinstance(candidate, RunnableBinding) else candidate
    bound = candidate.kwargs if isinstance(candidate, RunnableBinding) else {}
    if not isinstance(model, BaseChatModel):
        return None
    found = _known.get(id(candidate))
    if found is None:
        found = _known[id(candidate)] = WrappedChatModel(model, bound, candidate)
    return found


def events(foreign: WrappedChatModel, request: LLMRequest) -> Generator[Event, None, None]:
    """One answer, for a thread that may wait."""
    phrased = foreign.phrase(request)
    if limiter := foreign.chat.rate_limiter:
        limiter.acquire(blocking=True)
    if request.stream and foreign.streams:
        reader = ChunkReader(foreign, phrased)
        stream = foreign.chat._stream(phrased.messages, phrased.stop, **phrased.options)
        for chunk in stream:
            if ours := reader.feed(chunk):
                yield ours
        yield reader.finish()
    else:
        result = foreign.chat._generate(phrased.messages, phrased.stop, **phrased.options)
        yield from _whole(foreign, phrased, result, streaming=request.stream)


async def aevents(foreign: WrappedChatModel, request: LLMRequest) -> AsyncGenerator[Event, None]:
    """One answer, on the event loop."""
    phrased = foreign.phrase(request)
    if limiter := foreign.chat.rate_limiter:
        await limiter.aacquire(blocking=True)
    if request.stream and foreign.streams:
        reader = ChunkReader(foreign, phrased)
        stream = foreign.chat._astream(phrased.messages, phrased.stop, **phrased.options)
        async with aclosing(stream) as chunks:  # type: ignore[type-var] # an async generator, said more widely
            async for chunk in chunks:
                if ours := reader.feed(chunk):
                    yield ours
        yield reader.finish()
    else:
        result = await foreign.chat._agenerate(phrased.messages, phrased.stop, **phrased.options)
        for event in _whole(foreign, phrased, result, streaming=request.stream):
            yield event


def _whole(
    foreign: WrappedChatModel, phrased: NativeArguments, result: ChatResult, *, streaming: bool
) -> Iterator[Event]:
    """The events of a whole answer: one, or a stream of one chunk where chunks were asked for."""
    if not streaming:
        yield read_result(foreign, phrased, result)
        return
    reader = ChunkReader(foreign, phrased)
    if chunk := reader.feed_whole(result):
        yield chunk
    yield reader.finish()


# Kinds by class, most particular first: LangChain's taxonomy, ours (a chain inside a chain), and the builtins.
_CLASSES: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
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
    *errors.OURS,
)


def read_failure(problem: Exception) -> Failure | None:
    """What the exception of a model object says of its provider; None for a mistake in someone's code.

    LangChain's own taxonomy comes first, then what ``_backends.objects.errors`` can tell of any exception.
    """
    return errors.read_failure(problem, _CLASSES)
