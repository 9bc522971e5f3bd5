"""Readers of bodies that are no JSON: recordings, videos, subtitles; and of streams of media.

Whole, a body of bytes is decoded once it is complete. Streamed, each piece is passed on as it arrives::

    feed: bytes --> bytes ... Done | Failure              (recordings)
    feed: bytes --> splitter --> decoder --> chunks ... Done | Failure   (server-sent events)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from unified_llm._backends.http.body_reader import BodyReader, malformed
from unified_llm._core.codec import StreamedMedia, wants_stream
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.response_limits import response_limits
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import SSESplitter
from unified_llm.types.media import ImageChunk, ImageResponse, SpeechResponse, Transcription, TranscriptionChunk
from unified_llm.types.media_requests import ImageRequest, SpeechRequest, TranscriptionRequest
from unified_llm.types.raw import RawChunk, RawRequest
from unified_llm.types.requests import FurtherRequest

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest, Codec, MediaChunk, Returns
    from unified_llm._core.exchange import AnyEvent
    from unified_llm._core.target import Target

# Most bytes of a body that is a page or JSON where bytes or a text should be.
_LONGEST_HELD: Final = 64 * 1024
_SPACE: Final = 64  # bytes in which a page or JSON begins
_BEGINNINGS: Final = (b"<", b"{")
_PAGE: Final = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
# Most bytes of one event: an image of 4,096 by 4,096 pixels, in base64.
_EVENT_LIMIT: Final = 64 * 1024 * 1024


def content_reader(
    codec: Codec, call_request: AnyRequest, target: Target, *, content_type: str, returns: Returns
) -> BodyReader | None:
    """Return the reader of a body of text or bytes; None where JSON came.

    In JSON a server reports what is wrong, or answers although a text was requested.
    """
    raw = _has_any_content(call_request)
    if not raw and "json" in content_type:
        return None
    if not raw and "text/html" in content_type:
        return _PageReader()
    if "text/event-stream" in content_type and (wants_stream(call_request) or isinstance(call_request, SpeechRequest)):
        return None
    return _ContentReader(codec, call_request, target, returns)


def _has_any_content(call_request: AnyRequest) -> bool:
    """Return whether the response may be of any type, as the content of a file."""
    return isinstance(call_request, FurtherRequest) and call_request.has_any_content


def media_stream_reader(codec: Codec, call_request: AnyRequest, target: Target) -> BodyReader | None:
    """Return the reader of a stream of events, for a request that may have one."""
    if isinstance(call_request, (ImageRequest, SpeechRequest, TranscriptionRequest, RawRequest)):
        return _EventReader(codec, call_request, target)
    return None


class _PageReader(BodyReader):
    """Reader of a page of HTML, which is never an answer."""

    @override
    def feed(self, data: bytes) -> list[AnyEvent]:
        return [malformed(data)]

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        return [Failure("connection" if incomplete else "empty")]


class _ContentReader(BodyReader):
    """Reader of bytes or text, passed on as they arrive where a stream was requested.

    A page or JSON may come under any content type. So what begins like one of them is held until it shows to be none,
    which a short recording of bare samples does at its end, and any other body by its length.
    """

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target, returns: Returns) -> None:
        self._codec, self._call_request, self._target, self._returns = codec, call_request, target, returns
        self._streams = wants_stream(call_request) and returns == "bytes"
        self._limit = response_limits(call_request, target).size
        self._body = bytearray()
        self._size = 0

    @override
    def feed(self, data: bytes) -> list[AnyEvent]:
        self._size += len(data)
        if self._size > self._limit:
            self._body = bytearray()
            return [Failure("oversized")]
        self._body += data
        if not self._streams or self._may_be_no_content():
            return []
        data, self._body = bytes(self._body), bytearray()
        return [data] if data else []

    def _may_be_no_content(self) -> bool:
        """Return whether all that has come so far may be a page or JSON, which are short."""
        return self._size == len(self._body) <= _LONGEST_HELD and _first_character(self._body) in {b"", *_BEGINNINGS}

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        if incomplete:
            return [Failure("connection")]
        if not self._size:
            return [Failure("empty")]
        body, self._body = bytes(self._body), bytearray()
        if not _has_any_content(self._call_request) and (end := self._end_of_no_content(body)):
            return as_requested(end, self._call_request)
        if self._returns == "bytes":
            done = self._codec.decode(self._call_request, self._target, b"" if self._streams else body)
            return [body, done] if self._streams and body else [done]
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            return [malformed(body)]
        return as_requested(self._codec.decode(self._call_request, self._target, text), self._call_request)

    def _end_of_no_content(self, body: bytes) -> Done | Failure | None:
        """Return what a page or JSON in place of the content means; None for content."""
        if len(body) > _LONGEST_HELD or _first_character(body) not in _BEGINNINGS:
            return None
        if _PAGE.match(body):
            return malformed(body)
        try:
            value = parse_lenient(body)
        except JSONError:
            return None
        return self._codec.decode(self._call_request, self._target, value) if isinstance(value, dict) else None


def _first_character(body: bytes | bytearray) -> bytes:
    return bytes(body[:_SPACE].lstrip()[:1])


def as_requested(end: Done | Failure, call_request: AnyRequest) -> list[AnyEvent]:
    """Return the end of a whole response to a request for media, with its chunks before it if a stream was requested.

    Some models and servers ignore that, and answer with the whole.
    """
    if not isinstance(end, Done) or not wants_stream(call_request):
        return [end]
    match end.value:
        case ImageResponse() as response:
            settings: Mapping[str, Any] = {name: getattr(response, name) for name in ("size", "quality", "background")}
            chunks = [
                ImageChunk(image.data, complete=True, format=image.format, **settings)
                for image in response.images
                if image.data is not None
            ]
            return [*chunks, end]
        case Transcription(text=text) if text:
            return [TranscriptionChunk(text), end]
        case SpeechResponse(audio=audio) as speech if audio:
            return [audio, Done(replace(speech, audio=b""))]
        case _:
            return [end]


class _EventReader(BodyReader):
    """Reader of a stream of events, decoded as they arrive."""

    def __init__(self, codec: Codec, call_request: StreamedMedia, target: Target) -> None:
        splitter = SSESplitter if codec.framing == "events" else LineSplitter
        self._splitter = splitter(_EVENT_LIMIT)
        self._decoder = codec.media_decoder(call_request, target)
        self._limit = response_limits(call_request, target).size
        self._size = 0

    @override
    def feed(self, data: bytes) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for raw_event in self._splitter.feed(data):
            for event in self._decoder.feed(raw_event):
                if isinstance(event, (Done, Failure)):
                    return [*events, event]
                self._size += _size_of(event)
                if self._size > self._limit:
                    return [*events, Failure("oversized")]
                events.append(event)
        if self._splitter.oversized:
            events.append(Failure("oversized"))
        return events

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for raw_event in self._splitter.close():
            events += self._decoder.feed(raw_event)
        end = self._decoder.finish()
        if incomplete and isinstance(end, Failure) and end.kind == "truncated":
            end = replace(end, kind="connection")
        return [*events, end]

    @override
    def on_timeout(self) -> Done | Failure:
        end = self._decoder.finish()
        return end if isinstance(end, Done) else Failure("timeout")


def _size_of(chunk: MediaChunk) -> int:
    """Return what a chunk adds to the size of its response."""
    match chunk:
        case bytes():
            return len(chunk)
        case ImageChunk() | RawChunk():
            return len(chunk.data)
        case TranscriptionChunk():
            return len(chunk.text)
