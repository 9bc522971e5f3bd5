"""``responses.stream``: the events of a response, with what has come so far, and the response that they amount to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._parse import Wanted, parse_content
from unified_llm.openai_style._resource import family_errors
from unified_llm.openai_style._responses_parse import parse_response
from unified_llm.openai_style._streams import AsyncStream, Stream
from unified_llm.openai_style.types.responses.parsed_response import ParsedResponse

StreamT = TypeVar("StreamT", bound="Stream[Any] | AsyncStream[Any]")

_DELTAS = frozenset({"response.output_text.delta", "response.function_call_arguments.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete"})


class _Events(Generic[StreamT]):
    """Base of the sync and the async stream of events.

    Args:
        events: The events.
        wanted: What texts and calls are parsed to.
        after: Events up to this number are not handed out.

    Attributes:
        unified_llm: What served the call, once the stream has ended.
    """

    def __init__(self, events: StreamT, wanted: Wanted, after: int | None = None) -> None:
        self._events, self._wanted, self._after = events, wanted, after
        self._texts: dict[tuple[Any, Any], str] = {}
        self._final: ParsedResponse[Any] | None = None

    def _extended(self, event: Any) -> OpenAIObject:
        """Return an event with what the SDK adds to it: the text so far, the object that a text is."""
        kind = event.type
        if kind in _DELTAS:
            part = event.output_index, event.get("content_index")
            event.snapshot = self._texts[part] = self._texts.get(part, "") + event.delta
        elif kind == "response.output_text.done":
            with family_errors():
                event.parsed = parse_content(event.text, self._wanted)
        elif kind in _ENDS:
            with family_errors():
                self._final = event.response = parse_response(event.response, self._wanted)
        made: OpenAIObject = event
        return made

    def _is_new(self, event: Any) -> bool:
        return self._after is None or event.sequence_number > self._after

    def _get_final(self) -> ParsedResponse[Any]:
        if self._final is None:
            raise RuntimeError("The stream ended without a `response.completed` event: there is no final response.")
        return self._final

    @property
    def unified_llm(self) -> Mapping[str, Any] | None:
        """What served the call, once the stream has ended."""
        return self._events.unified_llm


class ResponseStream(_Events[Stream[Any]]):
    """The events of a streamed response, for sync callers."""

    def __iter__(self) -> Self:
        """Return itself: a stream is read once."""
        return self

    def __next__(self) -> OpenAIObject:
        """Return the next event.

        Raises:
            OpenAIError: The stream broke.
        """
        while not self._is_new(event := self._extended(next(self._events))):
            pass
        return event

    def until_done(self) -> Self:
        """Read to the end."""
        for _ in self:
            pass
        return self

    def get_final_response(self) -> ParsedResponse[Any]:
        """Read to the end, and return the whole response."""
        return self.until_done()._get_final()  # noqa: SLF001

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._events.close()


class AsyncResponseStream(_Events[AsyncStream[Any]]):
    """The events of a streamed response, for async callers."""

    def __aiter__(self) -> Self:
        """Return itself: a stream is read once."""
        return self

    async def __anext__(self) -> OpenAIObject:
        """Return the next event.

        Raises:
            OpenAIError: The stream broke.
        """
        while not self._is_new(event := self._extended(await self._events.__anext__())):
            pass
        return event

    async def until_done(self) -> Self:
        """Read to the end."""
        async for _ in self:
            pass
        return self

    async def get_final_response(self) -> ParsedResponse[Any]:
        """Read to the end, and return the whole response."""
        return (await self.until_done())._get_final()  # noqa: SLF001

    async def close(self) -> None:
        """Stop, and give the connection back."""
        await self._events.close()
