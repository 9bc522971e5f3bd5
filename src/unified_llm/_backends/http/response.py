"""The head and the body of one response, as events. The same for sync and async; it does no I/O.

The reader is chosen by the content of the body, not by its content type: servers send JSON where a stream was
requested and streams where JSON was, both under any content type, and a captive portal's HTML under all of them.

States of a body; ``Done`` or ``Failure`` is its terminal event, after which later bytes are ignored::

    head, status >= 300 --> _ErrorReader: the first 16 KiB ----------------------------> Failure
    head, status < 300 ---> _FormatDetector: white space, byte order mark
                              |-- no other byte --------------------------------------> Failure
                              |-- begins like a stream --> _StreamReader: LLMChunk ... -> Done | Failure
                              `-- anything else ---------> _JSONReader: all bytes -----> Done | Failure

A timeout in any state is ``on_timeout``: a Failure, or Done if a stream lacked only its terminal event.
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

from unified_llm._backends.http.gzip_body import make_content_decoder
from unified_llm._core.chunks import as_chunks, as_response
from unified_llm._core.echoes import mask_echoes
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import ServerSentEvent, SSESplitter
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import Event
    from unified_llm._core.redaction import SentKeys
    from unified_llm._core.target import Target

BODY_LIMIT: Final = 64 * 1024 * 1024
"""Most bytes of a whole answer, decompressed."""

ERROR_LIMIT: Final = 16 * 1024
"""Most bytes of an error's body; the remainder is not read."""

_DETAIL: Final = 500  # characters kept of a body that is not an answer
_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_KEPT_HEADERS: Final = frozenset(("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-should-retry", "date"))
_KEPT_HEADER_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")
_REQUEST_ID_HEADERS: Final = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-goog-request-id",
    "x-amzn-requestid",
    "cf-ray",
)

_REQUEST_ID: Final = re.compile(r"[!-~]{1,200}")
"""A request ID goes into messages and logs, so only one word without spaces is accepted; any other value is dropped."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class Head:
    """Status and headers of a response; the first value of a repeated header is used.

    Args:
        status: The status.
        raw_headers: The headers as received.
        sent: The keys that were sent with the request: they are masked in the end of the exchange.
    """

    __slots__ = ("headers", "request_id", "sent", "status")

    def __init__(self, status: int, raw_headers: RawHeaders, sent: SentKeys) -> None:
        self.status, self.sent = status, sent
        self.headers: dict[str, str] = {}
        for name, value in raw_headers:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        request_ids = (self.headers.get(name, "") for name in _REQUEST_ID_HEADERS)
        self.request_id = next((value for value in request_ids if _REQUEST_ID.fullmatch(value)), None)

    @property
    def persistent(self) -> bool:
        """Return whether the connection can carry another request after this response."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers or self.status == 204
        return framed and "close" not in self.headers.get("connection", "").lower()

    def kept_headers(self) -> Mapping[str, str]:
        """Return the headers to keep in the outcome: hints when to retry, and rate limits."""
        return MappingProxyType({
            name: value
            for name, value in self.headers.items()
            if name in _KEPT_HEADERS or name.startswith(_KEPT_HEADER_PREFIXES)
        })  # fmt: skip

    def complete(self, end: Done | Failure) -> Done | Failure:
        """Add status, request ID and kept headers to the end of an exchange; mask the keys that were sent."""
        request_id = end.request_id or self.request_id
        if isinstance(end, Done):
            return mask_echoes(replace(end, request_id=request_id, headers=self.kept_headers()), self.sent)
        status = end.status or self.status
        return mask_echoes(replace(end, status=status, request_id=request_id, headers=self.kept_headers()), self.sent)


class Body:
    """Parser of a body: bytes in, events out.

    Call ``feed`` when ``next_event`` returns None, and ``finish`` once when the bytes have ended. After ``finish``, or
    after the first ``Done`` or ``Failure``, ``next_event`` returns None only once that end was returned.
    """

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target, head: Head) -> None:
        self._head = head
        self._events: deque[Event] = deque()
        self._ended = False
        self._codec, self._call_request, self._target = codec, call_request, target
        content_decoder = make_content_decoder(head.headers.get("content-encoding", ""))
        self._reader: _BodyReader = self._first_reader()
        if content_decoder is None:
            self._emit([Failure("malformed", detail="The body has a Content-Encoding that was not requested.")])
            content_decoder = make_content_decoder("")
            assert content_decoder is not None  # noqa: S101 - there is a decoder for no encoding
        self._content_decoder = content_decoder

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        self._content_decoder.feed(data)

    def next_event(self) -> Event | None:
        """Return the next event; None when more bytes must arrive first."""
        while not self._events:
            if self._ended:
                return None
            try:
                data = self._content_decoder.read()
            except zlib.error:
                self._emit([Failure("malformed", detail="The body is not valid gzip.")])
                continue
            if not data:
                return None
            self._read(data)
        return self._events.popleft()

    def finish(self, *, incomplete: bool) -> None:
        """End the body: all bytes have arrived, or (``incomplete``) the connection broke."""
        if not self._ended:
            self._emit(self._reader.finish(incomplete=incomplete or not self._content_decoder.complete))

    def on_timeout(self) -> Done | Failure:
        """Return the end after a timeout: a failure, or Done if a stream lacks only its terminal event."""
        return self._head.complete(self._reader.on_timeout())

    def _first_reader(self) -> _BodyReader:
        if self._head.status >= 300:
            return _ErrorReader(self._codec, self._target, self._head)
        return _FormatDetector(self._codec, self._call_request, self._target, self._head)

    def _read(self, data: bytes) -> None:
        if isinstance(self._reader, _FormatDetector):
            reader = self._reader.detect(data)
            if reader is None:
                return
            data, self._reader = self._reader.buffered, reader
        self._emit(self._reader.feed(data))

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, LLMChunk):
                self._events.append(event)
            else:
                self._events.append(self._head.complete(event))
                self._ended = True
                return


class _BodyReader:
    """Base of the readers, one for each kind of body."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events of these bytes."""
        raise NotImplementedError

    def finish(self, *, incomplete: bool) -> list[Event]:
        """Return the events of the end of the body."""
        raise NotImplementedError

    def on_timeout(self) -> Done | Failure:
        """Return the end after a timeout."""
        return Failure("timeout")


class _FormatDetector(_BodyReader):
    """State before the first byte that is not white space, which distinguishes JSON from a stream."""

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target, head: Head) -> None:
        self._codec, self._call_request, self._target = codec, call_request, target
        self._labelled_as_stream = "text/event-stream" in head.headers.get("content-type", "").lower()
        self.buffered = b""

    def detect(self, data: bytes) -> _BodyReader | None:
        """Return the reader for a body that begins with these bytes; None while more bytes are needed."""
        buffered = self.buffered + data
        if len(buffered) < len(_BOM) and _BOM.startswith(buffered):
            self.buffered = buffered
            return None
        buffered = buffered.removeprefix(_BOM).lstrip(_SPACE)
        self.buffered = buffered
        if not buffered:
            return None
        # A line of an event stream is a comment or begins with data, event, id or retry.
        begins_stream = buffered[:1] in b":deir" or (self._labelled_as_stream and buffered[:1] not in b"{[<")
        if self._codec.framing == "lines":
            begins_stream = _wants_stream(self._call_request) and buffered[:1] == b"{"
        if begins_stream and isinstance(self._call_request, LLMRequest):
            return _StreamReader(self._codec, self._call_request, self._target)
        return _JSONReader(self._codec, self._call_request, self._target)

    @override
    def finish(self, *, incomplete: bool) -> list[Event]:
        return [Failure("connection" if incomplete else "empty")]


class _JSONReader(_BodyReader):
    """Reader of a JSON body, decoded when it is complete."""

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target) -> None:
        self._codec, self._call_request, self._target = codec, call_request, target
        self._chunks: list[bytes] = []
        self._size = 0

    @override
    def feed(self, data: bytes) -> list[Event]:
        if not self._chunks and data.startswith(b"<"):
            return [_malformed(data)]  # HTML is never an answer, so the remainder is not read
        self._chunks.append(data)
        self._size += len(data)
        return [Failure("oversized")] if self._size > BODY_LIMIT else []

    @override
    def finish(self, *, incomplete: bool) -> list[Event]:
        if incomplete:
            return [Failure("connection")]
        body = b"".join(self._chunks)
        try:
            parsed = parse(body)
        except JSONError:
            return [_malformed(body)]
        end = self._codec.decode(self._call_request, self._target, parsed)
        if isinstance(end, Done) and isinstance(end.value, LLMResponse) and _wants_stream(self._call_request):
            chunk, last = as_chunks(end.value)
            done = Done(last, end.request_id)
            return [chunk, done] if chunk else [done]
        return [end]


class _StreamReader(_BodyReader):
    """Reader of a stream of events or lines, decoded as they arrive."""

    def __init__(self, codec: Codec, call_request: LLMRequest, target: Target) -> None:
        self._splitter = SSESplitter() if codec.framing == "events" else LineSplitter()
        self._decoder = codec.decoder(call_request, target)
        self._collected: list[LLMChunk] | None = None if call_request.stream else []

    @override
    def feed(self, data: bytes) -> list[Event]:
        events = self._decode(self._splitter.feed(data))
        if self._splitter.oversized:
            events.append(Failure("oversized"))
        return events

    @override
    def finish(self, *, incomplete: bool) -> list[Event]:
        events = self._decode(self._splitter.close())
        end = self._decoder.finish()
        if incomplete and isinstance(end, Failure) and end.kind == "truncated":
            end = replace(end, kind="connection")
        return [*events, self._as_requested(end)]

    @override
    def on_timeout(self) -> Done | Failure:
        end = self._decoder.finish()
        return self._as_requested(end) if isinstance(end, Done) else Failure("timeout")

    def _decode(self, raw_events: list[ServerSentEvent]) -> list[Event]:
        events: list[Event] = []
        for raw_event in raw_events:
            for event in self._decoder.feed(raw_event):
                if not isinstance(event, LLMChunk):
                    return [*events, self._as_requested(event)]
                if self._collected is None:
                    events.append(event)
                else:
                    self._collected.append(event)
        return events

    def _as_requested(self, end: Done | Failure) -> Done | Failure:
        """Join the chunks to a whole answer where no stream was requested."""
        if self._collected is None or not isinstance(end, Done) or not isinstance(end.value, LLMChunk):
            return end
        return replace(end, value=as_response(self._collected, end.value))


class _ErrorReader(_BodyReader):
    """Reader of an error's body, whose beginning contains the reason."""

    def __init__(self, codec: Codec, target: Target, head: Head) -> None:
        self._codec, self._target, self._head = codec, target, head
        self._body = b""

    @override
    def feed(self, data: bytes) -> list[Event]:
        self._body += data[: ERROR_LIMIT - len(self._body)]
        return self.finish(incomplete=False) if len(self._body) >= ERROR_LIMIT else []

    @override
    def finish(self, *, incomplete: bool) -> list[Event]:
        return [self.on_timeout()]

    @override
    def on_timeout(self) -> Failure:
        """Return the failure by its status, which is known whether the body is complete or not."""
        if self._head.status < 400:
            return Failure("redirect")
        return self._codec.failure(self._head.status, self._head.headers, self._body, self._target)


def _wants_stream(call_request: AnyRequest) -> bool:
    return isinstance(call_request, LLMRequest) and call_request.stream


def _malformed(body: bytes) -> Failure:
    return Failure("malformed", detail=body[:_DETAIL].decode(errors="replace"))
