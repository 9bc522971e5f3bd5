"""What targets that are up answer in a test that has no network: the words of the test's author.

Attempts that follow a script: those on targets that fail, and on targets that answer what a test says.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from unified_llm._core.chunks import as_chunks
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import dump
from unified_llm.exceptions import ConfigurationError
from unified_llm.testing._clock import Clock
from unified_llm.testing._faults import ScriptedEvent
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
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
_PIECES: Final = re.compile(r"\s*\S+\s?|\s+")
_DIMENSIONS: Final = 8


class Replies:
    """Answers in the order of the turns of a conversation; the last is given again and again.

    Args:
        replies: One answer, several, or a function that makes one of a request.

    Raises:
        ConfigurationError: It is none of these.
    """

    def __init__(self, replies: Reply | Sequence[Reply] | Callable[[LLMRequest], Reply]) -> None:
        """Nothing has been asked yet."""
        self._make: Callable[[LLMRequest], Reply] = self._next
        self._turns: list[Reply] = []
        self._lock = threading.Lock()
        if callable(replies):
            self._make = replies
        elif isinstance(replies, Sequence) and not isinstance(replies, str):
            self._turns = [_checked(reply) for reply in replies]
        else:
            self._turns = [_checked(replies)]
        if not self._turns and not callable(replies):
            raise ConfigurationError("reply= is a list without an answer in it.")

    def steps(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent]:
        """What an attempt on this target meets with, in order."""
        if isinstance(request, EmbeddingRequest):
            return [Done(EmbeddingResponse([_vector(text, request.dimensions) for text in request.texts]))]
        if not isinstance(request, LLMRequest):
            return [Done(_short(request, target))]
        answer = _finished(_checked(self._make(request)), target)
        return _in_chunks(answer) if request.stream else [Done(answer)]

    def _next(self, _: LLMRequest) -> Reply:
        with self._lock:
            return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]


def _checked(reply: object) -> Reply:
    if isinstance(reply, (str, LLMResponse)):
        return reply
    raise ConfigurationError(f"reply= gives a text or an LLMResponse, not {type(reply).__name__}.")


def _finished(reply: Reply, target: Target) -> LLMResponse:
    """What a test leaves out of an answer, and a provider would not."""
    answer = LLMResponse(reply) if isinstance(reply, str) else reply
    calls = tuple(_with_text(call) for call in answer.tool_calls)
    return replace(
        answer,
        tool_calls=calls,
        finish_reason="tool_calls" if calls and answer.finish_reason == "stop" else answer.finish_reason,
        model=answer.model or target.model,
        provider=answer.provider or target.provider,
    )


def _with_text(call: ToolCall) -> ToolCall:
    return call if call.raw_arguments else replace(call, raw_arguments=dump(call.arguments))


def _in_chunks(answer: LLMResponse) -> Sequence[ScriptedEvent]:
    _, last = as_chunks(answer)
    return [*_chunks(answer), Done(last)]


def _chunks(answer: LLMResponse) -> Iterator[LLMChunk]:
    if answer.reasoning:
        yield LLMChunk(reasoning=answer.reasoning)
    for piece in _PIECES.findall(answer.content):
        yield LLMChunk(content=piece)
    if answer.refusal:
        yield LLMChunk(refusal=answer.refusal)
    for index, call in enumerate(answer.tool_calls):
        yield LLMChunk(tool_calls=(ToolCallChunk(index, call.id, call.name, call.raw_arguments),))
    if answer.citations or answer.logprobs:
        yield LLMChunk(citations=answer.citations, logprobs=answer.logprobs)


def _short(request: ModelsRequest | ModelRequest | CountRequest | RerankRequest, target: Target) -> object:
    """Made-up answers to the smaller questions: no models, a plain one, a token for four letters, the order given."""
    match request:
        case ModelsRequest():
            return ((), None)
        case ModelRequest():
            return ModelInfo(target.model, target.provider)
        case CountRequest():
            return sum(len(message.text) for message in request.chat.messages) // 4 + 1
        case RerankRequest():
            best = range(min(request.top_n or len(request.documents), len(request.documents)))
            return RerankResponse(tuple(RankedDocument(index, 1.0 / (index + 1)) for index in best))


def _vector(text: str, dimensions: int | None) -> list[float]:
    """A made-up vector: the same for the same text, another for another."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(dimensions or _DIMENSIONS)
    return [byte / 127.5 - 1.0 for byte in digest]


class ScriptedExchange:
    """An attempt that meets with what the test says. No time passes in it but in a silence.

    Args:
        steps: What comes, in order; the last stays as it is.
        clock: The clock of the outage.
    """

    def __init__(self, steps: Sequence[ScriptedEvent], clock: Clock) -> None:
        """Nothing has been read."""
        self._steps = deque(steps)
        self._clock = clock

    def open(self, until: float) -> Failure | None:
        """Refused where the failure is the first that comes."""
        del until
        first = self._steps[0]
        return first if isinstance(first, Failure) else None

    def read(self, until: float) -> Event:
        """The next event, or a time-out at once."""
        step = self._steps.popleft() if len(self._steps) > 1 else self._steps[0]
        if step is not None:
            return step
        self._clock.skip(until)
        return Failure("timeout")

    def close(self) -> None:
        """Nothing is held."""


class AsyncScriptedExchange:
    """The same for asynchronous callers; other tasks run at each step."""

    def __init__(self, steps: Sequence[ScriptedEvent], clock: Clock) -> None:
        """As ``ScriptedExchange``."""
        self._inner = ScriptedExchange(steps, clock)

    async def open(self, until: float) -> Failure | None:
        """As ``ScriptedExchange.open``."""
        await asyncio.sleep(0)
        return self._inner.open(until)

    async def read(self, until: float) -> Event:
        """As ``ScriptedExchange.read``."""
        await asyncio.sleep(0)
        return self._inner.read(until)

    async def close(self) -> None:
        """Nothing is held."""
