"""Readers of a decompressed body, which turn its bytes into events.

The reader is chosen by the content of the body, not by its content type: servers send JSON where a stream was
requested and streams where JSON was, both under any content type, and a captive portal's HTML under all of them.

States of a body; ``Done`` or ``Failure`` is its terminal event, after which later bytes are ignored::

    status >= 300 --> _ErrorReader: the first 16 KiB ----------------------------> Failure
    status < 300 ---> FormatDetector: white space, byte order mark
                        |-- no other byte --------------------------------------> Failure
                        |-- begins like a stream --> _StreamReader: LLMChunk ... -> Done | Failure
                        `-- anything else ---------> _JSONReader: all bytes -----> Done | Failure

A timeout in any state is ``on_timeout``: a Failure, or Done if a stream lacked only its terminal event. A body beyond
the limits of ``response_limits`` is a Failure, and nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from typing_extensions import override

from unified_llm._backends.http.body_reader import BodyReader, malformed
from unified_llm._core.chunks import JoinedChunks, as_chunks
from unified_llm._core.codec import wants_stream
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.response_limits import OversizedResponseError, response_limits, size_of_chunk
from unified_llm._core.streamed_arguments import StreamedArguments
from unified_llm._core.text_halves import HalfJoiner, may_cut
from unified_llm._lib.bounded_json import JSONError, OversizedJSONError, parse_lenient
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import ServerSentEvent, SSESplitter
from unified_llm.types.requests import FurtherRequest, LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm._core.codec import AnyRequest, Codec, Returns
    from unified_llm._core.exchange import AnyEvent
    from unified_llm._core.target import Target

ERROR_LIMIT: Final = 16 * 1024
"""Most bytes of an error's body; the remainder is not read."""

_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


def make_reader(
    codec: Codec,
    call_request: AnyRequest,
    target: Target,
    *,
    status: int,
    headers: Mapping[str, str],
    returns: Returns = "json",
) -> BodyReader:
    """Return the first reader of a body, by the head of its response."""
    if status >= 300:
        return _ErrorReader(codec, target, status, headers)
    content_type = headers.get("content-type", "").lower()
    if returns != "json":
        from unified_llm._backends.http.media_readers import content_reader  # few programs need it

        if reader := content_reader(codec, call_request, target, content_type=content_type, returns=returns):
            return reader
    return FormatDetector(codec, call_request, target, content_type)


class FormatDetector(BodyReader):
    """State before the first byte that is not white space, which distinguishes JSON from a stream."""

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target, content_type: str) -> None:
        self._codec, self._call_request, self._target = codec, call_request, target
        self._labelled_as_stream = "text/event-stream" in content_type
        self.buffered = b""

    def detect(self, data: bytes) -> BodyReader | None:
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
            begins_stream = wants_stream(self._call_request) and buffered[:1] == b"{"
        if begins_stream and isinstance(self._call_request, LLMRequest):
            kind = _StreamReader if self._call_request.original is None else _OriginalStreamReader
            return kind(self._codec, self._call_request, self._target)
        if begins_stream and isinstance(self._call_request, FurtherRequest):
            from unified_llm._backends.http.media_readers import media_stream_reader

            if reader := media_stream_reader(self._codec, self._call_request, self._target):
                return reader
        return _JSONReader(self._codec, self._call_request, self._target)

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        return [Failure("connection" if incomplete else "empty")]


class _JSONReader(BodyReader):
    """Reader of a JSON body, decoded when it is complete."""

    def __init__(self, codec: Codec, call_request: AnyRequest, target: Target) -> None:
        self._codec, self._call_request, self._target = codec, call_request, target
        self._limits = response_limits(call_request, target)
        self._body = bytearray()

    @override
    def feed(self, data: bytes) -> list[AnyEvent]:
        if not self._body and data.startswith(b"<"):
            return [malformed(data)]  # HTML is never an answer, so the remainder is not read
        self._body += data
        return [self._oversized()] if len(self._body) > self._limits.size else []

    def _oversized(self) -> Failure:
        self._body = bytearray()
        return Failure("oversized")

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        if incomplete:
            return [Failure("connection")]
        try:
            parsed = parse_lenient(self._body, max_structure=self._limits.structure, max_names=self._limits.names)
        except OversizedJSONError:
            return [self._oversized()]
        except JSONError:
            return [malformed(self._body)]
        self._body = bytearray()
        try:
            end = self._codec.decode(self._call_request, self._target, parsed)
        except OversizedResponseError:
            return [self._oversized()]
        if isinstance(self._call_request, FurtherRequest):
            from unified_llm._backends.http.media_readers import as_requested

            return as_requested(end, self._call_request)
        if isinstance(end, Done) and isinstance(end.value, LLMResponse) and wants_stream(self._call_request):
            chunk, last = as_chunks(end.value)
            done = Done(last, end.request_id)
            return [chunk, done] if chunk else [done]
        return [end]


class _StreamReader(BodyReader):
    """Reader of a stream of events or lines, decoded as they arrive.

    The content of all chunks counts as the size of the response, whether it is joined here or handed out: for
    ``.partial``, and in the frameworks, it is kept in either case.
    """

    def __init__(self, codec: Codec, call_request: LLMRequest, target: Target) -> None:
        self._splitter = SSESplitter() if codec.framing == "events" else LineSplitter()
        self._decoder = codec.decoder(call_request, target)
        self._joined = None if call_request.stream else JoinedChunks()
        self._halves = HalfJoiner()
        self._arguments = StreamedArguments()
        self._limit = response_limits(call_request, target).size
        self._size = 0

    @override
    def feed(self, data: bytes) -> list[AnyEvent]:
        events = self._read(self._splitter.feed(data))
        if self._splitter.oversized:
            events.append(Failure("oversized"))
        return events

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        events = self._read(self._splitter.close())
        end = self._decoder.finish()
        if incomplete and isinstance(end, Failure) and end.kind == "truncated":
            end = replace(end, kind="connection")
        if isinstance(end, Done):
            events += self._flush()
        return [*events, self._as_requested(end)]

    @override
    def on_timeout(self) -> Done | Failure:
        end = self._decoder.finish()
        return self._as_requested(end) if isinstance(end, Done) else Failure("timeout")

    def _read(self, raw_events: list[ServerSentEvent]) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        try:
            for event in self._decode(raw_events):
                if self._joined is None or not isinstance(event, LLMChunk):
                    events.append(event)
                else:
                    self._joined.add(event)
        except OversizedResponseError:
            self._joined = None
            events.append(Failure("oversized"))
        return events

    def _decode(self, raw_events: list[ServerSentEvent]) -> Iterator[AnyEvent]:
        decoder, limit, halves = self._decoder, self._limit, self._halves
        for raw_event in raw_events:
            is_cut = halves.waiting or may_cut(raw_event.data)
            for event in decoder.feed(raw_event):
                if not isinstance(event, LLMChunk):
                    yield from self._flush() if isinstance(event, Done) else ()
                    yield self._as_requested(event)
                    return
                if is_cut:
                    event = halves.join(event)  # noqa: PLW2901 - the event with whole characters
                self._size += size_of_chunk(event)
                if self._size > limit:
                    raise OversizedResponseError
                # The calls of a whole response are parsed at once.
                passed = self._arguments.read(event) if event.tool_calls and self._joined is None else event
                if passed is not None:
                    yield passed
            if self._size + decoder.kept > limit:
                raise OversizedResponseError

    def _flush(self) -> list[AnyEvent]:
        """Return the chunks with what was held of a stream; none where it is joined here."""
        rest = self._halves.flush()
        if self._joined is not None:
            if rest is not None:
                self._joined.add(rest)
            return []
        if rest is not None and rest.tool_calls:
            rest = self._arguments.read(rest)
        return [chunk for chunk in (rest, self._arguments.flush()) if chunk is not None]

    def _as_requested(self, end: Done | Failure) -> Done | Failure:
        """Join the chunks to a whole answer where no stream was requested."""
        if self._joined is None or not isinstance(end, Done) or not isinstance(end.value, LLMChunk):
            return end
        return replace(end, value=self._joined.as_response(end.value))


class _OriginalStreamReader(_StreamReader):
    """Reader of a stream that answers a request as a program wrote it: the chunks carry what came, in ``raw``.

    A chunk has the data of all events since the chunk before it, and the end has the rest, so that every event can be
    passed on to the program as it came.
    """

    def __init__(self, codec: Codec, call_request: LLMRequest, target: Target) -> None:
        super().__init__(codec, call_request, target)
        self._texts: list[str] = []
        self._texts_size = 0

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        return [self._with_texts(event) for event in super().finish(incomplete=incomplete)]

    @override
    def on_timeout(self) -> Done | Failure:
        return cast("Done | Failure", self._with_texts(super().on_timeout()))

    @override
    def _read(self, raw_events: list[ServerSentEvent]) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for raw_event in raw_events:
            self._texts.append(raw_event.data)
            self._texts_size += len(raw_event.data)
            events += [self._with_texts(event) for event in super()._read([raw_event])]
            if self._texts_size > self._limit:
                return [*events, Failure("oversized")]
            if events and isinstance(events[-1], (Done, Failure)):
                break
        return events

    def _with_texts(self, event: AnyEvent) -> AnyEvent:
        chunk = event.value if isinstance(event, Done) else event
        if isinstance(chunk, LLMChunk) and not isinstance(chunk.raw, tuple):
            # The decoder has just made it, and nobody else has it. To copy it would take as long as to decode it.
            object.__setattr__(chunk, "raw", tuple(self._texts))
            self._texts, self._texts_size = [], 0
        return event


class _ErrorReader(BodyReader):
    """Reader of an error's body, whose beginning contains the reason."""

    def __init__(self, codec: Codec, target: Target, status: int, headers: Mapping[str, str]) -> None:
        self._codec, self._target, self._status, self._headers = codec, target, status, headers
        self._body = b""

    @override
    def feed(self, data: bytes) -> list[AnyEvent]:
        self._body += data[: ERROR_LIMIT - len(self._body)]
        return self.finish(incomplete=False) if len(self._body) >= ERROR_LIMIT else []

    @override
    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        return [self.on_timeout()]

    @override
    def on_timeout(self) -> Failure:
        """Return the failure by its status, which is known whether the body is complete or not."""
        if self._status < 400:
            return Failure("redirect")
        failure = self._codec.failure(self._status, self._headers, self._body, self._target)
        return replace(failure, body=self._body.decode(errors="replace"))
