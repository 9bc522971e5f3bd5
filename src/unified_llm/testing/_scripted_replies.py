"""Scripted exchanges of an outage: the faults of failing targets, and the replies of the others.

The replies are those that the test gives as ``reply=``; no network is used.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from unified_llm._core.chunks import as_chunks
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import dump
from unified_llm._lib.fork_safe import make_lock
from unified_llm.exceptions import ConfigurationError
from unified_llm.testing._clock import Clock
from unified_llm.testing._faults import ScriptedEvent
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    FurtherRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)
from unified_llm.types.responses import (
    EmbeddingResponse,
    LLMChunk,
    LLMResponse,
    ModelInfo,
    RankedDocument,
    RerankResponse,
)

Reply: TypeAlias = str | LLMResponse
"""One answer: its text, or all of it."""

# Words, with the white space around them: joined they are the text again.
_WORDS: Final = re.compile(r"\s*\S+\s?|\s+")
_DIMENSIONS: Final = 8


class Replies:
    """Replies in the order of the turns of a conversation; the last is repeated.

    Args:
        replies: One reply, several, or a function that makes one from a request.

    Raises:
        ConfigurationError: It is none of these.
    """

    def __init__(self, replies: Reply | Sequence[Reply] | Callable[[LLMRequest], Reply]) -> None:
        self._reply_to: Callable[[LLMRequest], Reply] = self._next_turn
        self._turns: list[Reply] = []
        self._lock = make_lock()
        if callable(replies):
            self._reply_to = replies
        elif isinstance(replies, Sequence) and not isinstance(replies, str):
            self._turns = [_check_reply(reply) for reply in replies]
        else:
            self._turns = [_check_reply(replies)]
        if not self._turns and not callable(replies):
            raise ConfigurationError("reply= is an empty list: give it at least one answer.")

    def events_for(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent]:
        """List the events of an attempt on this target, in order."""
        if isinstance(request, EmbeddingRequest):
            return [Done(EmbeddingResponse([_vector(text, request.dimensions) for text in request.texts]))]
        if isinstance(request, FurtherRequest):
            from unified_llm.testing._made_up_media import made_up_events  # few tests need it

            if events := made_up_events(request, target):
                return events
        if not isinstance(request, LLMRequest):
            return [Done(_made_up_result(request, target))]
        answer = _complete(_check_reply(self._reply_to(request)), target)
        return _stream_events(answer) if request.stream else [Done(answer)]

    def _next_turn(self, _: LLMRequest) -> Reply:
        with self._lock:
            return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]


def _check_reply(reply: object) -> Reply:
    if isinstance(reply, (str, LLMResponse)):
        return reply
    raise ConfigurationError(f"reply= must give a str or an LLMResponse, not {type(reply).__name__}.")


def _complete(reply: Reply, target: Target) -> LLMResponse:
    """Fill in what a provider always sends and a test may leave out: model, provider, finish reason ..."""
    answer = LLMResponse(reply) if isinstance(reply, str) else reply
    calls = tuple(_fill_raw_arguments(call) for call in answer.tool_calls)
    return replace(
        answer,
        tool_calls=calls,
        finish_reason="tool_calls" if calls and answer.finish_reason == "stop" else answer.finish_reason,
        model=answer.model or target.model,
        provider=answer.provider or target.provider,
    )


def _fill_raw_arguments(call: ToolCall) -> ToolCall:
    return call if call.raw_arguments else replace(call, raw_arguments=dump(call.arguments))


def _stream_events(answer: LLMResponse) -> Sequence[ScriptedEvent]:
    _, last = as_chunks(answer)
    return [*_chunks(answer), Done(last)]


def _chunks(answer: LLMResponse) -> Iterator[LLMChunk]:
    if answer.reasoning:
        yield LLMChunk(reasoning=answer.reasoning)
    for word in _WORDS.findall(answer.content):
        yield LLMChunk(content=word)
    if answer.refusal:
        yield LLMChunk(refusal=answer.refusal)
    for index, call in enumerate(answer.tool_calls):
        yield LLMChunk(tool_calls=(ToolCallChunk(index, call.id, call.name, call.raw_arguments),))
    if answer.citations or answer.logprobs:
        yield LLMChunk(citations=answer.citations, logprobs=answer.logprobs)


def _made_up_result(request: AnyRequest, target: Target) -> object:
    """Make up a result: no models, a plain model, a token per four characters, documents in the given order."""
    match request:
        case ModelsRequest():
            return ((), None)
        case ModelRequest():
            return ModelInfo(target.model, target.provider)
        case CountRequest():
            return sum(len(message.text) for message in request.chat.messages) // 4 + 1
        case RerankRequest():
            indices = range(min(request.top_n or len(request.documents), len(request.documents)))
            return RerankResponse(tuple(RankedDocument(index, 1.0 / (index + 1)) for index in indices))
        case _:
            raise ConfigurationError(f"An outage has no reply for {type(request).__name__}.")


def _vector(text: str, dimensions: int | None) -> list[float]:
    """Make up a vector: the same for the same text, different for different texts."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(dimensions or _DIMENSIONS)
    return [byte / 127.5 - 1.0 for byte in digest]


class ScriptedExchange:
    """An attempt that follows a script. Only where the target hangs does it advance the clock.

    Args:
        events: The events, in order; the last is repeated.
        clock: The clock of the outage.
    """

    def __init__(self, events: Sequence[ScriptedEvent], clock: Clock) -> None:
        self._events = deque(events)
        self._clock = clock

    def open(self, until: float) -> Failure | None:
        """Return the failure if it is the first event."""
        del until
        first = self._events[0]
        return first if isinstance(first, Failure) else None

    def read(self, until: float) -> AnyEvent:
        """Return the next event; where the target hangs, advance the clock and return a timeout."""
        event = self._events.popleft() if len(self._events) > 1 else self._events[0]
        if event is not None:
            return event
        self._clock.skip(until)
        return Failure("timeout")

    def close(self) -> None:
        """Do nothing: there is no connection."""


class AsyncScriptedExchange:
    """As ``ScriptedExchange``, for async callers; other tasks run before every event."""

    def __init__(self, events: Sequence[ScriptedEvent], clock: Clock) -> None:
        self._inner = ScriptedExchange(events, clock)

    async def open(self, until: float) -> Failure | None:
        """Return the failure if it is the first event."""
        await asyncio.sleep(0)
        return self._inner.open(until)

    async def read(self, until: float) -> AnyEvent:
        """Return the next event; where the target hangs, advance the clock and return a timeout."""
        await asyncio.sleep(0)
        return self._inner.read(until)

    async def close(self) -> None:
        """Do nothing: there is no connection."""
