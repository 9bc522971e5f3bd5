"""Streams of anything but chats, in the shape of OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm.openai_style._resource import family_errors
from unified_llm.openai_style._streams import AsyncStream, Stream
from unified_llm.types.requests import FurtherRequest

T = TypeVar("T")


class _WithResponse:
    """The chunks of a stream, and then its response, which says what served the call."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._over = False

    def _end(self, stop: Exception) -> Any:
        if self._over or self._inner.response is None:
            raise stop
        self._over = True
        return self._inner.response

    def __next__(self) -> Any:
        try:
            return next(self._inner)
        except StopIteration as stop:
            return self._end(stop)

    async def __anext__(self) -> Any:
        try:
            return await self._inner.__anext__()
        except StopAsyncIteration as stop:
            return self._end(stop)

    def close(self) -> None:
        self._over = True
        self._inner.close()

    async def aclose(self) -> None:
        self._over = True
        await self._inner.aclose()

    def __repr__(self) -> str:
        return repr(self._inner)


def open_stream(
    client: LLMClient, request: FurtherRequest, options: CallOptions, convert: Callable[[Any], Iterable[T]]
) -> Stream[T]:
    """Send a request, and return what ``convert`` makes of its chunks, and of the response at the end."""
    with family_errors():
        inner = client.stream_request(request, options)
    return Stream(_WithResponse(inner), convert)


async def aopen_stream(
    client: LLMClient, request: FurtherRequest, options: CallOptions, convert: Callable[[Any], Iterable[T]]
) -> AsyncStream[T]:
    """Do the same as ``open_stream``, for async callers."""
    with family_errors():
        inner = client.astream_request(request, options)
    return await AsyncStream.open(_WithResponse(inner), convert)
