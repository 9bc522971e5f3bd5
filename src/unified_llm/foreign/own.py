"""A provider object of the user's as a target: its methods, of whatever colour, told as the events of an exchange."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from unified_llm import exceptions as exc
from unified_llm.exchange import AsyncExchange, Event, Exchange
from unified_llm.foreign.exchange import NativeExchange, ThreadedAsyncExchange, ThreadExchange
from unified_llm.foreign.failures import OURS, read_failure
from unified_llm.outcome import Done, Failure, FailureKind
from unified_llm.pieces import as_chunks
from unified_llm.providers.codec import Ask
from unified_llm.providers.row import Row
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, LLMChunk, LLMRequest, LLMResponse, ModelInfo

_T = TypeVar("_T")

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
    """A ``ForeignModel`` around a provider object, for one model of it."""

    def __init__(self, row: Row, model: str) -> None:
        """The row's number belongs to its object: nobody inherits the health of who had the name before."""
        self.number, self._own = row.own
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
        if not hasattr(answer, "__await__") and not hasattr(answer, "__aiter__"):
            yield from _read(answer, request, self)
            return
        with asyncio.Runner() as runner:  # for a method that wants an event loop, one that lives as long as the attempt
            if hasattr(answer, "__await__"):
                answer = runner.run(_awaited(answer))
            if hasattr(answer, "__aiter__"):
                yield from _read(_drawn(answer, runner), request, self)
            else:
                yield from _read(answer, request, self)

    async def aevents(self, request: Any) -> AsyncGenerator[Event, None]:
        """One answer, on the event loop."""
        answer = self._ask(request)
        if hasattr(answer, "__await__"):
            answer = await answer
        if not hasattr(answer, "__aiter__"):
            for event in _read(answer, request, self):
                yield event
            return
        pieces = _Pieces()
        async with aclosing(answer) if hasattr(answer, "aclose") else nullcontext():
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

    def _method(self, ask: Ask) -> Callable[..., Any]:
        if isinstance(ask, LLMRequest):
            wanted = "stream" if ask.stream and hasattr(self._own, "stream") else "generate"
        else:
            wanted = "embed" if isinstance(ask, EmbeddingRequest) else "list_models"
        method: Callable[..., Any] = getattr(self._own, wanted)
        return method

    def _ask(self, ask: Any) -> Any:
        method = self._method(ask)
        return method(replace(ask, model=self.model)) if hasattr(ask, "model") else method()


def _read(answer: Any, ask: Ask, where: OwnModel) -> Iterator[Event]:
    """What was returned, as events."""
    if isinstance(answer, (str, LLMResponse)):
        whole = LLMResponse(answer) if isinstance(answer, str) else answer
        yield from _chunked(whole) if isinstance(ask, LLMRequest) and ask.stream else [_checked(whole)]
    elif isinstance(ask, EmbeddingRequest):
        plain = isinstance(answer, EmbeddingResponse)
        yield Done(answer if plain else EmbeddingResponse([list(vector) for vector in answer]))
    elif not isinstance(ask, LLMRequest):
        yield Done((tuple(_model(each, where.provider) for each in answer), None))
    elif isinstance(answer, Iterable):
        pieces = _Pieces()
        yield from (chunk for piece in answer if (chunk := pieces.take(piece)))
        yield pieces.end()
    else:
        raise TypeError(f"A provider answered with {type(answer).__name__}, where an LLMResponse or a text is wanted.")


def _checked(answer: LLMResponse) -> Event:
    said = answer.content or answer.tool_calls or answer.refusal or answer.reasoning
    return Done(answer) if said or answer.finish_reason != "stop" else Failure("empty")


def _chunked(answer: LLMResponse) -> Iterator[Event]:
    end = _checked(answer)
    if isinstance(end, Done):
        said, last = as_chunks(answer)
        yield from () if said is None else (said,)
        end = Done(last)
    yield end


def _model(listed: ModelInfo | str, provider: str) -> ModelInfo:
    return ModelInfo(listed, provider) if isinstance(listed, str) else replace(listed, provider=provider)


class _Pieces:
    """A stream of the object's. It is whole when its iterator has ended, or a piece says why it finished."""

    def __init__(self) -> None:
        self._last: LLMChunk | None = None
        self._said = self._called = False

    def take(self, piece: LLMChunk | str) -> LLMChunk | None:
        chunk = LLMChunk(piece) if isinstance(piece, str) else piece
        if not isinstance(chunk, LLMChunk):
            raise TypeError(f"A provider streamed {type(piece).__name__}, where an LLMChunk or a text is wanted.")
        if chunk.finish_reason is not None or chunk.usage is not None:
            self._last = replace(chunk, content="", reasoning="", refusal="", tool_calls=(), citations=(), logprobs=())
            chunk = replace(chunk, finish_reason=None, usage=None, sealed=None, raw=None, response_id=None, model=None)
        self._called = self._called or bool(chunk.tool_calls)
        says = bool(chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls)
        self._said = self._said or says
        return chunk if says or chunk.citations or chunk.logprobs else None

    def end(self) -> Event:
        last = self._last or LLMChunk()
        reason = last.finish_reason or ("tool_calls" if self._called else "stop")
        if not self._said and reason == "stop":
            return Failure("empty")
        return Done(replace(last, finish_reason=reason))


async def _awaited(answer: Awaitable[_T]) -> _T:
    return await answer


def _drawn(answer: AsyncIterator[Any], runner: asyncio.Runner) -> Iterator[Any]:
    """The pieces of an asynchronous stream, for a thread that may wait."""
    try:
        while True:
            try:
                yield runner.run(_awaited(anext(answer)))
            except StopAsyncIteration:
                return
    finally:
        if hasattr(answer, "aclose"):
            runner.run(_awaited(answer.aclose()))  # pyright: ignore[reportAttributeAccessIssue] - just asked


def finished(close: Callable[[], Any]) -> None:
    """Call an object's ``close``, of either colour; what it raises concerns nobody any more."""
    with suppress(Exception):
        ending = close()
        if hasattr(ending, "__await__"):
            asyncio.run(_awaited(ending))
