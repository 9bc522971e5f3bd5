"""Media through real sockets, against the strict fake of OpenAI's API: not tried against the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.fakes.openai_api.server import KEY, Fault, OpenAIAPI
from integration_tests.support.media import PNG, WAV
from unified_llm import LLMClient
from unified_llm.exceptions import ContentFilterError, StreamInterruptedError

pytestmark = pytest.mark.proves(
    "openai", "images made", "images edited", "streamed images", "speech", "streamed speech",
    "transcriptions", "videos",
    against="a strict fake from the types of its SDK",
)  # fmt: skip


@pytest.fixture(scope="module")
def _server() -> Iterator[OpenAIAPI]:
    with OpenAIAPI() as server:
        yield server


@pytest.fixture
def api(_server: OpenAIAPI) -> Iterator[OpenAIAPI]:
    _server.reset()
    yield _server
    assert _server.violations == []


Make = Callable[..., LLMClient]


@pytest.fixture
def make(api: OpenAIAPI) -> Make:
    def make_client(model: str, *fallbacks: str, prefix: str = "") -> LLMClient:
        others = [{"model": f"openai/{name}", "base_url": api.base_url, "api_key": KEY} for name in fallbacks]
        return LLMClient(f"openai/{model}", base_url=f"{api.address}{prefix}/v1", api_key=KEY, fallbacks=others)

    return make_client


def both(sync: Callable[[], Any], make_async: Callable[[], Any]) -> list[Any]:
    return [sync(), asyncio.run(make_async())]


def drain(stream: Any) -> tuple[list[Any], Any]:
    with stream:
        return list(stream), stream.response


async def adrain(stream: Any) -> tuple[list[Any], Any]:
    async with stream:
        return [chunk async for chunk in stream], stream.response


def test_images(make: Make) -> None:
    client = make("gpt-image-2")
    settings: dict[str, Any] = {"n": 2, "size": "1536x864", "quality": "low", "format": "webp", "background": "opaque"}
    for response in both(
        lambda: client.generate_image("A cat", **settings), lambda: client.agenerate_image("A cat", **settings)
    ):
        assert len(response.images) == 2
        assert response.data == PNG + b"\0"
        assert (response.size, response.quality, response.format) == ("1536x864", "low", "png")
        assert response.usage.total_tokens > 0
        assert response.request_id.startswith("req_")
    for edited in both(
        lambda: client.generate_image("Night", images=[PNG, PNG], mask=PNG),
        lambda: client.agenerate_image("Night", images=PNG),
    ):
        assert edited.data == PNG + b"\0"
    drawn = make("dall-e-3").generate_image("A cat", extra_body={"style": "vivid"})
    assert (drawn.url, drawn.revised_prompt) == ("https://images.example.org/0.png", "A picture: A cat")


def test_streamed_images(make: Make) -> None:
    client = make("gpt-image-2")
    for chunks, response in both(
        lambda: drain(client.stream_image("A cat", partial_images=2)),
        lambda: adrain(client.astream_image("A cat", partial_images=2)),
    ):
        assert [(chunk.index, chunk.complete) for chunk in chunks] == [(0, False), (1, False), (0, True)]
        assert response.data == chunks[-1].data == PNG + b"\x09"
    edited, _ = drain(client.stream_image("Night", images=PNG))
    assert [chunk.complete for chunk in edited] == [True]


def test_speech(make: Make) -> None:
    client = make("gpt-4o-mini-tts")
    for response in both(
        lambda: client.generate_speech("Hello", voice="coral", format="wav", instructions="Whisper."),
        lambda: client.agenerate_speech("Hello", voice="coral", format="wav"),
    ):
        assert response.format == "wav"
        assert response.audio.startswith(WAV)
        assert b"coral: Hello" in response.audio


@pytest.mark.parametrize("body", [{}, {"stream_format": "sse"}])
def test_streamed_speech(make: Make, body: dict[str, str]) -> None:
    client = make("gpt-4o-mini-tts")
    for chunks, response in both(
        lambda: drain(client.stream_speech("Hello", format="flac", extra_body=body)),
        lambda: adrain(client.astream_speech("Hello", format="flac", extra_body=body)),
    ):
        assert len(chunks) > 1
        assert b"".join(chunks).startswith(b"fLaC")
        assert (response.audio, response.format, response.model) == (b"", "flac", "gpt-4o-mini-tts")


@pytest.mark.parametrize("form", ["json", "verbose_json", "text", "srt", "vtt"])
def test_transcriptions(make: Make, form: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(WAV)
    client = make("whisper-1")
    for response in both(
        lambda: client.transcribe(path, format=form, language="de"),
        lambda: client.atranscribe(WAV, format=form, temperature=0.5),
    ):
        assert "Guten Tag, Köln." in response.text
        assert (response.duration, len(response.segments)) == ((2.0, 2) if form == "verbose_json" else (None, 0))


def test_further_transcriptions(make: Make) -> None:
    client = make("whisper-1")
    timed = client.transcribe(WAV, timestamps=["word", "segment"], prompt="Köln")
    assert [word.word for word in timed.words][:2] == ["Guten", "Tag,"]
    assert client.transcribe(WAV, translate=True).text == "Good day, Cologne. How are you?"
    spoken = make("gpt-4o-transcribe-diarize").transcribe(WAV, format="diarized_json", prompt="left out")
    assert [segment.speaker for segment in spoken.segments] == ["A", "B"]
    for chunks, response in both(
        lambda: drain(make("gpt-4o-transcribe").stream_transcription(WAV)),
        lambda: adrain(make("gpt-4o-transcribe").astream_transcription(WAV)),
    ):
        assert "".join(map(str, chunks)).strip() == response.text == "Guten Tag, Köln. How are you?"
        assert response.usage.audio_tokens == 20


def test_videos(make: Make) -> None:
    client = make("sora-2")
    for video in both(
        lambda: client.generate_video("A cat", seconds=4, size="1280x720", image=PNG, poll_interval=0.01),
        lambda: client.agenerate_video("A cat", poll_interval=0.01),
    ):
        assert video.data[4:8] == b"ftyp"
        assert (video.seconds, video.model, video.job[:6]) == (4.0, "sora-2", "video_")
    with pytest.raises(ContentFilterError, match="moderation_blocked"):
        client.generate_video("fail", poll_interval=0.01)


def test_media_fail_over(make: Make) -> None:
    down = "/status/503"
    image = make("gpt-image-2", "gpt-image-1-mini", prefix=down).generate_image("A cat", size="1024x1024")
    assert (image.model, image.used_fallback) == ("gpt-image-1-mini", True)
    speech = make("gpt-4o-mini-tts", "tts-1", prefix=down).generate_speech("Hello", instructions="Whisper.")
    assert speech.attempts[-1].adjusted == {"instructions": ["...", None]}
    _, response = drain(make("gpt-image-2", "gpt-image-1-mini", prefix=down).stream_image("A cat"))
    assert response.model == "gpt-image-1-mini"
    assert make("sora-2", "sora-2-pro", prefix=down).generate_video("A cat", poll_interval=0.01).model == "sora-2-pro"


def test_an_image_that_is_cut_off_is_drawn_by_the_next_target_and_a_stream_is_not(api: OpenAIAPI, make: Make) -> None:
    api.faults["/cut"] = Fault(cut_after=200)
    assert make("gpt-image-2", "gpt-image-1-mini", prefix="/cut").generate_image("A cat").model == "gpt-image-1-mini"
    with pytest.raises(StreamInterruptedError):
        drain(make("gpt-4o-mini-tts", "tts-1", prefix="/cut").stream_speech("Hello " * 50))


def test_media_at_azures_addresses(api: OpenAIAPI) -> None:
    def azure(deployment: str) -> LLMClient:
        return LLMClient(f"azure/{deployment}", base_url=api.address, api_key=KEY, api_version="2025-04-01-preview")

    assert azure("gpt-image-2").generate_image("A cat").data == PNG + b"\0"
    assert azure("gpt-image-2").generate_image("Night", images=PNG).data == PNG + b"\0"
    assert azure("tts-1").generate_speech("Hello", format="flac").audio.startswith(b"fLaC")
    assert "Köln" in azure("whisper-1").transcribe(WAV).text
