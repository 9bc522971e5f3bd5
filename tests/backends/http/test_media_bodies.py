"""Bodies of media: recordings, videos and texts as bytes, images in JSON, and streams of events."""

from __future__ import annotations

import base64
import gzip
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.support.codec_checks import target
from tests.support.each import each
from unified_llm._backends.http.response import Body, Head
from unified_llm._core.codec import AnyRequest, Returns
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.redaction import SentKeys
from unified_llm._formats.openai_chat import CODEC
from unified_llm.types import (
    ImageRequest,
    MediaFile,
    SpeechRequest,
    TranscriptionRequest,
    VideoContentRequest,
    VideoRequest,
)

PNG, WAV = b"\x89PNG\r\n\x1a\n" + bytes(16), b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100)
IMAGE, SPEECH = ImageRequest("A cat"), SpeechRequest("Hello")
TRANSCRIPTION = TranscriptionRequest(MediaFile(WAV), format="text")
HERE = target("openai", "gpt-image-2")
EVENTS = {"content-type": "text/event-stream"}
AUDIO = {"headers": {"content-type": "audio/mpeg"}}
PAGE = b"<!DOCTYPE html><html>sign in first</html>"
ERROR = b'{"error": {"message": "no", "type": "server_error", "code": null}}'


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


IMAGES = json.dumps({"data": [{"b64_json": encoded(PNG)}]}).encode()


def event(**fields: Any) -> bytes:
    return f"event: {fields.get('type', 'error')}\ndata: {json.dumps(fields)}\n\n".encode()


def read(
    request: AnyRequest, *pieces: bytes, incomplete: bool = False, headers: dict[str, str] | None = None, **fields: Any
) -> list[AnyEvent]:
    """Return the events of a body that arrives in these pieces."""
    returns: Returns = CODEC.encode(request, HERE).returns
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    body = Body(CODEC, request, replace(HERE, **fields), Head(200, raw, SentKeys(None, ())), returns=returns)
    events: list[AnyEvent] = []

    def take() -> None:
        while (event := body.next_event()) is not None or body.has_unread:
            if event is None:
                body.decode()
            else:
                events.append(event)

    for piece in pieces:
        body.feed(piece)
        take()
    body.finish(incomplete=incomplete)
    take()
    return events


def end_of(events: list[AnyEvent]) -> Any:
    end = events[-1]
    return end.kind if isinstance(end, Failure) else end.value if isinstance(end, Done) else end


def streamed(request: Any) -> Any:
    return replace(request, stream=True)


BYTES = (SPEECH, streamed(SPEECH), VideoContentRequest("video_1"), TRANSCRIPTION)


# Bytes


def test_a_recording_is_whole_or_arrives_in_pieces() -> None:
    whole = end_of(read(SPEECH, WAV[:50], WAV[50:]))
    assert (whole.audio, whole.format) == (WAV, "wav")
    *pieces, done = read(streamed(SPEECH), WAV[:50], WAV[50:])
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == WAV
    assert isinstance(done, Done)
    assert done.value.audio == b""


@each("beginning", [b"{", b"<", b" {", b"<html", b'{"', b"  "])
def test_samples_that_begin_like_a_page_or_json_are_samples(beginning: bytes) -> None:
    request = replace(SPEECH, format="pcm")
    for samples in (beginning, beginning + bytes(90), beginning + bytes(90_000)):
        pieces = [samples[start : start + 7_000] for start in range(0, len(samples), 7_000)]
        if not samples.startswith(b"<html"):
            assert end_of(read(request, *pieces)).audio == samples
            *chunks, done = read(streamed(request), *pieces)
            assert b"".join(chunk for chunk in chunks if isinstance(chunk, bytes)) == samples
            assert isinstance(done, Done)
        elif len(samples) > 90_000:  # which no page in place of a recording is
            assert end_of(read(request, *pieces)).audio == samples


def test_a_compressed_recording_is_decompressed() -> None:
    packed, headers = gzip.compress(WAV), {"content-encoding": "gzip"}
    assert end_of(read(SPEECH, packed, headers=headers)).audio == WAV
    assert end_of(read(SPEECH, packed[:-9], headers=headers)) == "connection"


@each(
    ("request_", "pieces", "fields", "kind"),
    [
        (SPEECH, [], {}, "empty"),
        (streamed(SPEECH), [], {}, "empty"),
        (SPEECH, [WAV], {"incomplete": True}, "connection"),
        (streamed(SPEECH), [WAV], {"incomplete": True}, "connection"),
        (SPEECH, [WAV], {"max_response_bytes": 50}, "oversized"),
        (streamed(SPEECH), [WAV], {"max_response_bytes": 50}, "oversized"),
        (SPEECH, [PAGE], {"headers": {"content-type": "text/html; charset=utf-8"}}, "malformed"),
        (VideoContentRequest("video_1"), [PAGE], {"headers": {"content-type": "text/html"}}, "malformed"),
        (SPEECH, [ERROR], {"headers": {"content-type": "application/json"}}, "server"),
        (VideoContentRequest("video_1"), [ERROR], {"headers": {"content-type": "application/json"}}, "server"),
        *(
            (kind, [b" \n", body], AUDIO, end)
            for kind in BYTES
            for body, end in ((PAGE, "malformed"), (ERROR, "server"))
        ),
        *((kind, [body[:3], body[3:]], {}, "malformed") for kind in BYTES for body in (PAGE, b'{"text": 7}')),
        (TRANSCRIPTION, [b"\xff\xfe\xff"], {}, "malformed"),
        (TRANSCRIPTION, [], {}, "empty"),
        (IMAGE, [PAGE], {}, "malformed"),
        (IMAGE, [b'{"data": []}'], {}, "empty"),
        (IMAGE, [b'{"data": [{"b64_json": "?"}]}'], {}, "empty"),
        (IMAGE, [b'{"text": "x"}'], {}, "malformed"),
        (IMAGE, [ERROR], {}, "server"),
        (IMAGE, [IMAGES], {"max_response_bytes": 50}, "oversized"),
        (IMAGE, [IMAGES], {"incomplete": True}, "connection"),
        (VideoRequest("x"), [b'{"id": "video_1"}'], {}, "malformed"),
        (VideoRequest("x"), [b'{"id": "video_1", "status": "dreaming"}'], {}, "malformed"),
    ],
)
def test_what_is_no_response_is_a_failure(request_: Any, pieces: Any, fields: Any, kind: str) -> None:
    assert end_of(read(request_, *pieces, **fields)) == kind


def test_a_text_loses_its_mark_and_its_last_line_feed() -> None:
    assert end_of(read(TRANSCRIPTION, b"\xef\xbb\xbfGuten ", b"Tag.\n")).text == "Guten Tag."


def test_a_server_may_answer_in_json_where_a_text_was_requested() -> None:
    for body in (b'{"text": "Guten Tag."}', b'"Guten Tag."'):
        assert end_of(read(TRANSCRIPTION, body, headers={"content-type": "application/json"})).text == "Guten Tag."
    assert end_of(read(TRANSCRIPTION, b'{"text": "Guten Tag."}')).text == "Guten Tag."
    assert end_of(read(TRANSCRIPTION, b"{coughs} Guten Tag.")).text == "{coughs} Guten Tag."


# Events


def partial(index: int) -> bytes:
    return event(type="image_generation.partial_image", partial_image_index=index, b64_json=encoded(PNG))


COMPLETE = event(type="image_generation.completed", b64_json=encoded(PNG), size="1024x1024")
DELTA = event(type="transcript.text.delta", delta="Guten ")
SPOKEN = event(type="speech.audio.delta", audio=encoded(WAV))
SPOKEN_DONE = event(type="speech.audio.done", usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})


def test_images_of_a_stream_come_one_after_another_wherever_it_is_cut() -> None:
    whole = partial(0) + partial(1) + COMPLETE
    for size in (1, 7, len(whole)):
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        *chunks, done = read(streamed(IMAGE), *pieces, headers=EVENTS)
        assert [(chunk.index, chunk.complete, chunk.data) for chunk in chunks if not isinstance(chunk, Failure)] == [  # type: ignore[union-attr] # pyright: ignore[reportAttributeAccessIssue]
            (0, False, PNG), (1, False, PNG), (0, True, PNG),
        ]  # fmt: skip
        assert isinstance(done, Done)
        assert (done.value.data, done.value.size) == (PNG, "1024x1024")


@each(
    ("request_", "pieces", "kind"),
    [
        (streamed(IMAGE), [partial(0)], "truncated"),
        (streamed(IMAGE), [partial(0), event(error={"message": "x", "code": "server_error"})], "server"),
        (streamed(IMAGE), [event(type="error", error={"code": "moderation_blocked", "message": "x"})], "filter"),
        (streamed(IMAGE), [b"data: {\n\n"], "malformed"),
        (streamed(IMAGE), [b"data: 7\n\n"], "malformed"),
        (streamed(IMAGE), [event(type="image_generation.completed", b64_json="?")], "malformed"),
        (streamed(TRANSCRIPTION), [DELTA], "truncated"),
        (streamed(SPEECH), [SPOKEN], "truncated"),
        (SPEECH, [SPOKEN_DONE], "empty"),
    ],
)
def test_a_stream_without_its_end_is_a_failure(request_: Any, pieces: Any, kind: str) -> None:
    assert end_of(read(request_, *pieces, headers=EVENTS)) == kind
    if kind == "truncated":
        assert end_of(read(request_, *pieces, headers=EVENTS, incomplete=True)) == "connection"


def test_a_recording_may_come_as_events() -> None:
    whole = end_of(read(SPEECH, SPOKEN, SPOKEN_DONE, headers=EVENTS))
    assert (whole.audio, whole.usage.total_tokens) == (WAV, 3)
    chunk, done = read(streamed(SPEECH), SPOKEN, SPOKEN_DONE, headers=EVENTS)
    assert chunk == WAV
    assert isinstance(done, Done)


def test_a_server_that_does_not_stream_answers_with_the_whole() -> None:
    chunk, done = read(streamed(IMAGE), IMAGES, headers={"content-type": "application/json"})
    assert (getattr(chunk, "data", None), getattr(chunk, "complete", None)) == (PNG, True)
    assert isinstance(done, Done)
    for body in (b'{"text": "Guten Tag."}', b"Guten Tag."):
        request = replace(TRANSCRIPTION, format="json" if body.startswith(b"{") else "text", stream=True)
        text, done = read(request, body)
        assert str(text) == "Guten Tag."
        assert isinstance(done, Done)


def test_an_event_may_be_an_image_of_many_megabytes_and_takes_time_in_proportion() -> None:
    seconds = []
    for size in (1 << 20, 4 << 20):
        data = encoded(PNG + bytes(size))
        whole = event(type="image_generation.completed", b64_json=data)
        pieces = [whole[start : start + 65536] for start in range(0, len(whole), 65536)]
        began = time.process_time()
        assert len(end_of(read(streamed(IMAGE), *pieces, headers=EVENTS)).data) == len(PNG) + size
        seconds.append(time.process_time() - began)
    assert seconds[1] < 16 * max(seconds[0], 0.01)


def test_a_stream_beyond_the_limit_of_a_response_is_cut() -> None:
    assert end_of(read(streamed(IMAGE), partial(0), partial(1), headers=EVENTS, max_response_bytes=30)) == "oversized"


@pytest.mark.parametrize("request_", [IMAGE, SPEECH, TRANSCRIPTION])
def test_an_error_status_is_read_as_in_a_chat(request_: Any) -> None:
    raw = [(b"content-type", b"application/json")]
    body = Body(CODEC, request_, HERE, Head(429, raw, SentKeys(None, ())), returns="bytes")
    body.feed(b'{"error": {"code": "rate_limit_exceeded", "message": "x"}}')
    body.finish(incomplete=False)
    failure = body.next_event()
    assert isinstance(failure, Failure)
    assert failure.kind == "rate_limit"
