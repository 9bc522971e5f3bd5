"""Media in Gemini's format: images, speech, and videos that are interactions."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.gemini_checks import body_of, sse, target
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.gemini import CODEC
from unified_llm._lib.sse import SSESplitter
from unified_llm._lib.wav import samples_of, wav_header
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types import (
    ImageRequest,
    ImageResponse,
    MediaFile,
    SpeechRequest,
    SpeechResponse,
    VideoContentRequest,
    VideoJob,
    VideoJobRequest,
    VideoRequest,
    VideoResponse,
)

PNG = b"\x89PNG\r\n\x1a\n picture"
SAMPLES = bytes(range(200))
IMAGES = target("gemini-3.1-flash-image")
TTS = target("gemini-3.8-flash-tts")
OMNI = target("gemini-omni-1.1-flash")
FOX = ImageRequest("a red fox")
HELLO = SpeechRequest("Hello")
CLIP = VideoRequest("a red fox runs")


def inline(media_type: str, data: bytes, **fields: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode()}, **fields}


def answer(*parts: dict[str, Any], reason: str | None = "STOP") -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": reason} if reason else {})],
        "modelVersion": "gemini-version",
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 7,
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}],
        },
    }


def decoded(request: Any, body: object, where: Any) -> Any:
    outcome = CODEC.decode(request, where, body)
    return outcome.value if isinstance(outcome, Done) else outcome


def streamed(request: SpeechRequest, events: list[Any]) -> list[Any]:
    splitter, decoder = SSESplitter(), CODEC.media_decoder(replace(request, stream=True), TTS)
    out: list[Any] = []
    for event in [*splitter.feed(sse(events)), *splitter.close()]:
        out.extend(decoder.feed(event))
    if not out or not isinstance(out[-1], Failure):
        out.append(decoder.finish())
    return out


class TestImages:
    def test_a_prompt_asks_for_an_image_alone(self) -> None:
        wire = CODEC.encode(FOX, IMAGES)
        assert wire.method == "POST"
        assert wire.url.endswith("/v1beta/models/gemini-3.1-flash-image:generateContent")
        assert json.loads(wire.body) == {
            "contents": [{"role": "user", "parts": [{"text": "a red fox"}]}],
            "generationConfig": {"responseModalities": ["IMAGE"]},
        }

    def test_images_to_edit_come_before_the_prompt(self) -> None:
        files = (MediaFile(PNG, "a.png", "image/png"), MediaFile(b"jpeg", "b.jpg", "image/jpg"))
        parts = body_of(replace(FOX, images=files), IMAGES)["contents"][0]["parts"]
        assert [part.get("inlineData", {}).get("mimeType") for part in parts] == ["image/png", "image/jpeg", None]
        assert parts[-1] == {"text": "a red fox"}

    def test_a_size_is_a_ratio_a_resolution_or_both(self) -> None:
        cases: dict[str, Any] = {
            "1024x1024": {"aspectRatio": "1:1"},
            "1536x1024": {"aspectRatio": "3:2"},
            "1792x1024": {"aspectRatio": "16:9"},
            "1024X1792": {"aspectRatio": "9:16"},
            "2048x2048": {"aspectRatio": "1:1", "imageSize": "2K"},
            "4096x2304": {"aspectRatio": "16:9", "imageSize": "4K"},
            "16:9": {"aspectRatio": "16:9"},
            "8:1": {"aspectRatio": "8:1"},
            "2k": {"imageSize": "2K"},
            "512": {"imageSize": "512"},
            "9:16 4K": {"aspectRatio": "9:16", "imageSize": "4K"},
            "auto": None,
            "": None,
        }
        for size, config in cases.items():
            assert body_of(replace(FOX, size=size), IMAGES)["generationConfig"].get("imageConfig") == config

    def test_fields_of_the_api_go_into_its_settings(self) -> None:
        extra = {"image_config": {"image_size": "1K"}, "safety_settings": []}
        body = body_of(replace(FOX, size="16:9", extra_body=extra), IMAGES)
        assert body["generationConfig"]["responseModalities"] == ["IMAGE"]
        assert body["generationConfig"]["imageConfig"] == {"image_size": "1K"}
        assert body["safety_settings"] == []

    def test_what_it_cannot_do_is_refused_before_the_request(self) -> None:
        mask = MediaFile(PNG)
        for request, words in ((replace(FOX, images=(mask,), mask=mask), "mask"), (replace(FOX, n=2), "one image")):
            with pytest.raises(UnsupportedOperationError, match=words):
                CODEC.encode(request, IMAGES)
        CODEC.encode(replace(FOX, n=1, quality="high", background="opaque", format="png"), IMAGES)

    def test_all_images_of_an_answer_are_read_but_drafts(self) -> None:
        body = answer(
            {"text": "Here it is."}, inline("image/png", b"draft", thought=True), inline("image/png", PNG),
            inline("image/webp", b"other"),
        )  # fmt: skip
        read = decoded(FOX, body, IMAGES)
        assert isinstance(read, ImageResponse)
        assert [(image.data, image.format) for image in read.images] == [(PNG, "png"), (b"other", "webp")]
        assert (read.model, read.format) == ("gemini-version", "png")
        assert read.usage is not None
        assert read.usage.completion_tokens == 7

    def test_an_answer_without_an_image_says_why(self) -> None:
        text = {"text": "I cannot draw that."}
        cases: list[tuple[Any, str, str | None]] = [
            (answer(text), "empty", None),
            (answer(text, reason="NO_IMAGE"), "empty", None),
            (answer(reason="IMAGE_SAFETY"), "filter", "IMAGE_SAFETY"),
            (answer(reason="IMAGE_PROHIBITED_CONTENT"), "filter", "IMAGE_PROHIBITED_CONTENT"),
            (answer(reason="IMAGE_OTHER"), "empty", None),
            ({"promptFeedback": {"blockReason": "SAFETY"}}, "filter", "SAFETY"),
            ({"candidates": []}, "empty", None),
            (answer({"inlineData": {"mimeType": "image/png", "data": "?"}}), "empty", None),
            ({"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}, "rate_limit", None),
            ([], "malformed", None),
        ]
        for body, kind, code in cases:
            failure = decoded(FOX, body, IMAGES)
            assert isinstance(failure, Failure)
            assert failure.kind == kind
            assert code in {None, failure.code}


class TestSpeech:
    def test_a_text_is_read_by_a_voice(self) -> None:
        wire = CODEC.encode(replace(HELLO, voice="Kore"), TTS)
        assert wire.url.endswith("/models/gemini-3.8-flash-tts:generateContent")
        assert json.loads(wire.body) == {
            "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
            "generationConfig": {
                "responseModalities": ["AUDIO"],
                "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
            },
        }
        streamed_wire = CODEC.encode(replace(HELLO, stream=True), TTS)
        assert streamed_wire.url.endswith(":streamGenerateContent?alt=sse")

    def test_instructions_are_the_style_and_for_older_models_the_beginning_of_the_text(self) -> None:
        request = replace(HELLO, instructions="Cheerfully")
        style = {"text": "Hello", "speechMetadata": {"style": "Cheerfully"}}
        cases = {
            "gemini-3.8-flash-lite-tts": style,
            "models/gemini-4-flash-tts": style,
            "gemini-flash-latest": style,
            "gemini-3.1-flash-tts-preview": {"text": "Cheerfully: Hello"},
            "gemini-2.5-pro-preview-tts": {"text": "Cheerfully: Hello"},
        }
        for model, part in cases.items():
            assert body_of(request, target(model))["contents"][0]["parts"] == [part]

    def test_other_formats_than_wav_and_samples_are_refused(self) -> None:
        for name in ["mp3", "opus", "flac", "aac"]:
            with pytest.raises(UnsupportedOperationError, match="wav or pcm"):
                CODEC.encode(replace(HELLO, format=name), TTS)

    def test_samples_become_a_file_unless_they_are_wanted(self) -> None:
        file = wav_header(24_000, len(SAMPLES)) + SAMPLES
        parts = {
            "audio/L16;codec=pcm;rate=24000": SAMPLES,
            "audio/pcm": SAMPLES,
            "audio/wav": file,
        }
        for media_type, data in parts.items():
            for wanted, audio in ((None, file), ("wav", file), ("pcm", SAMPLES)):
                request = replace(HELLO, format=wanted)
                read = decoded(request, answer(inline(media_type, data)), TTS)
                assert isinstance(read, SpeechResponse)
                assert (read.audio, read.format, read.sample_rate) == (audio, wanted or "wav", 24_000)
                assert read.usage is not None
                assert read.usage.audio_output_tokens == 7

    def test_the_rate_is_that_of_the_answer(self) -> None:
        read = decoded(HELLO, answer(inline("audio/L16;rate=16000", SAMPLES)), TTS)
        assert samples_of(read.audio) == (SAMPLES, 16_000)
        assert read.sample_rate == 16_000

    def test_an_answer_without_a_recording_says_why(self) -> None:
        cases = [(answer({"text": "Hello!"}), "empty"), (answer(reason="SAFETY"), "filter"), (answer(), "empty")]
        for body, kind in cases:
            failure = decoded(HELLO, body, TTS)
            assert isinstance(failure, Failure)
            assert failure.kind == kind

    def test_a_stream_passes_samples_on_as_they_come_after_one_header(self) -> None:
        first, second = SAMPLES[:60], SAMPLES[60:]
        events = [
            answer(inline("audio/L16;rate=24000", first), reason=None),
            answer(inline("audio/L16;rate=24000", second)),
        ]
        *chunks, end = streamed(replace(HELLO, format="pcm"), events)
        assert chunks == [first, second]
        assert isinstance(end, Done)
        assert end.value.audio == b""
        assert (end.value.format, end.value.sample_rate, end.value.model) == ("pcm", 24_000, "gemini-version")
        *chunks, end = streamed(HELLO, events)
        assert b"".join(chunks) == wav_header(24_000) + SAMPLES
        assert samples_of(b"".join(chunks)) == (SAMPLES, 24_000)

    def test_a_stream_is_complete_only_with_its_reason(self) -> None:
        part = answer(inline("audio/L16", SAMPLES), reason=None)
        error = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}
        cases: list[tuple[list[Any], str]] = [
            ([part], "truncated"),
            ([], "empty"),
            ([part, error], "server"),
            ([answer(reason="SAFETY")], "filter"),
            ([{"promptFeedback": {"blockReason": "SAFETY"}}], "filter"),
            ([[]], "malformed"),
        ]
        for events, kind in cases:
            end = streamed(HELLO, events)[-1]
            assert isinstance(end, Failure)
            assert end.kind == kind


def interaction(status: str, *content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "a red fox runs"}]},
        {"type": "model_output", "content": list(content)},
    ]
    return {"id": "v1_abc", "status": status, "model": "gemini-omni-1.1-flash", "steps": steps, **fields}


VIDEO = {"type": "video", "mime_type": "video/mp4", "data": base64.b64encode(b"mp4").decode()}


class TestVideos:
    def test_a_job_is_an_interaction_in_the_background(self) -> None:
        wire = CODEC.encode(CLIP, replace(OMNI, model="models/gemini-omni-1.1-flash"))
        assert (wire.method, wire.url) == ("POST", "https://generativelanguage.googleapis.com/v1beta/interactions")
        assert json.loads(wire.body) == {
            "model": "gemini-omni-1.1-flash",
            "input": [{"type": "user_input", "content": [{"type": "text", "text": "a red fox runs"}]}],
            "background": True,
            "response_format": {"type": "video"},
        }

    def test_the_first_picture_comes_before_the_prompt(self) -> None:
        request = replace(CLIP, image=MediaFile(PNG, "a.png", "image/png"))
        image, text = body_of(request, OMNI)["input"][0]["content"]
        assert image == {"type": "image", "mime_type": "image/png", "data": base64.b64encode(PNG).decode()}
        assert text["type"] == "text"

    def test_a_size_is_a_ratio_and_a_resolution(self) -> None:
        cases: dict[str, dict[str, str]] = {
            "1280x720": {"aspect_ratio": "16:9", "resolution": "720p"},
            "720x1280": {"aspect_ratio": "9:16", "resolution": "720p"},
            "1792x1024": {"aspect_ratio": "16:9", "resolution": "1080p"},
            "3840x2160": {"aspect_ratio": "16:9", "resolution": "4k"},
            "640x360": {"aspect_ratio": "16:9", "resolution": "360p"},
            "9:16": {"aspect_ratio": "9:16"},
            "16:9_1080p": {"aspect_ratio": "16:9", "resolution": "1080p"},
            "4K": {"resolution": "4k"},
            "auto": {},
        }
        for size, fields in cases.items():
            written = body_of(replace(CLIP, size=size, seconds=8), OMNI)["response_format"]
            assert written == {"type": "video", "duration": "8s", **fields}

    def test_fields_of_the_api_are_merged_into_ours(self) -> None:
        extra = {"response_format": {"delivery": "inline"}, "generation_config": {"seed": 7}}
        body = body_of(replace(CLIP, seconds=5, extra_body=extra), OMNI)
        assert body["response_format"] == {"type": "video", "duration": "5s", "delivery": "inline"}
        assert body["generation_config"] == {"seed": 7}

    def test_a_job_is_looked_at_and_fetched_by_its_identifier(self) -> None:
        requests: tuple[VideoJobRequest | VideoContentRequest, ...] = (
            VideoJobRequest("v1_a b/c"),
            VideoContentRequest("v1_a b/c"),
        )
        for request in requests:
            wire = CODEC.encode(request, OMNI)
            assert (wire.method, wire.body) == ("GET", b"")
            assert wire.url.endswith("/v1beta/interactions/v1_a%20b%2Fc")
        with pytest.raises(UnsupportedOperationError, match="thumbnail"):
            CODEC.encode(VideoContentRequest("v1", variant="thumbnail"), OMNI)

    def test_each_status_has_its_meaning(self) -> None:
        cases: list[tuple[dict[str, Any], str, str | None, bool]] = [
            (interaction("queued"), "queued", None, False),
            (interaction("in_progress"), "in_progress", None, False),
            (interaction("requires_continuation"), "in_progress", None, False),
            (interaction("completed", VIDEO), "completed", None, False),
            (interaction("completed"), "failed", "no_video", False),
            (interaction("completed", {"type": "text", "text": "No."}), "failed", "no_video", False),
            (interaction("failed"), "failed", "failed", False),
            (interaction("budget_exceeded"), "failed", "budget_exceeded", False),
            (interaction("a_new_word"), "failed", "a_new_word", False),
            (
                interaction("failed", errors=[{"code": "https://e.test/errors/internal", "message": "Oops"}]),
                "failed", "internal", False,
            ),
            (interaction("failed", errors=[{"code": "SAFETY", "message": "No."}]), "failed", "SAFETY", True),
            (
                interaction("failed", errors=[{"message": "The prompt was blocked by the content policy."}]),
                "failed", "failed", True,
            ),
        ]  # fmt: skip
        for body, status, error, blocked in cases:
            for request in (CLIP, VideoJobRequest("v1_abc")):
                job = decoded(request, body, OMNI)
                assert isinstance(job, VideoJob)
                assert (job.id, job.status, job.error, job.blocked) == ("v1_abc", status, error, blocked)

    def test_a_video_that_is_elsewhere_is_a_failure_that_says_so(self) -> None:
        body = interaction("completed", {"type": "video", "uri": "https://e.test/video"})
        failure = CODEC.decode(VideoContentRequest("v1_abc"), OMNI, body)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.reason) == (
            "empty",
            "it returned the address of the video, which is not fetched, and not the video",
        )

    def test_an_error_of_the_step_that_should_have_the_video_ends_the_job(self) -> None:
        step = {
            "type": "model_output",
            "error": {"code": 8, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"},
        }
        job = decoded(CLIP, {"id": "v1_abc", "status": "completed", "steps": [step]}, OMNI)
        assert (job.status, job.error) == ("failed", "RESOURCE_EXHAUSTED")

    def test_the_video_is_in_the_last_step(self) -> None:
        request = VideoContentRequest("v1_abc")
        older = {**VIDEO, "data": base64.b64encode(b"old").decode()}
        read = decoded(request, interaction("completed", older, VIDEO), OMNI)
        assert isinstance(read, VideoResponse)
        assert (read.data, read.format, read.job) == (b"mp4", "mp4", "v1_abc")

    def test_what_is_no_interaction_is_a_failure(self) -> None:
        cases: list[tuple[Any, str]] = [
            ({}, "malformed"),
            ([], "malformed"),
            ({"error": {"code": 404, "message": "Not found", "status": "NOT_FOUND"}}, "not_found"),
        ]
        for body, kind in cases:
            failure = decoded(CLIP, body, OMNI)
            assert isinstance(failure, Failure)
            assert failure.kind == kind
        assert decoded(VideoContentRequest("v1"), interaction("completed"), OMNI) == Failure("empty")
