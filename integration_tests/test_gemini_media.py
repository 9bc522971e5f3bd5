"""Media of Gemini by Google's own client and by ours, side by side: what both send and what both read."""

from __future__ import annotations

import asyncio
import base64
import io
import time
import warnings
import wave
from collections.abc import Iterator
from typing import Any

import pytest

from integration_tests.fakes.gemini import KEY, FakeGemini
from integration_tests.fakes.gemini_media import PICTURE, SAMPLES, VIDEO
from integration_tests.support.media import PNG
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig
from unified_llm import exceptions as problems

need("google.genai", install="pip install google-genai")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Python warns of escapes in its texts, once, when it compiles them
    from google import genai
    from google.genai import types

pytestmark = [
    pytest.mark.proves(
        "gemini", "images made", "images edited", "speech", "streamed speech", "videos",
        against="google-genai 3 and a strict fake",
    ),
    pytest.mark.filterwarnings("ignore::UserWarning:google"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:google"),
]  # fmt: skip

IMAGE, OMNI = "gemini-3.1-flash-image", "gemini-omni-1.1-flash"
TTS, OLD_TTS = "gemini-3.8-flash-tts", "gemini-2.5-flash-preview-tts"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGemini]:
    with FakeGemini() as running:
        yield running


@pytest.fixture
def fake(server: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> FakeGemini:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    server.requests.clear()
    server.refused.clear()
    return server


@pytest.fixture
def theirs(fake: FakeGemini) -> Iterator[genai.Client]:
    where = types.HttpOptions(base_url=fake.address, api_version="v1beta")
    with genai.Client(api_key=KEY, http_options=where) as client:
        yield client


def ours(fake: FakeGemini, model: str, **fields: Any) -> LLMClient:
    return LLMClient(LLMConfig(model=f"gemini/{model}", base_url=fake.address, api_key=KEY, max_retries=0, **fields))


def bodies(fake: FakeGemini) -> list[dict[str, Any]]:
    return [received.body for received in fake.requests]


def drawn(answer: types.GenerateContentResponse) -> list[tuple[str | None, bytes | None]]:
    """Return type and data of what a response has besides texts."""
    return [(part.inline_data.mime_type, part.inline_data.data) for part in answer.parts or () if part.inline_data]


def image_config(**fields: Any) -> types.GenerateContentConfig:
    shape = types.ImageConfig(**fields) if fields else None
    return types.GenerateContentConfig(response_modalities=["IMAGE"], image_config=shape)


def test_both_draw_the_same(fake: FakeGemini, theirs: genai.Client) -> None:
    shapes: dict[str | None, dict[str, Any]] = {
        None: {},
        "16:9": {"aspect_ratio": "16:9"},
        "3:2 2k": {"aspect_ratio": "3:2", "image_size": "2K"},
        "1536x1024": {"aspect_ratio": "3:2"},
        "4096x4096": {"aspect_ratio": "1:1", "image_size": "4K"},
    }
    for size, shape in shapes.items():
        fake.requests.clear()
        content = types.Content(role="user", parts=[types.Part(text="A fox")])
        they = theirs.models.generate_content(model=IMAGE, contents=[content], config=image_config(**shape))
        with ours(fake, IMAGE) as client:
            we = client.generate_image("A fox", size=size)
        sent_by_them, sent_by_us = bodies(fake)
        assert sent_by_us == sent_by_them, size
        assert drawn(they) == [("image/png", PICTURE)]
        assert [image.data for image in we.images] == [PICTURE]
        assert (we.format, we.model) == ("png", they.model_version)
        assert we.usage
        assert they.usage_metadata
        assert we.usage.total_tokens == they.usage_metadata.total_token_count


def test_both_edit_the_same(fake: FakeGemini, theirs: genai.Client) -> None:
    parts = [types.Part.from_bytes(data=PNG, mime_type="image/png"), types.Part(text="Add a hat")]
    theirs.models.generate_content(
        model=IMAGE, contents=[types.Content(role="user", parts=parts)], config=image_config()
    )
    with ours(fake, IMAGE) as client:
        assert client.generate_image("Add a hat", images=PNG).data == PICTURE
    sent_by_them, sent_by_us = bodies(fake)
    assert sent_by_us == sent_by_them


def speech_config(voice: str) -> types.GenerateContentConfig:
    chosen = types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name=voice))
    return types.GenerateContentConfig(
        response_modalities=["AUDIO"], speech_config=types.SpeechConfig(voice_config=chosen)
    )


def spoken(model: str) -> types.Content:
    """Return a text with the style in which it is spoken, as a model takes it."""
    if model == OLD_TTS:
        return types.Content(role="user", parts=[types.Part(text="Calmly: Hello")])
    style = types.SpeechMetadata(style="Calmly")
    return types.Content(role="user", parts=[types.Part(text="Hello", speech_metadata=style)])


@pytest.mark.parametrize("model", [TTS, OLD_TTS])
def test_both_say_the_same_aloud(fake: FakeGemini, theirs: genai.Client, model: str) -> None:
    they = theirs.models.generate_content(model=model, contents=[spoken(model)], config=speech_config("Kore"))
    with ours(fake, model) as client:
        we = client.generate_speech("Hello", voice="Kore", instructions="Calmly")
        bare = client.generate_speech("Hello", voice="Kore", instructions="Calmly", format="pcm")
    sent_by_them, *sent_by_us = bodies(fake)
    assert sent_by_us == [sent_by_them] * 2
    samples = b"".join(data or b"" for _, data in drawn(they))
    assert bare.audio == samples == SAMPLES
    assert (bare.format, bare.sample_rate, we.format) == ("pcm", 24_000, "wav")
    with wave.open(io.BytesIO(we.audio)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (24_000, 1, 2)
        assert read.readframes(read.getnframes()) == SAMPLES


def test_both_stream_the_same_recording(fake: FakeGemini, theirs: genai.Client) -> None:
    responses = theirs.models.generate_content_stream(model=TTS, contents=[spoken(TTS)], config=speech_config("Puck"))
    they = b"".join(data or b"" for response in responses for _, data in drawn(response))
    with ours(fake, TTS) as client:
        stream = client.stream_speech("Hello", voice="Puck", instructions="Calmly", format="pcm")
        with stream:
            pieces = list(stream)
        with client.stream_speech("Hello", voice="Puck", instructions="Calmly") as wav:
            assert b"".join(wav)[-len(SAMPLES) :] == SAMPLES
    assert len(pieces) == 2
    assert b"".join(pieces) == they == SAMPLES
    sent_by_them, *sent_by_us = bodies(fake)
    assert sent_by_us == [sent_by_them] * 2
    assert stream.response
    assert stream.response.sample_rate == 24_000


def test_both_make_the_same_video(fake: FakeGemini, theirs: genai.Client) -> None:
    wanted = {"type": "video", "aspect_ratio": "16:9", "duration": "8s", "resolution": "720p"}
    picture = {"type": "image", "mime_type": "image/png", "data": base64.b64encode(PNG).decode()}
    content = [picture, {"type": "text", "text": "A fox runs"}]
    they: Any = theirs.interactions.create(
        model=OMNI, input=[{"type": "user_input", "content": content}], background=True, response_format=wanted
    )
    while they.status == "in_progress":
        time.sleep(0.01)
        they = theirs.interactions.get(they.id)
    with ours(fake, OMNI) as client:
        we = client.generate_video("A fox runs", seconds=8, size="1280x720", image=PNG, poll_interval=0.05)
    made = [received.body for received in fake.requests if received.body]
    assert made[1] == made[0]
    assert len(made) == 2
    assert base64.b64decode(they.steps[-1].content[0].data) == we.data == VIDEO
    assert (we.format, we.model) == ("mp4", they.model)
    assert fake.refused == []


def test_what_may_not_be_made_is_a_matter_of_the_filter(fake: FakeGemini) -> None:
    with ours(fake, IMAGE) as images, ours(fake, OMNI) as videos:
        for call in (
            lambda: images.generate_image("something forbidden"),
            lambda: videos.generate_video("something forbidden", poll_interval=0.05),
        ):
            with pytest.raises(problems.ContentFilterError):
                call()


def test_a_model_for_media_is_asked_for_nothing_else(fake: FakeGemini) -> None:
    with ours(fake, TTS) as speech, pytest.raises(problems.UnsupportedOperationError, match=r"generate_speech\(\)"):
        speech.generate("Hello")
    with ours(fake, OMNI) as videos, pytest.raises(problems.UnsupportedOperationError, match=r"generate_video\(\)"):
        videos.generate_image("A fox")
    assert fake.requests == []


def test_the_asynchronous_methods_send_the_same(fake: FakeGemini) -> None:
    async def call() -> None:
        async with ours(fake, IMAGE) as images, ours(fake, TTS) as speech, ours(fake, OMNI) as videos:
            assert (await images.agenerate_image("A fox")).data == PICTURE
            assert (await speech.agenerate_speech("Hello", format="pcm")).audio == SAMPLES
            async with speech.astream_speech("Hello", format="pcm") as stream:
                assert b"".join([piece async for piece in stream]) == SAMPLES
            assert (await videos.agenerate_video("A fox", poll_interval=0.05)).data == VIDEO

    asyncio.run(call())
    assert fake.refused == []
