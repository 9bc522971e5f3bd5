"""What goes out: a codec's request, checked and completed.

Everything is checked before HTTP code sees it, since that code repeats a refused header in full, key and all, in the
exception that it raises and in its debug log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import httpx
from typing_extensions import override

from unified_llm._core.outcome import Failure
from unified_llm._version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unified_llm._core.codec import WireRequest

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")

# They say how this connection frames its messages and where it leads: a caller's value could only break it.
_OURS: Final = frozenset(
    ("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
     "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip

_USER_AGENT: Final = f"unified-llm/{__version__}".encode()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed URL; ``origin`` is scheme, host and port."""

    url: httpx.URL
    origin: tuple[str, str, int]
    host: bytes


@lru_cache(maxsize=512)
def place(url: str) -> Endpoint | None:
    """Where a URL leads, or None if it leads nowhere."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        return None
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    return Endpoint(parsed, (parsed.scheme, parsed.raw_host.decode("ascii"), port), parsed.netloc)


class _Sent(httpx.ByteStream):
    """A body in one piece.

    httpx hands its own to async code by a generator. One that a broken upload leaves half-way is a task for the event
    loop to clean up, when the call is long over.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = body

    @override
    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once:
    """An iterator over one thing, without a generator."""

    def __init__(self, piece: bytes) -> None:
        self._left = [piece]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def prepare(wire: WireRequest, *, streams: bool) -> tuple[Endpoint, httpx.Request] | Failure:
    """The request as HTTP code takes it.

    Args:
        wire: What the codec made.
        streams: The answer is wanted in chunks. It is then asked for uncompressed, since a compressor holds chunks
            back until it has enough of them.
    """
    where = place(wire.url)
    if where is None:
        return Failure("unsendable", detail="The URL leads nowhere.")
    headers: dict[bytes, bytes] = {
        b"host": where.host,
        b"accept": b"text/event-stream, application/json" if streams else b"application/json",
        b"accept-encoding": b"identity" if streams else b"gzip",
        b"user-agent": _USER_AGENT,
    }
    if wire.method == "POST":
        headers[b"content-type"] = b"application/json"
        headers[b"content-length"] = b"%d" % len(wire.body)
    for name, value in wire.headers:
        if not _NAME.fullmatch(name):
            return Failure("unsendable", detail="A header has a name that HTTP cannot carry.")
        if not _VALUE.fullmatch(value):
            return Failure("unsendable", detail=f"The header {name} has a value that HTTP cannot carry.")
        key = name.lower()
        if key not in _OURS:
            headers[key.encode()] = value.encode()
    request = httpx.Request(wire.method, where.url, headers=list(headers.items()), stream=_Sent(wire.body))
    return where, request
