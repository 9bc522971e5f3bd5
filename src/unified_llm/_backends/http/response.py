"""What comes in: the head and the bytes of one response, as events. The same for sync and async; it does no I/O.

What the body is decides how it is read, not what the server calls it: servers send JSON where a stream was asked for,
streams where JSON was, both under any content type, and a captive portal's HTML under all of them.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from typing_extensions import override

from unified_llm._backends.http.gzip_body import decoding
from unified_llm._core.chunks import as_chunks, as_response
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import ServerSentEvent, SSESplitter
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import Event
    from unified_llm._core.target import Target

BODY_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a whole answer, decompressed."""

ERROR_LIMIT: Final = 16 * 1024
"""Bytes of an error's body; the rest is not waited for."""

_DETAIL: Final = 500  # characters of a body that is no answer
_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_HINTS: Final = frozenset(("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-should-retry", "date"))
_HINT_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")
_REQUEST_IDS: Final = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-goog-request-id",
    "x-amzn-requestid",
    "cf-ray",
)

_REQUEST_ID: Final = re.compile(r"[!-~]{1,200}")
"""It goes into messages and logs, so it is one word; whatever else a server may say there is not repeated."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class Head:
    """The status and headers of a response; of a repeated header the first counts."""

    __slots__ = ("headers", "request_id", "status")

    def __init__(self, status: int, raw: RawHeaders) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        for name, value in raw:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        told = (self.headers.get(name, "") for name in _REQUEST_IDS)
        self.request_id = next((text for text in told if _REQUEST_ID.fullmatch(text)), None)

    @property
    def persistent(self) -> bool:
        """Whether the connection can carry another request after this response."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers or self.status == 204
        return framed and "close" not in self.headers.get("connection", "").lower()

    def hints(self) -> Mapping[str, str]:
        """The headers that an outcome keeps."""
        return MappingProxyType({
            name: value
            for name, value in self.headers.items()
            if name in _HINTS or name.startswith(_HINT_PREFIXES)
        })  # fmt: skip

    def complete(self, end: Done | Failure) -> Done | Failure:
        """The end of an exchange with what only the head knows."""
        if isinstance(end, Done):
            return replace(end, request_id=end.request_id or self.request_id, headers=self.hints())
        return replace(
            end, status=end.status or self.status, request_id=end.request_id or self.request_id, headers=self.hints()
        )


class Body:
    """Bytes in, events out.

    Feed it when ``event`` returns None; call ``finish`` once when the bytes have ended. From then on, and from the
    first ``Done`` or ``Failure`` on, ``event`` does not return None any more until that end was handed out.
    """

    def __init__(self, codec: Codec, request: AnyRequest, target: Target, head: Head) -> None:
        self._head = head
        self._events: deque[Event] = deque()
        self._over = False
        self._codec, self._ask, self._target = codec, request, target
        encoding = decoding(head.headers.get("content-encoding", ""))
        self._room: _Room = self._first_room()
        if encoding is None:
            self._emit([Failure("malformed", detail="The body has a Content-Encoding that was not asked for.")])
            encoding = decoding("")
            assert encoding is not None  # noqa: S101 - no encoding is an encoding
        self._encoding = encoding

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._encoding.feed(data)

    def event(self) -> Event | None:
        """The next event; None when more bytes must arrive first."""
        while not self._events:
            if self._over:
                return None
            try:
                piece = self._encoding.piece()
            except zlib.error:
                self._emit([Failure("malformed", detail="The body is no valid gzip.")])
                continue
            if not piece:
                return None
            self._take(piece)
        return self._events.popleft()

    def finish(self, *, cut: bool) -> None:
        """The bytes have ended, as the server meant them to, or (``cut``) because the connection broke."""
        if not self._over:
            self._emit(self._room.finish(cut=cut or not self._encoding.whole))

    def late(self) -> Done | Failure:
        """No more bytes came in time: what that means. A stream may have all but its terminal event."""
        return self._head.complete(self._room.late())

    def _first_room(self) -> _Room:
        if self._head.status >= 300:
            return _ErrorRoom(self._codec, self._target, self._head)
        return _Threshold(self._codec, self._ask, self._target, self._head)

    def _take(self, piece: bytes) -> None:
        if isinstance(self._room, _Threshold):
            room = self._room.choose(piece)
            if room is None:
                return
            piece, self._room = self._room.seen, room
        self._emit(self._room.take(piece))

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, LLMChunk):
                self._events.append(event)
            else:
                self._events.append(self._head.complete(event))
                self._over = True
                return


class _Room:
    """One way to read a body."""

    def take(self, piece: bytes) -> list[Event]:
        """What follows from these bytes."""
        raise NotImplementedError

    def finish(self, *, cut: bool) -> list[Event]:
        """What follows from there being no more."""
        raise NotImplementedError

    def late(self) -> Done | Failure:
        """What follows from nothing coming in time."""
        return Failure("timeout")


class _Threshold(_Room):
    """Before the first byte that is no white space: it tells JSON from a stream."""

    def __init__(self, codec: Codec, request: AnyRequest, target: Target, head: Head) -> None:
        self._codec, self._ask, self._target = codec, request, target
        self._labelled = "text/event-stream" in head.headers.get("content-type", "").lower()
        self.seen = b""

    def choose(self, piece: bytes) -> _Room | None:
        """How to read a body that begins so; None while that cannot be told."""
        seen = self.seen + piece
        if len(seen) < len(_BOM) and _BOM.startswith(seen):
            self.seen = seen
            return None
        seen = seen.removeprefix(_BOM).lstrip(_SPACE)
        self.seen = seen
        if not seen:
            return None
        # A line of an event stream is a comment or begins with data, event, id or retry.
        begins_stream = seen[:1] in b":deir" or (self._labelled and seen[:1] not in b"{[<")
        if self._codec.framing == "lines":
            begins_stream = _streams(self._ask) and seen[:1] == b"{"
        if begins_stream and isinstance(self._ask, LLMRequest):
            return _StreamRoom(self._codec, self._ask, self._target)
        return _WholeRoom(self._codec, self._ask, self._target)

    @override
    def finish(self, *, cut: bool) -> list[Event]:
        return [Failure("connection" if cut else "empty")]


class _WholeRoom(_Room):
    """A JSON body, decoded when all of it is there."""

    def __init__(self, codec: Codec, request: AnyRequest, target: Target) -> None:
        self._codec, self._ask, self._target = codec, request, target
        self._pieces: list[bytes] = []
        self._size = 0

    @override
    def take(self, piece: bytes) -> list[Event]:
        if not self._pieces and piece.startswith(b"<"):
            return [_malformed(piece)]  # HTML: there is nothing to wait for
        self._pieces.append(piece)
        self._size += len(piece)
        return [Failure("oversized")] if self._size > BODY_LIMIT else []

    @override
    def finish(self, *, cut: bool) -> list[Event]:
        if cut:
            return [Failure("connection")]
        body = b"".join(self._pieces)
        try:
            parsed = parse(body)
        except JSONError:
            return [_malformed(body)]
        end = self._codec.decode(self._ask, self._target, parsed)
        if isinstance(end, Done) and isinstance(end.value, LLMResponse) and _streams(self._ask):
            said, last = as_chunks(end.value)
            done = Done(last, end.request_id)
            return [said, done] if said else [done]
        return [end]


class _StreamRoom(_Room):
    """Events or lines, decoded as they come."""

    def __init__(self, codec: Codec, request: LLMRequest, target: Target) -> None:
        self._splitter = SSESplitter() if codec.framing == "events" else LineSplitter()
        self._decoder = codec.decoder(request, target)
        self._kept: list[LLMChunk] | None = None if request.stream else []

    @override
    def take(self, piece: bytes) -> list[Event]:
        events = self._decoded(self._splitter.feed(piece))
        if self._splitter.oversized:
            events.append(Failure("oversized"))
        return events

    @override
    def finish(self, *, cut: bool) -> list[Event]:
        events = self._decoded(self._splitter.close())
        end = self._decoder.finish()
        if cut and isinstance(end, Failure) and end.kind == "truncated":
            end = replace(end, kind="connection")
        return [*events, self._shaped(end)]

    @override
    def late(self) -> Done | Failure:
        end = self._decoder.finish()
        return self._shaped(end) if isinstance(end, Done) else Failure("timeout")

    def _decoded(self, raw: list[ServerSentEvent]) -> list[Event]:
        events: list[Event] = []
        for each in raw:
            for event in self._decoder.feed(each):
                if not isinstance(event, LLMChunk):
                    return [*events, self._shaped(event)]
                if self._kept is None:
                    events.append(event)
                else:
                    self._kept.append(event)
        return events

    def _shaped(self, end: Done | Failure) -> Done | Failure:
        """Chunks that nobody asked for become the whole answer."""
        if self._kept is None or not isinstance(end, Done) or not isinstance(end.value, LLMChunk):
            return end
        return replace(end, value=as_response(self._kept, end.value))


class _ErrorRoom(_Room):
    """The body of a refusal: its beginning says why."""

    def __init__(self, codec: Codec, target: Target, head: Head) -> None:
        self._codec, self._target, self._head = codec, target, head
        self._body = b""

    @override
    def take(self, piece: bytes) -> list[Event]:
        self._body += piece[: ERROR_LIMIT - len(self._body)]
        return self.finish(cut=False) if len(self._body) >= ERROR_LIMIT else []

    @override
    def finish(self, *, cut: bool) -> list[Event]:
        return [self.late()]

    @override
    def late(self) -> Failure:
        """The status is known, whatever becomes of the body."""
        if self._head.status < 400:
            return Failure("redirect")
        return self._codec.failure(self._head.status, self._head.headers, self._body, self._target)


def _streams(request: AnyRequest) -> bool:
    return isinstance(request, LLMRequest) and request.stream


def _malformed(body: bytes) -> Failure:
    return Failure("malformed", detail=body[:_DETAIL].decode(errors="replace"))
