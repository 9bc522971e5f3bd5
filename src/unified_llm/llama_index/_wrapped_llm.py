"""An LLM object of LlamaIndex's as a target in a chain.

The object keeps its own configuration and does its own retries, which count as one attempt. It receives LlamaIndex's
own messages, and phrases tools in its own way. Its calls are reported to no observer: those of the chain are.

What an LLM object of LlamaIndex's answered, read as an answer of ours.

The last response itself goes along as ``raw``, so that its blocks reach the caller as the LLM wrote them.
"""

# LlamaIndex's own points of extension begin with an underscore, and this file is on their other side.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.callbacks.token_counting import get_tokens_from_response
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.tools.types import BaseTool, ToolMetadata

from unified_llm._adapters.target_fields import TargetFields
from unified_llm._backends.objects.errors import read_failure
from unified_llm._backends.objects.exchange import NativeExchange, ThreadedAsyncExchange, ThreadExchange
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm.llama_index._call_kwargs import NativeCall
from unified_llm.llama_index._messages import read_messages
from unified_llm.types.messages import Tool, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import FinishReason, LLMChunk, LLMResponse

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse


# Options of a call that every LLM of LlamaIndex's takes. Others belong to the provider of the primary.
_PASSED: Final = ("temperature", "max_tokens", "top_p", "stop")
_FEATURES: Final[frozenset[Feature]] = frozenset({"streaming", "images", "image_urls", "audio", "files"})
_NUMBERS: Final = count()


class WrappedLLM:
    """A ``WrappedModel`` around an LLM of LlamaIndex's.

    Args:
        llm: The LLM.
    """

    def __init__(self, llm: LLM) -> None:
        """Ask the LLM for its name and abilities, once."""
        metadata = LLMMetadata()
        with suppress(Exception):  # some ask their server for it, some know only certain models
            metadata = llm.metadata
        self.number = next(_NUMBERS)
        self.llm = llm
        self.provider = llm.class_name()
        named = metadata.model_name if metadata.model_name != "unknown" else getattr(llm, "model", None)
        self.model = str(named or type(llm).__name__)
        self.context_window: int | None = metadata.context_window if metadata.context_window > 0 else None
        calls_tools = isinstance(llm, FunctionCallingLLM) and metadata.is_function_calling_model
        more: frozenset[Feature] = frozenset({"tools", "tool_choice"}) if calls_tools else frozenset()
        self.features = _FEATURES | more

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a copy of the LLM: LlamaIndex removes what cannot be pickled from the very object."""
        return wrap, (self.llm.model_copy(),)

    def exchange(self, request: LLMRequest) -> Exchange:
        """An attempt in a thread of its own, abandoned when its time is over."""
        return ThreadExchange(self, request)

    def aexchange(self, request: LLMRequest) -> AsyncExchange:
        """An attempt on the event loop, or in a thread where the LLM would block the loop."""
        blocking = next(kind for kind in type(self.llm).__mro__ if "achat" in vars(kind)) is CustomLLM
        return ThreadedAsyncExchange(self, request) if blocking else NativeExchange(self, request)

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        """One answer, for a thread that may wait."""
        messages, options = self._phrase(request)
        if limiter := getattr(self.llm, "rate_limiter", None):
            limiter.acquire()
        if not request.stream:
            yield read_whole(self, _bare(self.llm, "chat")(messages, **options))
            return
        reader = ResponseReader(self)
        for response in _bare(self.llm, "stream_chat")(messages, **options):
            if chunk := reader.feed(response):
                yield chunk
        yield from reader.finish()

    async def aevents(self, request: LLMRequest) -> AsyncGenerator[Event, None]:
        """One answer, on the event loop."""
        messages, options = self._phrase(request)
        if limiter := getattr(self.llm, "rate_limiter", None):
            await limiter.async_acquire()
        if not request.stream:
            yield read_whole(self, await _bare(self.llm, "achat")(messages, **options))
            return
        reader = ResponseReader(self)
        async for response in await _bare(self.llm, "astream_chat")(messages, **options):
            if chunk := reader.feed(response):
                yield chunk
        for event in reader.finish():
            yield event

    def read_failure(self, problem: Exception) -> Failure | None:
        """What an exception of the LLM says of its provider."""
        return read_failure(problem)

    def _phrase(self, request: LLMRequest) -> tuple[list[Any], dict[str, Any]]:
        """The messages and the keyword arguments of a call of this LLM's own."""
        native: NativeCall = request.native
        messages = list(native.messages)
        given = {name: native.options[name] for name in _PASSED if native.options.get(name) is not None}
        choice = request.tool_choice
        if not isinstance(self.llm, FunctionCallingLLM) or not request.tools or choice == "none":
            return messages, given
        tools, named = request.tools, choice if choice not in {None, "auto", "required"} else None
        chosen: dict[str, Any] = {}
        if named and "tool_choice" in inspect.signature(self.llm._prepare_chat_with_tools).parameters:
            chosen = {"tool_choice": named}
        elif named:  # then there is but one to choose from
            tools = tuple(tool for tool in tools if tool.name == named)
        options = self.llm._prepare_chat_with_tools_compat(
            tools=[OfferedTool(tool) for tool in tools],
            chat_history=messages,
            allow_parallel_tool_calls=request.parallel_tool_calls is not False,
            tool_required=choice not in {None, "auto"},
            **chosen,
        )
        return list(options.pop("messages", messages)), {**given, **options}


class _Schema(ToolMetadata):
    """What LLMs ask of a tool's metadata, from a JSON schema."""

    def __init__(self, tool: Tool) -> None:
        super().__init__(description=tool.description, name=tool.name, fn_schema=None)
        self._parameters = tool.parameters

    def get_parameters_dict(self) -> dict[str, Any]:
        return dict(self._parameters)


class OfferedTool(BaseTool):
    """A tool to be offered, not to be called: whoever asked for it does that."""

    def __init__(self, tool: Tool) -> None:
        """Describe it."""
        self._metadata = _Schema(tool)

    @property
    def metadata(self) -> ToolMetadata:
        """Name, description and schema."""
        return self._metadata

    def __call__(self, input: Any) -> Any:  # noqa: A002 - LlamaIndex's signature
        """Refuse."""
        raise NotImplementedError


def _bare(llm: LLM, name: str) -> Callable[..., Any]:
    """A method without the decorators that report to observers; as it is, where they cannot be told apart."""
    method: Any = getattr(type(llm), name)
    while callable(wrapped := getattr(method, "__wrapped__", None)):
        method = wrapped
    code = getattr(method, "__code__", None)
    if code is None or "f" not in code.co_freevars or not code.co_filename.endswith("callbacks.py"):
        bound: Callable[..., Any] = getattr(llm, name)
        return bound
    inner: Mapping[str, Any] = inspect.getclosurevars(method).nonlocals
    plain: Callable[..., Any] = inner["f"].__get__(llm)
    return plain


_known: WeakValueDictionary[int, WrappedLLM] = WeakValueDictionary()


def wrap(candidate: object) -> WrappedLLM | None:
    """The target for an LLM of LlamaIndex's, or None if it is none.

    One object has one wrapper, however many chains it stands in, so that its health is known to all of them.
    """
    if isinstance(candidate, TargetFields) or not isinstance(candidate, LLM):
        return None
    found = _known.get(id(candidate))
    if found is None:
        found = _known[id(candidate)] = WrappedLLM(candidate)
    return found


_REASONS: Final[Mapping[str, FinishReason]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


def read_whole(foreign: WrappedLLM, response: ChatResponse) -> Done | Failure:
    """A whole answer."""
    read = read_messages([_assistant(response.message)])[0]
    if not (read.content or read.tool_calls or read.reasoning):
        return Failure("empty")
    return Done(
        LLMResponse(
            content=read.text,
            model=_model(foreign, response),
            provider=foreign.provider,
            finish_reason=_finish_reason(response, calls=bool(read.tool_calls)),
            usage=_usage(response),
            tool_calls=read.tool_calls,
            reasoning=read.reasoning,
            raw=response,
        )
    )


class ResponseReader:
    """Reads one stream of responses, each of which holds everything so far."""

    def __init__(self, foreign: WrappedLLM) -> None:
        """Nothing has been seen yet."""
        self._foreign = foreign
        self._last: ChatResponse | None = None
        self._seen = 0

    def feed(self, response: ChatResponse) -> LLMChunk | None:
        """One response; None if there is nothing new in it to hand out. Tool calls wait until they are whole."""
        self._last = response
        text = response.message.content or ""
        content = text[self._seen :] if response.delta is None else response.delta
        self._seen = max(len(text), self._seen)
        reasoning = response.additional_kwargs.get("thinking_delta") or ""
        return LLMChunk(content=content, reasoning=reasoning) if content or reasoning else None

    def finish(self) -> Iterator[Event]:
        """The calls, and the last chunk."""
        response = self._last
        whole = read_whole(self._foreign, response) if response else Failure("empty")
        if response is None or isinstance(whole, Failure):
            yield Failure("empty")
            return
        answer: LLMResponse = whole.value
        if answer.tool_calls:
            calls = (
                ToolCallChunk(index, call.id, call.name, call.raw_arguments)
                for index, call in enumerate(answer.tool_calls)
            )
            yield LLMChunk(tool_calls=tuple(calls))
        yield Done(
            LLMChunk(
                finish_reason=answer.finish_reason,
                usage=answer.usage,
                model=answer.model,
                provider=answer.provider,
                raw=response,
            )
        )


def _assistant(message: ChatMessage) -> ChatMessage:
    """Some LLMs forget to say that it is they who speak."""
    return message if message.role == "assistant" else message.model_copy(update={"role": "assistant"})


def _model(foreign: WrappedLLM, response: ChatResponse) -> str:
    named = _get(response.raw, "model")
    return named if isinstance(named, str) and named else foreign.model


def _finish_reason(response: ChatResponse, *, calls: bool) -> FinishReason:
    choices = _get(response.raw, "choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    said = _get(first, "finish_reason") or _get(response.raw, "stop_reason") or _get(response.raw, "done_reason")
    return _REASONS.get(str(said).lower()) or ("tool_calls" if calls else "stop")


def _usage(response: ChatResponse) -> Usage | None:
    prompt, completion = 0, 0
    with suppress(Exception):  # it expects raw answers that can be read as a dict
        prompt, completion = get_tokens_from_response(response)
    return Usage(prompt, completion, prompt + completion) if prompt or completion else None


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
