"""Streams in the shape of OpenAI's SDK: iterators of chunks that are context managers, and have ``close()``."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from unified_llm._core.hidden import CLEAR_VARIABLES
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm.exceptions import LLMError
from unified_llm.openai_style._headers import Headers
from unified_llm.openai_style._resource import family_error

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """What programs read of the HTTP response of a stream.

    Attributes:
        headers: The provider's identifier of the request under ``x-request-id``, once the stream has ended.
        status_code: 200.
    """

    headers: Mapping[str, str] = field(default_factory=Headers)
    status_code: int = 200


class _Converted(Generic[ItemT]):
    """The items that are to be handed out next, and what was read of the stream.

    Args:
        inner: The stream of the client.
        convert: Returns the items of one of its chunks.

    Attributes:
        unified_llm: What served the call, once the stream has ended: ``served_by``, ``used_fallback``, ``attempts``.
    """

    def __init__(self, inner: Any, convert: Callable[[Any], Iterable[ItemT]]) -> None:
        self._inner, self._convert = inner, convert
        self._items: deque[ItemT] = deque()
        self._request_id: str | None = None
        self.unified_llm: Mapping[str, Any] | None = None

    def _take(self, chunk: Any) -> None:
        self._items.extend(self._convert(chunk))
        if getattr(chunk, "attempts", ()):  # the last one
            from unified_llm._adapters.serving_record import serving_record

            self.unified_llm, self._request_id = serving_record(chunk), chunk.request_id

    @property
    def response(self) -> StreamResponse:
        """What is known of the HTTP response."""
        return StreamResponse(Headers({"x-request-id": self._request_id} if self._request_id else {}))

    def __repr__(self) -> str:
        """Return what the client's stream shows; no text."""
        return f"{type(self).__name__}({self._inner!r})"


class Stream(_Converted[ItemT]):
    """Chunks of a response, for sync callers. The first one has come when the stream is returned."""

    def __init__(self, inner: Any, convert: Callable[[Any], Iterable[ItemT]]) -> None:
        super().__init__(inner, convert)
        self._read()

    def _read(self) -> bool:
        """Read until there is an item; return False at the end."""
        try:
            while not self._items:
                self._take(next(self._inner))
        except StopIteration:
            return False
        except LLMError as error:
            with CLEAR_VARIABLES:
                raise family_error(error) from error.__cause__
        return True

    def __iter__(self) -> Self:
        """Return itself: a stream is read once."""
        return self

    def __next__(self) -> ItemT:
        """Return the next chunk.

        Raises:
            OpenAIError: The stream broke.
        """
        if self._items or self._read():
            return self._items.popleft()
        raise StopIteration

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._items.clear()
        self._inner.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class AsyncStream(_Converted[ItemT]):
    """Chunks of a response, for async callers; made by ``await AsyncStream.open(...)``."""

    @classmethod
    async def open(cls, inner: Any, convert: Callable[[Any], Iterable[ItemT]]) -> Self:
        """Return the stream when its first chunk has come."""
        stream = cls(inner, convert)
        try:
            await stream._read()
        except BaseException:
            await inner.aclose()
            raise
        return stream

    async def _read(self) -> bool:
        try:
            while not self._items:
                self._take(await self._inner.__anext__())
        except StopAsyncIteration:
            return False
        except LLMError as error:
            with CLEAR_VARIABLES:
                raise family_error(error) from error.__cause__
        return True

    def __aiter__(self) -> Self:
        """Return itself: a stream is read once."""
        return self

    async def __anext__(self) -> ItemT:
        """Return the next chunk.

        Raises:
            OpenAIError: The stream broke.
        """
        if self._items or await self._read():
            return self._items.popleft()
        raise StopAsyncIteration

    async def close(self) -> None:
        """Stop, and give the connection back."""
        self._items.clear()
        await self._inner.aclose()

    aclose = close

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()


class Closeable(Protocol):
    """A stream for sync callers."""

    def close(self) -> None:
        """Give the connection back."""
        ...


class AsyncCloseable(Protocol):
    """A stream for async callers."""

    async def close(self) -> None:
        """Give the connection back."""
        ...


OpenedT = TypeVar("OpenedT", bound=Closeable)
AsyncOpenedT = TypeVar("AsyncOpenedT", bound=AsyncCloseable)


class StreamOpener(Generic[OpenedT]):
    """What is to be used in a ``with`` statement: the request is sent when the block begins, and closed at its end.

    Args:
        send: Sends the request, and returns its stream.
    """

    def __init__(self, send: Callable[[], OpenedT]) -> None:
        self._send = send
        self._opened: OpenedT | None = None

    def __enter__(self) -> OpenedT:
        """Send the request, and return its stream."""
        self._opened = self._send()
        return self._opened

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        if self._opened is not None:
            self._opened.close()


class AsyncStreamOpener(Generic[AsyncOpenedT]):
    """The same for ``async with``."""

    def __init__(self, send: Callable[[], Awaitable[AsyncOpenedT]]) -> None:
        self._send = send
        self._opened: AsyncOpenedT | None = None

    async def __aenter__(self) -> AsyncOpenedT:
        """Send the request, and return its stream."""
        self._opened = await self._send()
        return self._opened

    async def __aexit__(self, *_: object) -> None:
        """Close the stream."""
        if self._opened is not None:
            await self._opened.close()


def event_bodies(texts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Yield the data of a provider's events that are chunks; the end of the stream is none."""
    for text in texts:
        try:
            parsed = parse_lenient(text, keep_halves=True)
        except JSONError:  # ``[DONE]``, and what came after a finish reason and could not be read
            continue
        if isinstance(parsed, dict):
            yield parsed
