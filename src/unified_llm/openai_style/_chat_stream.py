"""``chat.completions.stream``: a stream of events, and the completion that they amount to."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from unified_llm._core.hidden import CLEAR_VARIABLES
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._chat_event_types import ChatCompletionStreamEvent
from unified_llm.openai_style._chat_snapshot import Snapshot
from unified_llm.openai_style._parse import Wanted
from unified_llm.openai_style._resource import family_errors
from unified_llm.openai_style._streams import AsyncStream, Stream, StreamResponse
from unified_llm.openai_style.types.chat.chat_completion_chunk import ChatCompletionChunk
from unified_llm.openai_style.types.chat.parsed_chat_completion import ParsedChatCompletion

StreamT = TypeVar("StreamT", bound="Stream[ChatCompletionChunk] | AsyncStream[ChatCompletionChunk]")

# Chunks of Azure's asynchronous filter have no object.
_CHUNK = "chat.completion.chunk"


class _Events(Generic[StreamT]):
    """Base of the sync and the async stream of events.

    Attributes:
        unified_llm: What served the call, once the stream has ended.
    """

    def __init__(self, chunks: StreamT, wanted: Wanted) -> None:
        self._chunks = chunks
        self._snapshot = Snapshot(wanted)
        self._events: deque[ChatCompletionStreamEvent] = deque()
        self._any = False

    def _take(self, chunk: ChatCompletionChunk) -> None:
        if chunk.object == _CHUNK:
            self._any = True
            with CLEAR_VARIABLES, family_errors():
                self._events.extend(self._snapshot.add(chunk))

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[Any]:
        """The completion so far.

        Raises:
            ValidationError: No chunk has been read.
        """
        if not self._any:
            raise ValidationError("No chunk of the stream has been read: iterate over it, or call until_done().")
        return self._snapshot.current

    @property
    def unified_llm(self) -> Mapping[str, Any] | None:
        """What served the call, once the stream has ended."""
        return self._chunks.unified_llm

    @property
    def response(self) -> StreamResponse:
        """What is known of the HTTP response."""
        return self._chunks.response

    def _final(self) -> ParsedChatCompletion[Any]:
        with CLEAR_VARIABLES, family_errors():
            final = self._snapshot.final()
        if self._chunks.unified_llm is not None:
            final.unified_llm = self._chunks.unified_llm
        return final


class ChatCompletionStream(_Events[Stream[ChatCompletionChunk]]):
    """The events of a streamed chat completion, for sync callers."""

    def __iter__(self) -> Self:
        """Return itself: a stream is read once."""
        return self

    def __next__(self) -> ChatCompletionStreamEvent:
        """Return the next event.

        Raises:
            OpenAIError: The stream broke, or its answer was cut and cannot be parsed.
        """
        while not self._events:
            self._take(next(self._chunks))
        return self._events.popleft()

    def until_done(self) -> Self:
        """Read to the end."""
        for _ in self:
            pass
        return self

    def get_final_completion(self) -> ParsedChatCompletion[Any]:
        """Read to the end, and return the whole completion."""
        return self.until_done()._final()  # noqa: SLF001

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._chunks.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class AsyncChatCompletionStream(_Events[AsyncStream[ChatCompletionChunk]]):
    """The events of a streamed chat completion, for async callers."""

    def __aiter__(self) -> Self:
        """Return itself: a stream is read once."""
        return self

    async def __anext__(self) -> ChatCompletionStreamEvent:
        """Return the next event.

        Raises:
            OpenAIError: The stream broke, or its answer was cut and cannot be parsed.
        """
        while not self._events:
            self._take(await self._chunks.__anext__())
        return self._events.popleft()

    async def until_done(self) -> Self:
        """Read to the end."""
        async for _ in self:
            pass
        return self

    async def get_final_completion(self) -> ParsedChatCompletion[Any]:
        """Read to the end, and return the whole completion."""
        return (await self.until_done())._final()  # noqa: SLF001

    async def close(self) -> None:
        """Stop, and give the connection back."""
        await self._chunks.close()

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()
