"""Readers of bodies of media: pages and JSON in place of content, bounds, streams that end early."""

from __future__ import annotations

import json
from typing import Any

from tests.support.codec_checks import target
from tests.support.each import each
from unified_llm._backends.http.media_readers import as_requested, content_reader, media_stream_reader
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.codecs import codec_for
from unified_llm.types import ImageRequest, LLMRequest, Message, SpeechRequest, TranscriptionRequest
from unified_llm.types.media import Image, ImageChunk, ImageResponse, SpeechResponse, Transcription
from unified_llm.types.media_requests import MediaFile
from unified_llm.types.raw import RawChunk, RawRequest, RawResponse

CODEC, TARGET = codec_for("openai_chat"), target("openai", "some-model")
SPEECH, STREAMED = SpeechRequest("Hello"), SpeechRequest("Hello", stream=True)
CONTENT = RawRequest("GET", "/files/f/content", "files", returns="bytes")
PAGE = b"<!DOCTYPE html><html>Gone</html>"


def read(request: Any, *pieces: bytes, content_type: str = "audio/mpeg", incomplete: bool = False) -> list[Any]:
    reader = content_reader(CODEC, request, TARGET, content_type=content_type, returns="bytes")
    assert reader is not None
    events: list[Any] = [event for piece in pieces for event in reader.feed(piece)]
    return (
        events if any(isinstance(event, Failure) for event in events) else events + reader.finish(incomplete=incomplete)
    )


@each(
    ("request_", "content_type", "is_read"),
    [
        (SPEECH, "application/json", False),
        (SPEECH, "text/event-stream", False),
        (STREAMED, "text/event-stream", False),
        (CONTENT, "application/json", True),
        (CONTENT, "text/html", True),
        (CONTENT, "text/event-stream", True),
        (SPEECH, "audio/mpeg", True),
    ],
)
def test_json_and_events_are_for_other_readers_unless_a_file_has_them(
    request_: Any, content_type: str, *, is_read: bool
) -> None:
    reader = content_reader(CODEC, request_, TARGET, content_type=content_type, returns="bytes")
    assert (reader is not None) is is_read


def test_a_page_is_no_content_but_a_file_may_be_one() -> None:
    for request in (SPEECH, STREAMED):
        (failure,) = read(request, PAGE, content_type="text/html")
        assert failure.kind == "malformed"
        assert read(request, content_type="text/html") == [Failure("empty")]
        assert read(request, content_type="text/html", incomplete=True) == [Failure("connection")]
        (failure,) = read(request, b"  ", PAGE)
        assert failure.kind == "malformed", "whatever its content type says"
    (done,) = read(CONTENT, PAGE, content_type="text/html")
    assert done.value.value == PAGE
    (done,) = read(CONTENT, b'{"error": {"message": "of the file"}}', content_type="application/json")
    assert done.value.value == b'{"error": {"message": "of the file"}}'


def test_an_error_in_json_under_another_type_is_one_whole_and_streamed() -> None:
    error = json.dumps({"error": {"message": "busy", "code": "server_error"}}).encode()
    for request in (SPEECH, STREAMED):
        (failure,) = read(request, error[:9], error[9:])
        assert isinstance(failure, Failure)
        assert failure.detail == "busy"


@each("samples", [b"{1, 2}", b"<rest of samples", b"[]", b" {", b"{" + bytes(64 * 1024)])
def test_samples_that_begin_like_json_or_a_page_are_passed_on(samples: bytes) -> None:
    (done,) = read(SPEECH, samples)
    assert done.value.audio == samples
    *parts, done = read(STREAMED, samples[:1], samples[1:])
    assert b"".join(parts) == samples
    assert done.value.audio == b""


def test_a_recording_is_passed_on_as_it_arrives_and_no_piece_is_empty() -> None:
    reader = content_reader(CODEC, STREAMED, TARGET, content_type="audio/mpeg", returns="bytes")
    assert reader is not None
    assert [reader.feed(piece) for piece in (b"", b"ID3", b"", b"{", b"more")] == [[], [b"ID3"], [], [b"{"], [b"more"]]
    (done,) = reader.finish(incomplete=False)
    assert isinstance(done, Done)
    assert read(STREAMED, b"ID3", incomplete=True) == [b"ID3", Failure("connection")]
    assert read(STREAMED) == [Failure("empty")]


def test_what_a_whole_answer_is_to_a_stream() -> None:
    image = ImageRequest("A cat", stream=True)
    whole = Done(ImageResponse((Image(data=b"png", format="png"), Image(url="https://x")), size="1x1", quality="low"))
    assert as_requested(whole, ImageRequest("A cat")) == [whole]
    assert as_requested(whole, image) == [
        ImageChunk(b"png", complete=True, format="png", size="1x1", quality="low", background=None), whole,
    ]  # fmt: skip
    assert as_requested(Failure("empty"), image) == [Failure("empty")]
    spoken, done = as_requested(Done(SpeechResponse(b"mp3", "mp3")), STREAMED)
    assert (spoken, done) == (b"mp3", Done(SpeechResponse(b"", "mp3")))
    hearing = TranscriptionRequest(MediaFile(b"RIFF", "a.wav", "audio/wav"), stream=True)
    silent = Done(Transcription(""))
    assert as_requested(silent, hearing) == [silent]


def events_of(*pieces: bytes, incomplete: bool = False) -> list[Any]:
    reader = media_stream_reader(CODEC, RawRequest("GET", "/responses/r", "responses", stream=True), TARGET)
    assert reader is not None
    events: list[Any] = []
    for piece in pieces:
        events += reader.feed(piece)
        if events and isinstance(events[-1], (Done, Failure)):
            return events
    return [*events, *reader.finish(incomplete=incomplete)]


def test_events_are_read_to_their_end_and_within_bounds() -> None:
    end = Done(RawResponse(None, "openai"))
    assert events_of(b"data: {}\n\n", b"data: [DONE]\n\ndata: {}\n\n") == [RawChunk("{}"), end]
    assert events_of(b"data: {}\n\ndata: 1") == [RawChunk("{}"), RawChunk("1"), end]
    assert events_of() == [Failure("empty")]
    endless = b"x" * (1 << 20)
    found = events_of(b"data: ", *([endless] * 65))
    assert found == [Failure("oversized")]


def test_a_stream_that_takes_too_long_is_whole_or_a_timeout() -> None:
    request = ImageRequest("A cat", stream=True)
    reader = media_stream_reader(CODEC, request, TARGET)
    assert reader is not None
    assert reader.on_timeout() == Failure("timeout")
    raw = media_stream_reader(CODEC, RawRequest("GET", "/responses/r", "responses", stream=True), TARGET)
    assert raw is not None
    raw.feed(b"data: {}\n\n")
    assert raw.on_timeout() == Done(RawResponse(None, "openai"))
    assert media_stream_reader(CODEC, LLMRequest((Message.user("Hi"),)), TARGET) is None
