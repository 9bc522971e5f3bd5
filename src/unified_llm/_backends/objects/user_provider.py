"""A provider object of the user's as a target: call its methods, sync or async, and check what they returned.

Its methods' output becomes the events of an exchange. Output of another type than the protocol promises is a bug in the
provider's code, and a ``TypeError`` that names the field: otherwise it would fail far from its cause. What is plainly
meant is accepted: None for no text, a whole tool call in a stream.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar, cast, get_args

from unified_llm import exceptions as exc
from unified_llm._backends.objects.errors import KINDS_BY_CLASS, read_failure
from unified_llm._backends.objects.exchange import NativeExchange, ThreadedAsyncExchange, ThreadExchange
from unified_llm._core.chunks import as_chunks
from unified_llm._core.codec import AnyRequest
from unified_llm._core.echoes import mask_echoes
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.redaction import keys_of_object
from unified_llm._lib.bounded_json import dump
from unified_llm._providers.spec import ProviderSpec
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import EmbeddingResponse, FinishReason, LLMChunk, LLMResponse, ModelInfo

_REASONS: Final[tuple[str, ...]] = get_args(FinishReason)
_Answer = TypeVar("_Answer", LLMResponse, LLMChunk)


def check_response(output: Any) -> Event:
    """Check a whole response; an empty one is a failure.

    Raises:
        TypeError: It is no response, or a field has the wrong type.
    """
    response = _check_whole(output)
    has_answer = response.content or response.tool_calls or response.refusal
    return Done(response) if has_answer or response.finish_reason != "stop" else Failure("empty")


def stream_response(output: Any) -> Iterator[Event]:
    """Check a whole response and yield it as the events of a stream."""
    end = check_response(output)
    if isinstance(end, Done):
        chunk, last = as_chunks(end.value)
        yield from () if chunk is None else (chunk,)
        end = Done(last)
    yield end


def check_embeddings(output: Any) -> Event:
    """Check what ``embed`` returned: an ``EmbeddingResponse``, or the vectors alone.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(output, EmbeddingResponse):
        return Done(output)
    if not _is_collection(output) or not all(map(_is_collection, output := list(output))):
        raise TypeError(f"embed returned {_type_name(output)}; expected an EmbeddingResponse or a list of vectors.")
    return Done(EmbeddingResponse([[float(number) for number in vector] for vector in output]))


def check_model_list(output: Any, provider: str) -> Event:
    """Check what ``list_models`` returned: an iterable of ``ModelInfo`` or names.

    Raises:
        TypeError: It is something else.
    """
    if not _is_collection(output):
        raise TypeError(f"list_models returned {_type_name(output)}; expected an iterable of ModelInfo or names.")
    return Done((tuple(_check_model(model, provider) for model in output), None))


def _check_model(model: Any, provider: str) -> ModelInfo:
    if isinstance(model, ModelInfo):
        return replace(model, provider=provider)
    if isinstance(model, str):
        return ModelInfo(model, provider)
    raise TypeError(f"list_models returned a list that contains {_type_name(model)}; expected ModelInfo or names.")


class StreamChecker:
    """Checks the chunks of a provider's stream, and makes its last chunk.

    Finish reason, usage and the like may come on any chunk of the provider's; they are moved to the last. The stream is
    complete when the provider's iterator has ended.
    """

    def __init__(self) -> None:
        self._last_fields: dict[str, Any] = {}
        self._has_answer = self._has_tool_calls = False
        self._next_index = 0  # of a tool call

    def check_chunk(self, output: Any) -> LLMChunk | None:
        """Check a chunk and return what is new in it; None if nothing is.

        Raises:
            TypeError: It is neither a chunk nor a text, or a field has the wrong type.
        """
        chunk = LLMChunk(output) if isinstance(output, str) else output
        if not isinstance(chunk, LLMChunk):
            raise TypeError(f"A provider streamed {_type_name(output)}; expected an LLMChunk or a str.")
        chunk = _check_fields(chunk)
        names = ["finish_reason", "usage", "response_id", "model", "provider_state"]
        if chunk.finish_reason is not None or chunk.usage is not None:
            names.append("raw")
        last_fields = {name: value for name in names if (value := getattr(chunk, name)) is not None}
        self._last_fields.update(last_fields)
        new = LLMChunk(
            chunk.content, chunk.reasoning, tuple(map(self._to_fragment, chunk.tool_calls)), chunk.refusal,
            chunk.citations, chunk.logprobs, raw=None if "raw" in last_fields else chunk.raw,
        )  # fmt: skip
        self._has_tool_calls = self._has_tool_calls or bool(new.tool_calls)
        is_answer = bool(new.content or new.refusal or new.tool_calls)
        self._has_answer = self._has_answer or is_answer
        return new if is_answer or new.reasoning or new.citations or new.logprobs else None

    def _to_fragment(self, call: ToolCall | ToolCallChunk) -> ToolCallChunk:
        """Return a fragment as it is, a whole call as one fragment with the next free index."""
        if isinstance(call, ToolCall):
            call = ToolCallChunk(self._next_index, call.id, call.name, fill_raw_arguments(call).raw_arguments)
        self._next_index = max(self._next_index, call.index + 1)
        return call

    def finish(self) -> Event:
        """Return the last event of the stream; a failure if it had no answer (reasoning alone is none)."""
        reason = _finish_reason(self._last_fields.pop("finish_reason", "stop"), has_tool_calls=self._has_tool_calls)
        if not self._has_answer and reason == "stop":
            return Failure("empty")
        return Done(LLMChunk(finish_reason=reason, **self._last_fields))


def fill_raw_arguments(call: ToolCall) -> ToolCall:
    """Write the text of a tool call's arguments, if the provider left it out."""
    return call if call.raw_arguments or not call.arguments else replace(call, raw_arguments=dump(call.arguments))


def _check_whole(output: Any) -> LLMResponse:
    response = LLMResponse(output) if isinstance(output, str) else output
    if not isinstance(response, LLMResponse):
        raise TypeError(f"A provider returned {_type_name(output)}; expected an LLMResponse or a str.")
    response = _check_fields(response)
    calls = tuple(fill_raw_arguments(call) for call in response.tool_calls if isinstance(call, ToolCall))
    if len(calls) != len(response.tool_calls):
        raise TypeError("A provider's LLMResponse has fragments in tool_calls; expected whole calls (ToolCall).")
    return replace(
        response,
        tool_calls=calls,
        finish_reason=_finish_reason(response.finish_reason, has_tool_calls=bool(calls)),
        alternatives=tuple(map(_check_whole, response.alternatives)),
    )


def _finish_reason(reason: FinishReason, *, has_tool_calls: bool) -> FinishReason:
    """Return ``tool_calls`` for a response with tool calls, even if its provider left the reason at ``stop``."""
    return "tool_calls" if has_tool_calls and reason == "stop" else reason


def _check_fields(answer: _Answer) -> _Answer:
    """Check the types of texts, tool calls, usage and finish reason; replace a text that is None by an empty one."""
    where = type(answer).__name__
    for name in ("content", "reasoning", "refusal"):
        text = getattr(answer, name)
        if text is None:  # as in OpenAI's SDK
            answer = cast("_Answer", replace(cast("Any", answer), **{name: ""}))
        elif not isinstance(text, str):
            raise TypeError(f"A provider's {where} has {_type_name(text)} in {name}; expected a str.")
    wrong = [call for call in answer.tool_calls if not isinstance(call, (ToolCall, ToolCallChunk))]
    if wrong:
        raise TypeError(f"A provider's {where} has {_type_name(wrong[0])} in tool_calls; expected a ToolCall.")
    if not isinstance(answer.usage, (Usage, type(None))):
        raise TypeError(f"A provider's {where} has {_type_name(answer.usage)} in usage; expected a Usage.")
    if answer.finish_reason not in (*_REASONS, None):
        raise TypeError(f"A provider's {where} has an unknown finish_reason; expected one of {', '.join(_REASONS)}.")
    return answer


def _is_collection(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _is_async(output: Any) -> bool:
    """Return whether an output is awaited or read with ``async for``.

    The streams of a client have the methods of both kinds; those of the wrong one say so. So ``__next__`` decides for a
    sync one, and ``__anext__`` for an async one.
    """
    if hasattr(output, "__anext__"):
        return True
    return not hasattr(output, "__next__") and (hasattr(output, "__await__") or hasattr(output, "__aiter__"))


def _type_name(value: Any) -> str:
    return type(value).__name__


# `close` calls under way. Strong references: an event loop keeps only weak ones to its tasks.
_CLOSING: Final[set[asyncio.Task[None]]] = set()
# A provider object of the user's raises our exceptions for what they mean, with or without a status.
_KINDS: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
    *KINDS_BY_CLASS,
    (exc.AuthenticationError, "auth"),
    (exc.PermissionDeniedError, "permission"),
    (exc.RateLimitError, "rate_limit"),
    (exc.ModelNotFoundError, "model_not_found"),
    (exc.ServiceUnavailableError, "server"),
    (exc.ValidationError, "bad_request"),
    (exc.GenerationError, "malformed"),
)


class UserProviderModel:
    """A ``WrappedModel`` around a provider object of the user's, for one of its models.

    ``number`` belongs to the object, not to the name: an object registered under the name of another does not inherit
    its health.

    Args:
        spec: The provider's row of the provider table.
        model: What the user wrote after the provider's name.
        defaults: Fields of a request, where the request leaves them open.
        extra_body: Further fields for the provider; the request's own override them.
    """

    def __init__(
        self, spec: ProviderSpec, model: str, defaults: Mapping[str, Any], extra_body: Mapping[str, Any]
    ) -> None:
        self.number, self._provider = spec.instance
        self._defaults, self._extra_body = defaults, extra_body
        self.provider = spec.name
        self.model = model
        self.features = spec.features
        window = getattr(self._provider, "context_window", None)
        self.context_window: int | None = window if isinstance(window, int) else None

    def exchange(self, request: Any) -> Exchange:
        """Create an attempt in a thread, which is abandoned at its deadline."""
        return ThreadExchange(self, request)

    def aexchange(self, request: Any) -> AsyncExchange:
        """Create an attempt on the event loop, or in a thread if the method is sync."""
        method = self._method(request)
        native = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
        return NativeExchange(self, request) if native else ThreadedAsyncExchange(self, request)

    def events(self, request: Any) -> Generator[Event, None, None]:
        """Yield the events of one response, in a thread that may block."""
        output = self._call_method(request)
        if _is_async(output):
            yield from _run_async(self._read_async(output, request))
        else:
            yield from _read_output(output, request, self.provider)

    async def aevents(self, request: Any) -> AsyncGenerator[Event, None]:
        """Yield the events of one response, on the event loop."""
        async with aclosing(self._read_async(self._call_method(request), request)) as events:
            async for event in events:
                yield event

    async def _read_async(self, output: Any, request: AnyRequest) -> AsyncGenerator[Event, None]:
        if _is_async(output) and not hasattr(output, "__anext__") and hasattr(output, "__await__"):
            output = await output
        if not _is_async(output):
            for event in _read_output(output, request, self.provider):
                yield event
            return
        async with aclosing(output) if hasattr(output, "aclose") else nullcontext():
            if not _is_stream(request):  # a list of models from an async generator, for example
                for event in _read_output([item async for item in output], request, self.provider):
                    yield event
                return
            checker = StreamChecker()
            async for item in output:
                if chunk := checker.check_chunk(item):
                    yield chunk
        yield checker.finish()

    def read_failure(self, error: Exception) -> Failure | None:
        """Map an exception of the provider object to a failure; None for a bug in its code."""
        failure = read_failure(error, _KINDS)
        if failure is not None and isinstance(error, exc.LLMError):
            retry_after = error.retry_after if isinstance(error, exc.RateLimitError) else None
            failure = replace(failure, retry_after=retry_after, request_id=error.request_id, detail=error.detail)
        return failure and mask_echoes(failure, keys_of_object(self._provider))

    def _method(self, request: AnyRequest) -> Callable[..., Any]:
        if isinstance(request, LLMRequest):
            name = "stream" if request.stream and hasattr(self._provider, "stream") else "generate"
        else:
            name = "embed" if isinstance(request, EmbeddingRequest) else "list_models"
        method: Callable[..., Any] = getattr(self._provider, name)
        return method

    def _call_method(self, request: Any) -> Any:
        method = self._method(request)
        return method(self._apply_defaults(request)) if hasattr(request, "model") else method()

    def _apply_defaults(self, request: LLMRequest | EmbeddingRequest) -> LLMRequest | EmbeddingRequest:
        """Set the target's own model, and the configuration's values where the request leaves a field open."""
        unset = {name: value for name, value in self._defaults.items() if getattr(request, name, value) in (None, ())}
        return replace(request, model=self.model, extra_body={**self._extra_body, **request.extra_body}, **unset)


def _is_stream(request: AnyRequest) -> bool:
    return isinstance(request, LLMRequest) and request.stream


def _read_output(output: Any, request: AnyRequest, provider: str) -> Iterator[Event]:
    """Check what a method returned and yield it as events."""
    if isinstance(request, EmbeddingRequest):
        yield check_embeddings(output)
    elif not isinstance(request, LLMRequest):
        yield check_model_list(output, provider)
    elif not request.stream:
        yield check_response(output)
    elif isinstance(output, (str, LLMResponse, bytes, Mapping)) or not isinstance(output, Iterable):
        yield from stream_response(output)
    else:
        checker = StreamChecker()
        with closing(cast("Generator[Any]", output)) if hasattr(output, "close") else nullcontext():
            yield from (chunk for item in output if (chunk := checker.check_chunk(item)))
        yield checker.finish()


def _run_async(events: AsyncGenerator[Event, None]) -> Generator[Event, None, None]:
    """Yield the events of an async generator, in a thread that may block.

    The generator runs on an event loop that lives as long as the attempt, in one task from its start to its end, as for
    an async caller: an ``asyncio.timeout`` around a ``yield`` needs that.
    """
    with asyncio.Runner() as runner:
        queue: asyncio.Queue[Event] = asyncio.Queue(1)
        task = runner.get_loop().create_task(_put_events(events, queue))
        while (event := runner.run(_next_event(queue, task))) is not None:
            yield event


async def _put_events(events: AsyncGenerator[Event, None], queue: asyncio.Queue[Event]) -> None:
    async with aclosing(events):
        async for event in events:
            await queue.put(event)


async def _next_event(queue: asyncio.Queue[Event], task: asyncio.Task[None]) -> Event | None:
    """Return the next event, None after the last. Raises what the task raised."""
    getter = asyncio.create_task(queue.get())
    await asyncio.wait((getter, task), return_when=asyncio.FIRST_COMPLETED)
    if getter.done():
        return getter.result()
    getter.cancel()
    if not queue.empty():
        return queue.get_nowait()
    await task
    return None


def close_object(close: Callable[[], Any]) -> None:
    """Call a provider object's ``close``, sync or async, and drop what it raises: the object is out of use.

    Where an event loop runs, an async ``close`` runs on it in the background, since the object's connections belong to
    that loop.
    """
    with suppress(Exception):
        closing_call = close()
        if not hasattr(closing_call, "__await__"):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(_await_close(closing_call))
        else:
            _CLOSING.add(task := loop.create_task(_await_close(closing_call)))
            task.add_done_callback(_CLOSING.discard)


async def _await_close(closing_call: Awaitable[object]) -> None:
    with suppress(Exception):
        await closing_call
