"""A provider object of the user's as a target: its methods, of whatever colour, told as the events of an exchange."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final, cast

from unified_llm import exceptions as exc
from unified_llm.exchange import AsyncExchange, Event, Exchange
from unified_llm.foreign import given
from unified_llm.foreign.exchange import NativeExchange, ThreadedAsyncExchange, ThreadExchange
from unified_llm.foreign.failures import OURS, read_failure
from unified_llm.outcome import Failure, FailureKind
from unified_llm.providers.codec import Ask
from unified_llm.providers.row import Row
from unified_llm.types import EmbeddingRequest, LLMRequest, LLMResponse

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
    """A ``ForeignModel`` around a provider object, for one model of it."""

    def __init__(self, row: Row, model: str, defaults: Mapping[str, Any], extra_body: Mapping[str, Any]) -> None:
        """The row's number belongs to its object: nobody inherits the health of who had the name before.

        Args:
            row: Whose model it is.
            model: What the user wrote after the provider's name.
            defaults: Fields of a request, where the request leaves them open.
            extra_body: Further fields for the provider, before those of the request.
        """
        self.number, self._own = row.own
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

    async def _told(self, answer: Any, ask: Ask) -> AsyncGenerator[Event, None]:
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
            pieces = given.Pieces()
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
        return method(self._filled(ask)) if hasattr(ask, "model") else method()

    def _filled(self, ask: LLMRequest | EmbeddingRequest) -> LLMRequest | EmbeddingRequest:
        """The request with the target's own model, and what the configuration says where the request says nothing."""
        open_ones = {name: value for name, value in self._defaults.items() if getattr(ask, name, value) in (None, ())}
        return replace(ask, model=self.model, extra_body={**self._extra_body, **ask.extra_body}, **open_ones)


def _streams(ask: Ask) -> bool:
    return isinstance(ask, LLMRequest) and ask.stream


def _read(answer: Any, ask: Ask, provider: str) -> Iterator[Event]:
    """What was returned, as events."""
    if isinstance(ask, EmbeddingRequest):
        yield given.vectors(answer)
    elif not isinstance(ask, LLMRequest):
        yield given.models(answer, provider)
    elif not ask.stream:
        yield given.whole(answer)
    elif isinstance(answer, (str, LLMResponse, bytes, Mapping)) or not isinstance(answer, Iterable):
        yield from given.in_pieces(answer)
    else:
        pieces = given.Pieces()
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
