"""A wrapped LLM: an LLM object of another LlamaIndex integration as a target in a chain.

The object keeps its configuration and does its own retries, which count as one attempt. It receives LlamaIndex's own
messages, and converts tools itself. Its calls are not reported to observers: those of the chain are.

The LLM's last response is kept as ``raw``, so that the caller receives its blocks unchanged.
"""

# LlamaIndex's extension points begin with an underscore, and this module calls them.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from llama_index.core.base.llms.types import ChatMessage, LLMMetadata, MessageRole, TextBlock
from llama_index.core.callbacks.token_counting import get_tokens_from_response
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.tools.types import BaseTool, ToolMetadata

from unified_llm._adapters.model_settings import thinking_settings, timeout_of
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._backends.objects.errors import read_failure, read_unknown_argument
from unified_llm._backends.objects.exchange import NativeExchange, ThreadedAsyncExchange, ThreadExchange
from unified_llm._core.dropped_settings import CHAT_SETTINGS, report_dropped
from unified_llm._core.echoes import mask_echoes
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.quirks import Quirks
from unified_llm._core.redaction import keys_of_object
from unified_llm._formats.finish_reasons import finish_reason_of
from unified_llm._lib.json_schema import inline_reference
from unified_llm._structured.methods import output_schema, write_instruction
from unified_llm.llama_index._call_kwargs import NativeCall
from unified_llm.llama_index._messages import read_messages
from unified_llm.types.messages import Tool, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import FinishReason, LLMChunk, LLMResponse

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatResponse


# Options of a call that every LLM of LlamaIndex takes. Others may be specific to the primary's provider.
_PASSED_OPTIONS: Final = ("temperature", "max_tokens", "top_p", "stop")
_NOT_PASSED: Final = frozenset(CHAT_SETTINGS) - {*_PASSED_OPTIONS}
# JSON comes as the arguments of a tool, or by prompt.
_FEATURES: Final[frozenset[Feature]] = frozenset(
    {"streaming", "images", "image_urls", "audio", "files", "file_urls", "json_object", "json_schema"}
)
_NUMBERS: Final = count()


class WrappedLLM:
    """A ``WrappedModel`` around an LLM object of LlamaIndex.

    The LLM's name and abilities are read once, at construction.

    Args:
        llm: The LLM.
    """

    def __init__(self, llm: LLM) -> None:
        metadata = LLMMetadata()
        with suppress(Exception):  # some request it from their server, some have only certain models
            metadata = llm.metadata
        self.number = next(_NUMBERS)
        self.llm = llm
        self.provider = llm.class_name()
        name = metadata.model_name if metadata.model_name != "unknown" else getattr(llm, "model", None)
        self.model = str(name or type(llm).__name__)
        self.context_window: int | None = metadata.context_window if metadata.context_window > 0 else None
        self.quirks = Quirks(drop=_NOT_PASSED)
        self.vendor = self.provider.lower().removesuffix("_llm")
        self.timeout, self.thinking = timeout_of(llm), thinking_settings(llm)
        calls_tools = isinstance(llm, FunctionCallingLLM) and metadata.is_function_calling_model
        tool_features: frozenset[Feature] = frozenset({"tools", "tool_choice"}) if calls_tools else frozenset()
        self.features = _FEATURES | tool_features

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a copy of the LLM: LlamaIndex removes what cannot be pickled from the object itself."""
        return wrap, (self.llm.model_copy(),)

    def exchange(self, request: LLMRequest) -> Exchange:
        """Create an attempt that runs in its own thread and is abandoned when its time is over."""
        return ThreadExchange(self, request)

    def aexchange(self, request: LLMRequest) -> AsyncExchange:
        """Create an attempt on the event loop, or in a thread if the LLM would block the loop."""
        blocking = next(kind for kind in type(self.llm).__mro__ if "achat" in vars(kind)) is CustomLLM
        return ThreadedAsyncExchange(self, request) if blocking else NativeExchange(self, request)

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        """Yield the events of one answer; blocks the thread."""
        request, messages, answer_tool = self._ask_for_json(request)
        messages, options = self._native_arguments(request, messages)
        if limiter := getattr(self.llm, "rate_limiter", None):
            limiter.acquire()
        if not request.stream:
            yield read_response(self, _without_callbacks(self.llm, "chat")(messages, **options), answer_tool)
            return
        reader = ResponseReader(self, answer_tool)
        for response in _without_callbacks(self.llm, "stream_chat")(messages, **options):
            if chunk := reader.feed(response):
                yield chunk
        yield from reader.finish()

    async def aevents(self, request: LLMRequest) -> AsyncGenerator[Event, None]:
        """Yield the events of one answer on the event loop."""
        request, messages, answer_tool = self._ask_for_json(request)
        messages, options = self._native_arguments(request, messages)
        if limiter := getattr(self.llm, "rate_limiter", None):
            await limiter.async_acquire()
        if not request.stream:
            yield read_response(self, await _without_callbacks(self.llm, "achat")(messages, **options), answer_tool)
            return
        reader = ResponseReader(self, answer_tool)
        async for response in await _without_callbacks(self.llm, "astream_chat")(messages, **options):
            if chunk := reader.feed(response):
                yield chunk
        for event in reader.finish():
            yield event

    def read_failure(self, problem: Exception) -> Failure | None:
        """Classify an exception of the LLM; None for a programming error."""
        failure = read_unknown_argument(problem) or read_failure(problem)
        return failure and mask_echoes(failure, keys_of_object(self.llm))

    def _ask_for_json(self, request: LLMRequest) -> tuple[LLMRequest, list[ChatMessage], str | None]:
        """Return the request and the messages that ask for JSON, and the tool whose arguments are the answer."""
        native: NativeCall = request.native
        messages, response_format = list(native.messages), request.response_format
        if response_format is None:
            return request, messages, None
        arguments = inline_reference(output_schema(response_format))
        can_force = "tool_choice" in self.features and "tool" in response_format.methods
        if can_force and not request.tools and arguments.get("type") == "object":
            tool = Tool(response_format.name, "Give the answer. Call this exactly once.", arguments)
            return replace(request, tools=(tool,), tool_choice=tool.name), messages, tool.name
        instruction = TextBlock(text=write_instruction(output_schema(response_format)))
        if messages and messages[0].role == MessageRole.SYSTEM:
            messages[0] = messages[0].model_copy(update={"blocks": [*messages[0].blocks, instruction]})
        else:
            messages.insert(0, ChatMessage(role=MessageRole.SYSTEM, blocks=[instruction]))
        return request, messages, None

    def _native_arguments(
        self, request: LLMRequest, messages: list[ChatMessage]
    ) -> tuple[list[ChatMessage], dict[str, Any]]:
        """Return the messages and keyword arguments of the LLM's own call."""
        passed = {name: value for name in _PASSED_OPTIONS if (value := getattr(request, name)) not in (None, ())}
        if stop := passed.get("stop"):
            passed["stop"] = list(stop)
        for name in self.quirks.drop:
            if getattr(request, name) is not None:
                report_dropped(name, f"{self.provider}/{self.model}", "whose integration may not take it")
        choice = request.tool_choice
        if not isinstance(self.llm, FunctionCallingLLM) or not request.tools or choice == "none":
            return messages, passed
        tools, forced = request.tools, choice if choice not in {None, "auto", "required"} else None
        forced_option: dict[str, Any] = {}
        if forced and "tool_choice" in inspect.signature(self.llm._prepare_chat_with_tools).parameters:
            forced_option = {"tool_choice": forced}
        elif forced:  # offer that tool only
            tools = tuple(tool for tool in tools if tool.name == forced)
        options = self.llm._prepare_chat_with_tools_compat(
            tools=[SchemaTool(tool) for tool in tools],
            chat_history=messages,
            allow_parallel_tool_calls=request.parallel_tool_calls is not False,
            tool_required=choice not in {None, "auto"},
            **forced_option,
        )
        return list(options.pop("messages", messages)), {**passed, **options}


class _JSONSchemaMetadata(ToolMetadata):
    """Metadata of a tool with a given JSON schema."""

    def __init__(self, tool: Tool) -> None:
        super().__init__(description=tool.description, name=tool.name, fn_schema=None)
        self._parameters = tool.parameters

    def get_parameters_dict(self) -> dict[str, Any]:
        return dict(self._parameters)


class SchemaTool(BaseTool):
    """A tool that is offered but cannot be called here: the caller of the chain runs the tools."""

    def __init__(self, tool: Tool) -> None:
        self._metadata = _JSONSchemaMetadata(tool)

    @property
    def metadata(self) -> ToolMetadata:
        """Name, description and schema."""
        return self._metadata

    def __call__(self, input: Any) -> Any:  # noqa: A002 - LlamaIndex's signature
        """Raise ``NotImplementedError``."""
        raise NotImplementedError


def _without_callbacks(llm: LLM, name: str) -> Callable[..., Any]:
    """Return a method without the decorators that report to observers; unchanged if they are not recognised."""
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


_wrappers: WeakValueDictionary[int, WrappedLLM] = WeakValueDictionary()


def wrap(candidate: object) -> WrappedLLM | None:
    """Return the target for an LLM of LlamaIndex; None if the object is not one.

    An object has one wrapper in all chains, so that they share its health.
    """
    if isinstance(candidate, TargetFields) or not isinstance(candidate, LLM):
        return None
    wrapper = _wrappers.get(id(candidate))
    if wrapper is None:
        wrapper = _wrappers[id(candidate)] = WrappedLLM(candidate)
    return wrapper


def read_response(wrapped: WrappedLLM, response: ChatResponse, answer_tool: str | None = None) -> Done | Failure:
    """Convert a whole answer; the arguments of ``answer_tool``, if it was called, are its text."""
    message = read_messages([_as_assistant(response.message)])[0]
    answer = next((call for call in message.tool_calls if call.name == answer_tool), None)
    calls = () if answer else message.tool_calls
    reason = _finish_reason(response, calls=bool(calls))
    if reason == "stop" and not (message.content or answer):  # reasoning alone is no answer
        return Failure("empty")
    return Done(
        LLMResponse(
            content=answer.raw_arguments if answer else message.text,
            model=_model(wrapped, response),
            provider=wrapped.provider,
            finish_reason=reason,
            usage=_usage(response),
            tool_calls=calls,
            reasoning=message.reasoning,
            raw=None if answer else response,
        )
    )


class ResponseReader:
    """Converter of one stream of responses, each with all the content so far, to chunks."""

    def __init__(self, wrapped: WrappedLLM, answer_tool: str | None = None) -> None:
        self._wrapped, self._answer_tool = wrapped, answer_tool
        self._last: ChatResponse | None = None
        self._seen_length = 0

    def feed(self, response: ChatResponse) -> LLMChunk | None:
        """Return what is new in a response as a chunk, or None. Tool calls are held back until they are complete."""
        self._last = response
        text = response.message.content or ""
        content = text[self._seen_length :] if response.delta is None else response.delta
        self._seen_length = max(len(text), self._seen_length)
        reasoning = response.additional_kwargs.get("thinking_delta") or ""
        return LLMChunk(content=content, reasoning=reasoning) if content or reasoning else None

    def finish(self) -> Iterator[Event]:
        """Yield the tool calls and the last chunk."""
        response = self._last
        whole = read_response(self._wrapped, response, self._answer_tool) if response else Failure("empty")
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
                content=answer.content if answer.raw is None else "",
                finish_reason=answer.finish_reason,
                usage=answer.usage,
                model=answer.model,
                provider=answer.provider,
                raw=answer.raw,
            )
        )


def _as_assistant(message: ChatMessage) -> ChatMessage:
    """Set the message's role to ``assistant``: some LLMs do not."""
    return message if message.role == "assistant" else message.model_copy(update={"role": "assistant"})


def _model(wrapped: WrappedLLM, response: ChatResponse) -> str:
    model = _get(response.raw, "model")
    return model if isinstance(model, str) and model else wrapped.model


def _finish_reason(response: ChatResponse, *, calls: bool) -> FinishReason:
    choices = _get(response.raw, "choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    reason = _get(first, "finish_reason") or _get(response.raw, "stop_reason") or _get(response.raw, "done_reason")
    return finish_reason_of(reason, has_calls=calls)


def _usage(response: ChatResponse) -> Usage | None:
    prompt, completion = 0, 0
    with suppress(Exception):  # it expects raw answers that can be read as a dict
        prompt, completion = get_tokens_from_response(response)
    return Usage(prompt, completion, prompt + completion) if prompt or completion else None


def _get(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
