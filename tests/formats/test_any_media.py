"""Properties of media in every format, whatever a provider sends: see ``any_format``."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from tests.support.any_format import check_failure, check_usage
from tests.support.media_answers import SAMPLES, media_answer
from tests.support.recordings import (
    CORRUPT_VALUES,
    MISSING,
    Corrupted,
    RecordedTarget,
    all_targets,
    as_event,
    positions,
)
from tests.support.thorough import some
from unified_llm._core.outcome import Done, Failure
from unified_llm.types import (
    ImageChunk,
    ImageRequest,
    ImageResponse,
    MediaFile,
    SpeechRequest,
    SpeechResponse,
    Transcription,
    TranscriptionChunk,
    TranscriptionRequest,
    VideoContentRequest,
    VideoJob,
    VideoJobRequest,
    VideoRequest,
    VideoResponse,
)

pytestmark = pytest.mark.thorough

CHANGES = (MISSING, *CORRUPT_VALUES)
TALK = TranscriptionRequest(MediaFile(b"RIFF", "talk.wav", "audio/wav"), language="en")
# A request for each feature, and what answers it.
REQUESTS: dict[str, tuple[tuple[Any, type[Any]], ...]] = {
    "generate_image": ((ImageRequest("a fox"), ImageResponse),),
    "speech": ((SpeechRequest("Hello"), SpeechResponse),),
    "transcription": ((TALK, Transcription),),
    "video": (
        (VideoRequest("a fox"), VideoJob),
        (VideoJobRequest("job_1"), VideoJob),
        (VideoContentRequest("job_1"), VideoResponse),
    ),
}
DATA = base64.b64encode(SAMPLES).decode()
STREAMS: dict[str, list[tuple[Any, list[Any]]]] = {
    "openai_chat": [
        (
            ImageRequest("a fox", stream=True),
            [
                {"type": "image_generation.partial_image", "b64_json": DATA, "partial_image_index": 0},
                {"type": "image_generation.completed", "b64_json": DATA, "usage": {"input_tokens": 1}},
            ],
        ),
        (
            SpeechRequest("Hello", stream=True),
            [{"type": "speech.audio.delta", "audio": DATA}, {"type": "speech.audio.done", "usage": {}}],
        ),
        (
            replace(TALK, stream=True),
            [
                {"type": "transcript.text.delta", "delta": "Hel"},
                {"type": "transcription.text.delta", "text": "lo"},
                {"type": "transcription.segment", "text": "Hello", "start": 0, "end": 1, "speaker_id": "s"},
                {"type": "transcript.text.done", "text": "Hello", "usage": {"input_tokens": 1}},
            ],
        ),
        (
            replace(TALK, stream=True),
            [{"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}, "[DONE]"],
        ),
    ],
    "gemini": [
        (
            SpeechRequest("Hello", stream=True),
            [media_answer("gemini", SpeechRequest("Hello")), media_answer("gemini", SpeechRequest("Hello"))],
        ),
    ],
}


def cases() -> Iterator[tuple[RecordedTarget, Any, type[Any], Any]]:
    """Return every provider that makes media, a request, what answers it, and the provider's body."""
    for source in all_targets():
        for feature in sorted(source.target.features & REQUESTS.keys()):
            for request, kind in REQUESTS[feature]:
                body = media_answer(source.target.format, request)
                if body is not None:
                    yield source, request, kind, body


def check(outcome: Any, kind: type[Any]) -> None:
    """Check that an outcome is what was asked for, or a failure of some kind."""
    if isinstance(outcome, Failure):
        check_failure(outcome)
        return
    assert isinstance(outcome, Done)
    value = outcome.value
    assert isinstance(value, kind)
    assert repr(value)
    check_usage(getattr(value, "usage", None))
    match value:
        case ImageResponse():
            assert value.images
            assert all(image.data or image.url for image in value.images)
        case Transcription():
            assert isinstance(value.text, str)
        case VideoJob():
            assert value.id
            assert value.status in {"queued", "in_progress", "completed", "failed"}
        case _:
            assert value.format is None or isinstance(value.format, str)


def test_media_come_from_every_provider_that_claims_them() -> None:
    seen = set[str]()
    for source, request, kind, body in cases():
        outcome = source.codec.decode(request, source.target, body)
        assert isinstance(outcome, Done), (source.name, request)
        check(outcome, kind)
        seen.add(source.target.provider)
    assert seen >= {"openai", "gemini", "groq", "mistral", "xai", "together", "cohere"}


def test_an_answer_that_is_spoilt_anywhere_is_media_or_a_failure() -> None:
    turn = count()
    for source, request, kind, body in cases():
        if isinstance(body, bytes):
            check(source.codec.decode(request, source.target, {"error": {"message": "No"}}), kind)
            continue
        for holder, key in positions(body):
            for _ in range(3):
                with Corrupted(holder, key, CHANGES[next(turn) % len(CHANGES)]):
                    check(source.codec.decode(request, source.target, body), kind)


def test_whatever_comes_in_place_of_media_is_a_failure_or_media() -> None:
    bodies: list[Any] = [
        None,
        [],
        {},
        "text",
        7,
        {"data": [None]},
        {"candidates": [[]]},
        {"steps": [{}]},
        {"error": []},
    ]
    for source, request, kind, _ in cases():
        for body in bodies:
            check(source.codec.decode(request, source.target, body), kind)


def play(source: RecordedTarget, request: Any, events: list[Any]) -> list[Any]:
    """Decode a stream to its end, and check it."""
    decoder, out = source.codec.media_decoder(request, source.target), list[Any]()
    for event in events:
        out += decoder.feed(as_event(event, event if isinstance(event, str) else json.dumps(event)))
        if out and isinstance(out[-1], (Done, Failure)):
            break
    else:
        out.append(decoder.finish())
    *chunks, end = out
    for chunk in chunks:
        assert isinstance(chunk, (bytes, ImageChunk, TranscriptionChunk)), chunk
        assert chunk if isinstance(chunk, bytes) else getattr(chunk, "data", "x")
    check(end, {ImageRequest: ImageResponse, SpeechRequest: SpeechResponse}.get(type(request), Transcription))
    return out


@pytest.mark.parametrize("format_name", STREAMS)
def test_a_stream_that_is_spoilt_anywhere_is_media_and_one_end(format_name: str) -> None:
    turn = count()
    source = next(source for source in all_targets() if source.target.format == format_name)
    for request, events in STREAMS[format_name]:
        assert isinstance(play(source, request, events)[-1], Done)
        for number in range(len(events)):
            assert isinstance(play(source, request, [*events[:number], "{"])[-1], Failure)
        for event in events:
            for holder, key in some(positions(event), 20) if isinstance(event, dict) else ():
                for _ in range(3):
                    with Corrupted(holder, key, CHANGES[next(turn) % len(CHANGES)]):
                        play(source, request, events)


def test_a_stream_of_media_is_no_success_before_it_says_that_it_ends() -> None:
    for format_name, streams in STREAMS.items():
        source = next(source for source in all_targets() if source.target.format == format_name)
        for request, events in streams:
            for kept in range(len(events)):
                unfinished = [without_end(event) for event in events[:kept]]
                assert isinstance(play(source, request, unfinished)[-1], Failure), (request, kept)


def without_end(event: Any) -> Any:
    """Return an event of Gemini's without the reason for which it is the last one."""
    if not isinstance(event, dict) or "candidates" not in event:
        return event
    return {**event, "candidates": [{**event["candidates"][0], "finishReason": None}]}
