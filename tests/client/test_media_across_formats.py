"""Media that another API makes where the first one is down: each target is sent its own format."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.each import each
from tests.support.media_answers import PICTURE, VIDEO, WORDS
from tests.support.sent_requests import SentRequest, SentRequests
from tests.support.support_checks import recorded_answer
from unified_llm import LLMClient, reset_health
from unified_llm.exceptions import AllTargetsFailedError, ServiceUnavailableError, UnsupportedOperationError

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
OPENAI, GEMINI, XAI = "openai/gpt-image-2", "gemini/gemini-3.1-flash-image", "xai/grok-imagine-image"
GROQ, WHISPER = "groq/whisper-large-v3-turbo", "openai/whisper-1"
SORA, OMNI = "openai/sora-2", "gemini/gemini-omni-1.1-flash"


def client(*models: str) -> LLMClient:
    return LLMClient(models[0], fallbacks=models[1:], api_key="sk-CANARY-across", max_retries=0)


def sync_and_async(name: str, *values: Any, **fields: Any) -> list[Callable[[LLMClient], Any]]:
    """Return a call of a method and of its async twin."""
    return [
        lambda made: getattr(made, name)(*values, **fields),
        lambda made: asyncio.run(getattr(made, f"a{name}")(*values, **fields)),
    ]


IMAGE_CALLS = sync_and_async("generate_image", "A fox", size="1536x1024", quality="high")
EDIT_CALLS = sync_and_async("generate_image", "Add a hat", images=PICTURE)
TRANSCRIPTION_CALLS = sync_and_async("transcribe", WAV, language="en", timestamps="word")
VIDEO_CALLS = sync_and_async("generate_video", "A fox runs", seconds=8, size="1280x720")


def run(call: Callable[[LLMClient], Any], *models: str) -> tuple[Any, list[SentRequest]]:
    """Make a call whose first target is down; return the response and what was sent."""
    reset_health()
    network = SentRequests(models[0], answers=recorded_answer)
    with network.running():
        return call(client(*models)), network.sent


@each("number", range(2))
def test_gemini_draws_where_openai_is_down(number: int) -> None:
    response, sent = run(IMAGE_CALLS[number], OPENAI, GEMINI)
    assert (response.data, response.format, response.provider) == (PICTURE, "png", "gemini")
    assert response.used_fallback
    assert [(request.target, request.path) for request in sent] == [
        (OPENAI, "/v1/images/generations"),
        (GEMINI, "/v1beta/models/gemini-3.1-flash-image:generateContent"),
    ]
    assert sent[0].body["size"] == "1536x1024"
    assert sent[1].body["generationConfig"] == {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "3:2"}}
    assert response.attempts[-1].adjusted.keys() == {"quality"}, "its values have the names of one API"


@each("number", range(2))
def test_an_image_is_edited_by_another_api(number: int) -> None:
    response, sent = run(EDIT_CALLS[number], GEMINI, XAI)
    assert (response.data, response.provider) == (PICTURE, "xai")
    assert "inlineData" in json.dumps(sent[0].body)
    assert sent[1].body["image"]["url"].startswith("data:image/png;base64,")


@each("number", range(2))
def test_openai_transcribes_where_groq_is_down(number: int) -> None:
    response, sent = run(TRANSCRIPTION_CALLS[number], GROQ, WHISPER)
    assert (response.text, response.provider, response.model) == (WORDS, "openai", "whisper-1")
    assert [request.path for request in sent] == ["/openai/v1/audio/transcriptions", "/v1/audio/transcriptions"]
    for request in sent:
        assert 'name="timestamp_granularities[]"\r\n\r\nword' in request.body
        assert 'name="language"\r\n\r\nen' in request.body


@each("number", range(2))
def test_gemini_makes_a_video_where_openai_is_down(number: int) -> None:
    response, sent = run(VIDEO_CALLS[number], SORA, OMNI)
    assert (response.data, response.provider) == (VIDEO, "gemini")
    assert [request.path for request in sent][:2] == ["/v1/videos", "/v1beta/interactions"]
    wanted = {"type": "video", "duration": "8s", "aspect_ratio": "16:9", "resolution": "720p"}
    assert sent[1].body["response_format"] == wanted


def test_a_fallback_that_cannot_be_sent_the_request_is_passed_over() -> None:
    with pytest.raises(AllTargetsFailedError) as error:
        run(lambda made: made.transcribe(WAV), GROQ, "cohere/cohere-transcribe-03-2026")
    assert "language=" in str(error.value)


@each("other", ["cohere/cohere-transcribe-03-2026", "mistral/voxtral-mini-latest"])
def test_subtitles_come_from_targets_that_write_them(other: str) -> None:
    def call(made: LLMClient) -> Any:
        return made.transcribe(WAV, format="srt", language="en")

    with pytest.raises(UnsupportedOperationError, match="cannot write subtitles: leave out format='vtt'"):
        client(other).transcribe(WAV, format="VTT")
    with pytest.raises(ServiceUnavailableError):
        run(call, WHISPER, other)
    response, sent = run(lambda made: made.transcribe(WAV, format="json", prompt="x", language="en"), WHISPER, other)
    assert [request.target for request in sent] == [WHISPER, other]
    assert response.attempts[-1].adjusted.keys() == {"format", "prompt"}


def test_what_no_target_has_is_refused_before_anything_is_sent() -> None:
    network = SentRequests(answers=recorded_answer)
    with network.running(), pytest.raises(UnsupportedOperationError, match="translate"):
        client("mistral/voxtral-mini-latest").transcribe(WAV, translate=True)
    assert network.sent == []
