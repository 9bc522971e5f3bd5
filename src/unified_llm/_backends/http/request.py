"""The HTTP request: a codec's request, validated and completed.

Everything is validated before HTTP code gets it, since that code repeats a refused header in full, key and all, in the
exception that it raises and in its debug log.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlencode

import httpx
from typing_extensions import override

from unified_llm._core import headers
from unified_llm._core.outcome import Failure
from unified_llm._version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from unified_llm._core.codec import WireRequest

_USER_AGENT: Final = f"unified-llm/{__version__}".encode()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed URL; ``origin`` is scheme, host and port."""

    url: httpx.URL
    origin: tuple[str, str, int]
    host: bytes


@lru_cache(maxsize=512)
def parse_endpoint(url: str) -> Endpoint | None:
    """Parse a URL; return None if it is not a valid http or https URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        return None
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    return Endpoint(parsed, (parsed.scheme, parsed.raw_host.decode("ascii"), port), parsed.netloc)


def add_query(url: str, fields: Sequence[tuple[str, str]]) -> str:
    """Return a URL with further fields in its query."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


class _RequestBody(httpx.ByteStream):
    """A request body of one chunk: a ``memoryview``, since httpcore keeps it in a variable that is not to show it.

    httpx's own class uses a generator in async code. If an upload breaks, an unfinished generator becomes a task of the
    event loop, which ends it long after the call.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = body

    @override
    def __iter__(self) -> Iterator[bytes]:
        return iter([_as_view(self._body)])

    @override
    def __aiter__(self) -> AsyncIterator[bytes]:
        return _OneChunkIterator(_as_view(self._body))


def _as_view(body: bytes) -> bytes:
    return cast("bytes", memoryview(body))  # whoever takes the chunks joins them


class _OneChunkIterator:
    """Async iterator over one chunk, without a generator."""

    def __init__(self, chunk: bytes) -> None:
        self._left = [chunk]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def prepare_request(wire_request: WireRequest, *, stream: bool) -> tuple[Endpoint, httpx.Request] | Failure:
    """Validate a codec's request and convert it to httpx's.

    Args:
        wire_request: The codec's request.
        stream: Whether the response is to be streamed. It is then requested uncompressed, since a compressor delays
            chunks until it has enough of them.
    """
    endpoint = parse_endpoint(wire_request.url)
    if endpoint is None:
        return Failure("unsendable", detail="The URL is not a valid http or https URL.")
    sent: dict[bytes, bytes] = {
        b"host": endpoint.host,
        b"accept": b"text/event-stream, application/json" if stream else b"application/json",
        b"accept-encoding": b"identity" if stream else b"gzip",
        b"user-agent": _USER_AGENT,
    }
    if wire_request.method == "POST":
        sent[b"content-type"] = b"application/json"
        sent[b"content-length"] = b"%d" % len(wire_request.body)
    for name, value in wire_request.headers:
        if not headers.is_name(name):
            return Failure("unsendable", detail="The name of a header is not valid in HTTP.")
        if not headers.is_value(value):
            return Failure("unsendable", detail=f"The value of the header {name} is not valid in HTTP.")
        key = name.lower()
        if key not in headers.OF_THE_CONNECTION:
            sent[key.encode()] = value.encode()
    http_request = httpx.Request(
        wire_request.method, endpoint.url, headers=list(sent.items()), stream=_RequestBody(wire_request.body)
    )
    return endpoint, http_request
