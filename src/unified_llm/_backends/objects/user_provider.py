"""A provider object of the user's as a target: its methods, of whatever colour, told as the events of an exchange.

What a provider object gave, held to the shapes that it promised.

What has another shape is a mistake in its code, and a ``TypeError`` that names the place: it would come up far from
there otherwise. What is plainly meant is taken: None for no text, a whole tool call in a stream.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar, cast, get_args

from unified_llm import exceptions as exc
from unified_llm._backends.objects.errors import OURS, read_failure
from unified_llm._backends.objects.exchange import NativeExchange, ThreadedAsyncExchange, ThreadExchange
from unified_llm._core.chunks import as_chunks
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._lib.bounded_json import dump
from unified_llm._providers.spec import ProviderSpec
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import EmbeddingResponse, FinishReason, LLMChunk, LLMResponse, ModelInfo

_REASONS: Final[tuple[str, ...]] = get_args(FinishReason)
_Answer = TypeVar("_Answer", LLMResponse, LLMChunk)


def whole(answer: Any) -> Event:
    """A whole answer."""
    said = _response(answer)
    says = said.content or said.tool_calls or said.refusal or said.reasoning
    return Done(said) if says or said.finish_reason != "stop" else Failure("empty")


def in_pieces(answer: Any) -> Iterator[Event]:
    """A whole answer, to someone who asked for a stream."""
    end = whole(answer)
    if isinstance(end, Done):
        said, last = as_chunks(end.value)
        yield from () if said is None else (said,)
        end = Done(last)
    yield end


def vectors(answer: Any) -> Event:
    """What ``embed`` returned: the response, or the vectors alone."""
    if isinstance(answer, EmbeddingResponse):
        return Done(answer)
    if not _is_list(answer) or not all(map(_is_list, answer := list(answer))):
        raise TypeError(f"embed returned {_kind(answer)}, where an EmbeddingResponse or a list of vectors is wanted.")
    return Done(EmbeddingResponse([[float(number) for number in vector] for vector in answer]))


def models(answer: Any, provider: str) -> Event:
    """What ``list_models`` returned."""
    if not _is_list(answer):
        raise TypeError(f"list_models returned {_kind(answer)}, where an iterable of ModelInfo or names is wanted.")
    return Done((tuple(_model(each, provider) for each in answer), None))


def _model(listed: Any, provider: str) -> ModelInfo:
    if isinstance(listed, ModelInfo):
        return replace(listed, provider=provider)
    if isinstance(listed, str):
        return ModelInfo(listed, provider)
    raise TypeError(f"list_models returned a list with {_kind(listed)} in it, where a ModelInfo or a name is wanted.")


class Pieces:
    """A stream of the object's: whole when its iterator has ended.

    Facts about the answer (why it finished, the tokens spent ...) may come on any piece; here they go on the last.
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._facts: dict[str, Any] = {}
        self._said = self._called = False
        self._calls = 0  # so many places of tool calls are taken

    def take(self, piece: Any) -> LLMChunk | None:
        """What the piece says; None if it says nothing."""
        chunk = LLMChunk(piece) if isinstance(piece, str) else piece
        if not isinstance(chunk, LLMChunk):
            raise TypeError(f"A provider streamed {_kind(piece)}, where an LLMChunk or a text is wanted.")
        chunk = _checked(chunk)
        names = ["finish_reason", "usage", "response_id", "model", "provider_state"]
        if chunk.finish_reason is not None or chunk.usage is not None:
            names.append("raw")
        told = {name: value for name in names if (value := getattr(chunk, name)) is not None}
        self._facts.update(told)
        says = LLMChunk(
            chunk.content, chunk.reasoning, tuple(map(self._fragment, chunk.tool_calls)), chunk.refusal,
            chunk.citations, chunk.logprobs, raw=None if "raw" in told else chunk.raw,
        )  # fmt: skip
        self._called = self._called or bool(says.tool_calls)
        if says.content or says.reasoning or says.refusal or says.tool_calls:
            self._said = True
            return says
        return says if says.citations or says.logprobs else None

    def _fragment(self, call: ToolCall | ToolCallChunk) -> ToolCallChunk:
        """A fragment as it is; a whole call in a place of its own."""
        if isinstance(call, ToolCall):
            call = ToolCallChunk(self._calls, call.id, call.name, written(call).raw_arguments)
        self._calls = max(self._calls, call.index + 1)
        return call

    def end(self) -> Event:
        """The last event of the stream."""
        reason = _reason(self._facts.pop("finish_reason", "stop"), called=self._called)
        return Done(LLMChunk(finish_reason=reason, **self._facts)) if self._said or reason != "stop" else _SILENCE


_SILENCE: Final = Failure("empty")


def written(call: ToolCall) -> ToolCall:
    """The call, with the text of its arguments if that was left out."""
    return call if call.raw_arguments or not call.arguments else replace(call, raw_arguments=dump(call.arguments))


def _response(answer: Any) -> LLMResponse:
    said = LLMResponse(answer) if isinstance(answer, str) else answer
    if not isinstance(said, LLMResponse):
        raise TypeError(f"A provider answered with {_kind(answer)}, where an LLMResponse or a text is wanted.")
    said = _checked(said)
    calls = tuple(written(call) for call in said.tool_calls if isinstance(call, ToolCall))
    if len(calls) != len(said.tool_calls):
        raise TypeError("A whole answer has fragments in its tool_calls, where whole calls (ToolCall) are wanted.")
    return replace(
        said,
        tool_calls=calls,
        finish_reason=_reason(said.finish_reason, called=bool(calls)),
        alternatives=tuple(map(_response, said.alternatives)),
    )


def _reason(reason: FinishReason, *, called: bool) -> FinishReason:
    """An answer that calls tools has finished for that, said or not."""
    return "tool_calls" if called and reason == "stop" else reason


def _checked(answer: _Answer) -> _Answer:
    """An answer or a piece of one whose texts, calls and facts are what their names say."""
    where = type(answer).__name__
    for name in ("content", "reasoning", "refusal"):
        text = getattr(answer, name)
        if text is None:  # as OpenAI's SDK has it
            answer = cast("_Answer", replace(cast("Any", answer), **{name: ""}))
        elif not isinstance(text, str):
            raise TypeError(f"A provider's {where} has {_kind(text)} in {name}, where a text is wanted.")
    wrong = [call for call in answer.tool_calls if not isinstance(call, (ToolCall, ToolCallChunk))]
    if wrong:
        raise TypeError(f"A provider's {where} has {_kind(wrong[0])} in tool_calls, where a ToolCall is wanted.")
    if not isinstance(answer.usage, (Usage, type(None))):
        raise TypeError(f"A provider's {where} has {_kind(answer.usage)} in usage, where a Usage is wanted.")
    if answer.finish_reason not in (*_REASONS, None):
        raise TypeError(f"A provider's {where} has another finish_reason than {', '.join(_REASONS)}.")
    return answer


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _kind(value: Any) -> str:
    return type(value).__name__


# Objects that are being closed. An event loop keeps no hold of its tasks.
_ENDING: Final[set[asyncio.Task[None]]] = set()
# An object of the user's raises our exceptions for what they say, with or without a status.
_KINDS: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
    *OURS,
    (exc.AuthenticationError, "auth"),
    (exc.PermissionDeniedError, "permission"),
    (exc.RateLimitError, "rate_limit"),
    (exc.ModelNotFoundError, "model_not_found"),
    (exc.ServiceUnavailableError, "server"),
    (exc.ValidationError, "bad_request"),
    (exc.GenerationError, "malformed"),
)


class OwnModel:
    """A ``WrappedModel`` around a provider object, for one model of it."""

    def __init__(
        self, row: ProviderSpec, model: str, defaults: Mapping[str, Any], extra_body: Mapping[str, Any]
    ) -> None:
        """The row's number belongs to its object: nobody inherits the health of who had the name before.

        Args:
            row: Whose model it is.
            model: What the user wrote after the provider's name.
            defaults: Fields of a request, where the request leaves them open.
            extra_body: Further fields for the provider, before those of the request.
        """
        self.number, self._own = row.instance
        self._defaults, self._extra_body = defaults, extra_body
        self.provider = row.name
        self.model = model
        self.features = row.features
        window = getattr(self._own, "context_window", None)
        self.context_window: int | None = window if isinstance(window, int) else None

    def exchange(self, request: Any) -> Exchange:
        """An attempt in a thread of its own, left to itself when its time is over."""
        return ThreadExchange(self, request)

    def aexchange(self, request: Any) -> AsyncExchange:
        """An attempt on the event loop; in a thread, if the method knows nothing of event loops."""
        method = self._method(request)
        native = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
        return NativeExchange(self, request) if native else ThreadedAsyncExchange(self, request)

    def events(self, request: Any) -> Generator[Event, None, None]:
        """One answer, for a thread that may wait."""
        answer = self._ask(request)
        if hasattr(answer, "__await__") or hasattr(answer, "__aiter__"):
            yield from _waited_for(self._told(answer, request))
        else:
            yield from _read(answer, request, self.provider)

    async def aevents(self, request: Any) -> AsyncGenerator[Event, None]:
        """One answer, on the event loop."""
        async with aclosing(self._told(self._ask(request), request)) as events:
            async for event in events:
                yield event

    async def _told(self, answer: Any, ask: AnyRequest) -> AsyncGenerator[Event, None]:
        if hasattr(answer, "__await__"):
            answer = await answer
        if not hasattr(answer, "__aiter__"):
            for event in _read(answer, ask, self.provider):
                yield event
            return
        async with aclosing(answer) if hasattr(answer, "aclose") else nullcontext():
            if not _streams(ask):  # a list of models, say, from an asynchronous generator
                for event in _read([each async for each in answer], ask, self.provider):
                    yield event
                return
            pieces = Pieces()
            async for piece in answer:
                if chunk := pieces.take(piece):
                    yield chunk
        yield pieces.end()

    def read_failure(self, problem: Exception) -> Failure | None:
        """What an exception of the object's says."""
        failure = read_failure(problem, _KINDS)
        if failure is not None and isinstance(problem, exc.LLMError):
            retry_after = problem.retry_after if isinstance(problem, exc.RateLimitError) else None
            failure = replace(failure, retry_after=retry_after, request_id=problem.request_id, detail=problem.detail)
        return failure

    def _method(self, ask: AnyRequest) -> Callable[..., Any]:
        if isinstance(ask, LLMRequest):
            wanted = "stream" if ask.stream and hasattr(self._own, "stream") else "generate"
        else:
            wanted = "embed" if isinstance(ask, EmbeddingRequest) else "list_models"
        method: Callable[..., Any] = getattr(self._own, wanted)
        return method

    def _ask(self, ask: Any) -> Any:
        method = self._method(ask)
        return method(self._filled(ask)) if hasattr(ask, "model") else method()

    def _filled(self, ask: LLMRequest | EmbeddingRequest) -> LLMRequest | EmbeddingRequest:
        """The request with the target's own model, and what the configuration says where the request says nothing."""
        open_ones = {name: value for name, value in self._defaults.items() if getattr(ask, name, value) in (None, ())}
        return replace(ask, model=self.model, extra_body={**self._extra_body, **ask.extra_body}, **open_ones)


def _streams(ask: AnyRequest) -> bool:
    return isinstance(ask, LLMRequest) and ask.stream


def _read(answer: Any, ask: AnyRequest, provider: str) -> Iterator[Event]:
    """What was returned, as events."""
    if isinstance(ask, EmbeddingRequest):
        yield vectors(answer)
    elif not isinstance(ask, LLMRequest):
        yield models(answer, provider)
    elif not ask.stream:
        yield whole(answer)
    elif isinstance(answer, (str, LLMResponse, bytes, Mapping)) or not isinstance(answer, Iterable):
        yield from in_pieces(answer)
    else:
        pieces = Pieces()
        with closing(cast("Generator[Any]", answer)) if hasattr(answer, "close") else nullcontext():
            yield from (chunk for piece in answer if (chunk := pieces.take(piece)))
        yield pieces.end()


def _waited_for(events: AsyncGenerator[Event, None]) -> Generator[Event, None, None]:
    """The events of an asynchronous generator, for a thread that may wait.

    It runs on an event loop that lives as long as the attempt, in one task from its beginning to its end, as it would
    for an asynchronous caller: an ``asyncio.timeout`` around a ``yield`` needs that.
    """
    with asyncio.Runner() as runner:
        ahead: asyncio.Queue[Event] = asyncio.Queue(1)
        task = runner.get_loop().create_task(_hand_over(events, ahead))
        while (event := runner.run(_next(ahead, task))) is not None:
            yield event


async def _hand_over(events: AsyncGenerator[Event, None], ahead: asyncio.Queue[Event]) -> None:
    async with aclosing(events):
        async for event in events:
            await ahead.put(event)


async def _next(ahead: asyncio.Queue[Event], task: asyncio.Task[None]) -> Event | None:
    """The next event; None after the last. Raises what the task does."""
    coming = asyncio.create_task(ahead.get())
    await asyncio.wait((coming, task), return_when=asyncio.FIRST_COMPLETED)
    if coming.done():
        return coming.result()
    coming.cancel()
    if not ahead.empty():
        return ahead.get_nowait()
    await task
    return None


def finished(close: Callable[[], Any]) -> None:
    """Call an object's ``close``, of either colour; what it raises concerns nobody any more.

    Where an event loop runs, an asynchronous one is left to it: what the object holds belongs to that loop.
    """
    with suppress(Exception):
        ending = close()
        if not hasattr(ending, "__await__"):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(_awaited(ending))
        else:
            _ENDING.add(task := loop.create_task(_awaited(ending)))
            task.add_done_callback(_ENDING.discard)


async def _awaited(ending: Awaitable[object]) -> None:
    with suppress(Exception):
        await ending
