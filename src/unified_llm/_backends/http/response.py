"""The head and the body of one response, as events. The same for sync and async; it does no I/O.

A body is decompressed, if it is gzip, and parsed by a reader of ``body_readers``::

    feed: bytes --> content decoder --> reader --> next_event: LLMChunk ... Done | Failure
                    16 KiB at a time
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from unified_llm._backends.http.body_reader import BodyReader
from unified_llm._backends.http.body_readers import FormatDetector, make_reader
from unified_llm._backends.http.gzip_body import IdentityDecoder, make_content_decoder
from unified_llm._core.echoes import mask_echoes
from unified_llm._core.outcome import Done, Failure

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest, Codec, Returns
    from unified_llm._core.exchange import AnyEvent
    from unified_llm._core.redaction import SentKeys
    from unified_llm._core.target import Target

_WORK_PER_TURN: Final = 16 * 1024  # bytes, before other tasks of the event loop get a turn
_WORK_PER_PIECE: Final = 512  # for a piece of a few bytes: some servers send chunks of one byte
_KEPT_HEADERS: Final = frozenset(
    ("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-should-retry", "openai-poll-after-ms", "date")
)
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
        """Return the headers to keep in the outcome: hints when to retry or to ask again, and rate limits."""
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

    At most 16 KiB are decoded at a time, so that the exchange can look at the clock in between: a few bytes of gzip can
    be a million events. When ``next_event`` returns None, call ``decode`` if ``has_unread``, and else ``feed``, or
    ``finish`` once when the bytes have ended. After ``finish``, or after the first ``Done`` or ``Failure``,
    ``next_event`` returns None only once that end was returned.
    """

    def __init__(
        self, codec: Codec, call_request: AnyRequest, target: Target, head: Head, *, returns: Returns = "json"
    ) -> None:
        self._head = head
        self._events: deque[AnyEvent] = deque()
        self._ended = False
        self._work = 0
        content_decoder = make_content_decoder(head.headers.get("content-encoding", ""))
        self._reader: BodyReader = make_reader(
            codec, call_request, target, status=head.status, headers=head.headers, returns=returns
        )
        if content_decoder is None:
            self._emit([Failure("malformed", detail="The body has a Content-Encoding that was not requested.")])
            content_decoder = IdentityDecoder()
        self._content_decoder = content_decoder

    def feed(self, data: bytes) -> None:
        """Take received bytes, and decode the first of them."""
        self._content_decoder.feed(data)
        self.decode()

    @property
    def has_unread(self) -> bool:
        """Return whether there are bytes that were fed and not decoded yet."""
        return not self._ended and self._content_decoder.has_unread

    def next_event(self) -> AnyEvent | None:
        """Return the next event; None when there is none yet."""
        return self._events.popleft() if self._events else None

    def is_turn_over(self) -> bool:
        """Return whether so much was decoded since this was last true that other tasks must get a turn."""
        if self._work < _WORK_PER_TURN:
            return False
        self._work = 0
        return True

    def finish(self, *, incomplete: bool) -> None:
        """End the body: all bytes have arrived, or (``incomplete``) the connection broke."""
        if not self._ended:
            self._emit(self._reader.finish(incomplete=incomplete or not self._content_decoder.complete))

    def on_timeout(self) -> Done | Failure:
        """Return the end after a timeout: a failure, or Done if a stream lacks only its terminal event."""
        return self._head.complete(self._reader.on_timeout())

    def decode(self) -> None:
        """Decode up to 16 KiB of what was fed."""
        if self._ended:
            return
        try:
            data = self._content_decoder.read()
        except zlib.error:
            self._emit([Failure("malformed", detail="The body is not valid gzip.")])
            return
        self._work += _WORK_PER_PIECE + len(data)
        if isinstance(self._reader, FormatDetector):
            reader = self._reader.detect(data)
            if reader is None:
                return
            data, self._reader = self._reader.buffered, reader
        if data:
            self._emit(self._reader.feed(data))

    def _emit(self, events: list[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, (Done, Failure)):
                self._events.append(self._head.complete(event))
                self._ended = True
                return
            self._events.append(event)
