"""Media in OpenAI's format, also at Azure's addresses: what is sent, and what is read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.support.codec_checks import target
from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._core.codec import AnyRequest, WireRequest
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.azure import CODEC as AZURE
from unified_llm._formats.openai_chat import CODEC
from unified_llm._formats.openai_responses import CODEC as RESPONSES
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    ImageRequest,
    MediaFile,
    SpeechRequest,
    TranscriptionRequest,
    VideoContentRequest,
    VideoJobRequest,
    VideoRequest,
)

PNG = MediaFile(b"\x89PNG\r\n\x1a\nCANARY", "image.png", "image/png")
WAV = MediaFile(b"RIFFCANARY", "audio.wav", "audio/wav")
EXTRA = {"moderation": "low"}


def at(model: str, provider: str = "openai", **fields: Any) -> Target:
    return target(provider, model, **fields)


def form_of(wire: WireRequest) -> list[tuple[str, str]]:
    """Return the fields of a form, each file as its name and type."""
    head = dict(wire.headers)["content-type"]
    boundary = head.partition("boundary=")[2]
    assert head.startswith("multipart/form-data; ")
    fields = []
    for part in wire.body.decode("latin-1").split(f"--{boundary}")[1:-1]:
        headers, _, value = part.strip("\r\n").partition("\r\n\r\n")
        name = re.search(r' name="([^"]*)"', headers)
        file = re.search(r'filename="([^"]*)"\r\nContent-Type: (\S+)', headers)
        assert name
        fields.append((name[1], f"{file[1]} {file[2]}" if file else value))
    return fields


def sent(request: AnyRequest, where: Target) -> tuple[str, Any]:
    """Return the path, and the JSON or the form."""
    wire = CODEC.encode(request, where)
    is_json = dict(wire.headers).get("content-type") == "application/json"
    return wire.url.removeprefix(where.base_url), json.loads(wire.body) if is_json else form_of(wire)


def test_a_request_for_images_has_the_names_of_the_api() -> None:
    request = ImageRequest(
        "A cat", n=2, size="1024x1024", quality="low", format="webp", background="opaque", extra_body=EXTRA
    )
    assert sent(request, at("gpt-image-2")) == ("/images/generations", {
        "model": "gpt-image-2", "prompt": "A cat", "n": 2, "size": "1024x1024", "quality": "low",
        "output_format": "webp", "background": "opaque", "moderation": "low",
    })  # fmt: skip
    assert sent(ImageRequest("A cat"), at("gpt-image-2"))[1] == {"model": "gpt-image-2", "prompt": "A cat"}
    stream = sent(ImageRequest("A cat", partial_images=0, stream=True), at("gpt-image-2"))[1]
    assert (stream["stream"], stream["partial_images"]) == (True, 0)


def test_a_model_is_not_sent_the_settings_that_it_does_not_take() -> None:
    request = ImageRequest("A cat", format="webp", background="opaque", quality="hd")
    assert sent(request, at("dall-e-3"))[1] == {"model": "dall-e-3", "prompt": "A cat", "quality": "hd"}
    speech = SpeechRequest("Hello", voice="nova", instructions="Whisper.")
    assert "instructions" not in sent(speech, at("tts-1"))[1]
    assert sent(speech, at("gpt-4o-mini-tts"))[1]["instructions"] == "Whisper."


def test_an_edit_is_a_form() -> None:
    where = at("gpt-image-2")
    path, form = sent(ImageRequest("Night", images=(PNG,), mask=PNG, n=1, extra_body=EXTRA), where)
    assert path == "/images/edits"
    assert form == [
        ("model", "gpt-image-2"), ("prompt", "Night"), ("n", "1"), ("moderation", "low"),
        ("image", "image.png image/png"), ("mask", "image.png image/png"),
    ]  # fmt: skip
    several = sent(ImageRequest("Night", images=(PNG, PNG), stream=True), where)[1]
    assert [name for name, _ in several] == ["model", "prompt", "stream", "image[]", "image[]"]


def test_a_text_is_read_by_a_voice_that_the_api_requires() -> None:
    assert sent(SpeechRequest("Hello"), at("gpt-4o-mini-tts")) == (
        "/audio/speech", {"model": "gpt-4o-mini-tts", "input": "Hello", "voice": "alloy"},
    )  # fmt: skip
    full = SpeechRequest("Hello", voice="nova", format="pcm", speed=1.5, stream=True)
    assert sent(full, at("tts-1"))[1] == {
        "model": "tts-1", "input": "Hello", "voice": "nova", "response_format": "pcm", "speed": 1.5,
    }  # fmt: skip
    assert CODEC.encode(full, at("tts-1")).returns == "bytes"
    answer = CODEC.decode(SpeechRequest("Hello", format="pcm"), at("tts-1"), b"\x00\x01")
    assert isinstance(answer, Done)
    assert (answer.value.format, answer.value.sample_rate) == ("pcm", 24_000)


def test_a_recording_is_sent_with_what_is_asked_of_it() -> None:
    request = TranscriptionRequest(
        WAV, language="de", prompt="Köln", format="verbose_json", temperature=0.0, timestamps=("word", "segment")
    )
    assert sent(request, at("whisper-1")) == ("/audio/transcriptions", [
        ("model", "whisper-1"), ("language", "de"), ("prompt", "KÃ¶ln"), ("response_format", "verbose_json"),
        ("temperature", "0.0"), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment"),
        ("file", "audio.wav audio/wav"),
    ])  # fmt: skip
    translated = replace(request, translate=True, format="text")
    assert sent(translated, at("whisper-1")) == ("/audio/translations", [
        ("model", "whisper-1"), ("prompt", "KÃ¶ln"), ("response_format", "text"), ("temperature", "0.0"),
        ("file", "audio.wav audio/wav"),
    ])  # fmt: skip
    assert CODEC.encode(translated, at("whisper-1")).returns == "text"
    diarized = sent(TranscriptionRequest(WAV, prompt="x"), at("gpt-4o-transcribe-diarize"))[1]
    assert [name for name, _ in diarized] == ["model", "file"]


def test_a_video_is_a_job() -> None:
    where = at("sora-2")
    assert sent(VideoRequest("A cat", seconds=4, size="1280x720", image=PNG), where) == ("/videos", [
        ("prompt", "A cat"), ("model", "sora-2"), ("seconds", "4"), ("size", "1280x720"),
        ("input_reference", "image.png image/png"),
    ])  # fmt: skip
    look = CODEC.encode(VideoJobRequest("video/1"), where)
    assert (look.method, look.url) == ("GET", f"{where.base_url}/videos/video%2F1")
    fetch = CODEC.encode(VideoContentRequest("video_1", variant="thumbnail"), where)
    assert (fetch.url, fetch.returns) == (f"{where.base_url}/videos/video_1/content?variant=thumbnail", "bytes")
    assert dict(fetch.headers)["accept"] == "*/*"


@each(
    ("body", "expected"),
    [
        ({"status": "queued", "seconds": "4"}, ("queued", 4.0, None, None, False)),
        ({"status": "in_progress", "progress": 40}, ("in_progress", None, 40.0, None, False)),
        ({"status": "processing", "seconds": 8}, ("in_progress", 8.0, None, None, False)),
        ({"status": "succeeded", "seconds": "x"}, ("completed", None, None, None, False)),
        ({"status": "PENDING"}, ("queued", None, None, None, False)),
        ({"status": "Failed", "error": "out of memory"}, ("failed", None, None, None, False)),
        (
            {"status": "failed", "error": {"code": "moderation_blocked", "message": "x"}},
            ("failed", None, None, "moderation_blocked", True),
        ),
        ({"status": "failed", "error": {"code": "oops", "message": "x"}}, ("failed", None, None, "oops", False)),
        ({"status": "failed", "error": None}, ("failed", None, None, None, False)),
    ],
)
def test_the_state_of_a_job_is_read(body: dict[str, Any], expected: Any) -> None:
    answer = CODEC.decode(VideoJobRequest("video_1"), at("sora-2"), {"id": "video_1", **body})
    assert isinstance(answer, Done)
    job = answer.value
    assert (job.status, job.seconds, job.progress, job.error, job.blocked) == expected
    error = body.get("error")
    assert job.detail == (error if isinstance(error, str) else (error or {}).get("message"))


def test_a_transcription_is_read_in_each_form() -> None:
    verbose = {
        "text": "Guten Tag.", "language": "german", "duration": 2.5, "words": [{"word": "Guten", "start": 0, "end": 1}],
        "segments": [{"id": 0, "text": "Guten Tag.", "start": 0.0, "end": 2.5}, {"text": 3}, 7],
        "usage": {"type": "duration", "seconds": 2},
    }  # fmt: skip
    answer = CODEC.decode(TranscriptionRequest(WAV), at("whisper-1"), verbose)
    assert isinstance(answer, Done)
    read = answer.value
    assert (read.text, read.language, read.duration, read.usage) == ("Guten Tag.", "german", 2.5, None)
    assert [(each.text, each.end, each.speaker) for each in read.segments] == [("Guten Tag.", 2.5, None)]
    assert [(each.word, each.end) for each in read.words] == [("Guten", 1.0)]
    detected = {"text": "", "languages": [{"code": "de"}], "usage": {"type": "tokens", "input_tokens": 3}}
    silent = CODEC.decode(TranscriptionRequest(WAV), at("gpt-transcribe"), detected)
    assert isinstance(silent, Done)
    assert (silent.value.text, silent.value.language, silent.value.usage.prompt_tokens) == ("", "de", 3)


def test_images_are_read_with_what_the_provider_says_of_them() -> None:
    body = {
        "data": [{"url": "https://x.example/a.png", "revised_prompt": "A fine cat"}, {"b64_json": "iVBORw0KGgo="}, 3],
        "output_format": "webp", "size": "1024x1024", "quality": "low", "background": "opaque",
        "usage": {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5},
    }  # fmt: skip
    answer = CODEC.decode(ImageRequest("A cat"), at("gpt-image-2"), body)
    assert isinstance(answer, Done)
    read = answer.value
    assert (read.url, read.revised_prompt, read.size, read.quality) == (
        "https://x.example/a.png", "A fine cat", "1024x1024", "low",
    )  # fmt: skip
    assert [image.format for image in read.images] == ["webp", "png"]
    assert read.usage.total_tokens == 5
    assert "fine" not in repr(read)


@each("text", ["\ud800", "x\ud800"])
def test_half_of_a_surrogate_pair_is_one_clear_error(text: str) -> None:
    requests: list[AnyRequest] = [
        ImageRequest(text), ImageRequest(text, images=(PNG,)), SpeechRequest(text), VideoRequest(text),
        TranscriptionRequest(WAV, prompt=text),
    ]  # fmt: skip
    for request in requests:
        with pytest.raises(ValidationError):
            CODEC.encode(request, at("some-model"))


def test_azure_has_media_below_the_deployment_and_videos_in_its_v1_api_alone() -> None:
    resource: dict[str, Any] = {"base_url": "https://r.openai.azure.com"}
    dated, v1 = at("mine", "azure", api_version="2024-10-21", **resource), at("mine", "azure", **resource)
    requests: dict[str, AnyRequest] = {
        "images/generations": ImageRequest("A cat"), "images/edits": ImageRequest("A cat", images=(PNG,)),
        "audio/speech": SpeechRequest("Hello"), "audio/transcriptions": TranscriptionRequest(WAV),
        "audio/translations": TranscriptionRequest(WAV, translate=True),
    }  # fmt: skip
    for path, request in requests.items():
        url = AZURE.encode(request, dated).url
        assert url == f"https://r.openai.azure.com/openai/deployments/mine/{path}?api-version=2024-10-21"
        assert AZURE.encode(request, v1).url == f"https://r.openai.azure.com/openai/v1/{path}"
    assert AZURE.encode(VideoRequest("A cat"), v1).url == "https://r.openai.azure.com/openai/v1/videos"
    for api_version in ("2024-10-21", "2025-04-01-preview"):
        made = LLMClient("azure/sora-2", api_key="sk-CANARY", api_version=api_version, **resource)
        with pytest.raises(
            UnsupportedOperationError, match="azure/sora-2 cannot make videos by a dated API: leave out"
        ):
            made.generate_video("A cat")


def test_both_of_openais_formats_have_the_same_media() -> None:
    for request in (ImageRequest("A cat"), SpeechRequest("Hello"), VideoJobRequest("video_1")):
        assert RESPONSES.encode(request, at("m")) == CODEC.encode(request, at("m"))
