"""Images, speech, transcriptions and videos: over the same policy as chats, sync and async."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import Pause, ScriptedTargets, Step, say
from unified_llm import LLMClient, register_provider, reset_health
from unified_llm._core.outcome import Done, Failure
from unified_llm._providers import registry
from unified_llm.exceptions import (
    StreamInterruptedError,
    TimeoutError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.testing import outage
from unified_llm.types import AudioPart, ImageChunk, ImageResponse

PNG, WAV = b"\x89PNG\r\n\x1a\n" + bytes(16), b"RIFF\x24\x00\x00\x00WAVEfmt "
KEY = "sk-CANARY-media"
IMAGE, SMALL = "openai/gpt-image-2", "openai/gpt-image-1-mini"
SORA, PRO = "openai/sora-2", "openai/sora-2-pro"
DEAD, BUSY = Failure("server", 503), Failure("rate_limit", 429)
ANSWER = say("")  # which the scripted targets replace by made-up media


def client(*models: str, **fields: Any) -> LLMClient:
    return LLMClient(models[0], fallbacks=models[1:], api_key=KEY, **fields)


def drain(stream: Any) -> Any:
    """Read a stream to its end, and return its response."""
    with stream:
        assert list(stream)
        return stream.response


async def adrain(stream: Any) -> Any:
    async with stream:
        assert [chunk async for chunk in stream]
        return stream.response


Call = Callable[[Any], Any]
IMAGE_CALLS: list[Call] = [
    lambda made: made.generate_image("A cat"),
    lambda made: asyncio.run(made.agenerate_image("A cat")),
    lambda made: drain(made.stream_image("A cat")),
    lambda made: asyncio.run(adrain(made.astream_image("A cat"))),
]
SPEECH_CALLS: list[Call] = [
    lambda made: made.generate_speech("Hello"),
    lambda made: asyncio.run(made.agenerate_speech("Hello")),
    lambda made: drain(made.stream_speech("Hello")),
    lambda made: asyncio.run(adrain(made.astream_speech("Hello"))),
]
TRANSCRIPTION_CALLS: list[Call] = [
    lambda made: made.transcribe(WAV),
    lambda made: asyncio.run(made.atranscribe(WAV)),
    lambda made: drain(made.stream_transcription(WAV)),
    lambda made: asyncio.run(adrain(made.astream_transcription(WAV))),
]
VIDEO_CALLS: list[Call] = [
    lambda made: made.generate_video("A cat"),
    lambda made: asyncio.run(made.agenerate_video("A cat")),
]
KINDS: dict[str, tuple[str, str, list[Call]]] = {
    "image": (IMAGE, SMALL, IMAGE_CALLS),
    "speech": ("openai/gpt-4o-mini-tts", "openai/tts-1", SPEECH_CALLS),
    "transcription": ("openai/gpt-4o-transcribe", "openai/gpt-transcribe", TRANSCRIPTION_CALLS),
    "video": (SORA, PRO, VIDEO_CALLS),
}


@each("kind", KINDS)
def test_media_fail_over_and_say_what_served_them(kind: str) -> None:
    first, second, calls = KINDS[kind]
    for call in calls:
        reset_health()
        targets = ScriptedTargets({first: [DEAD], second: [ANSWER]})
        with targets.running():
            response = call(client(first, second))
        assert targets.names[:3] == [first, first, second], "one retry, then the fallback"
        assert (response.provider, response.model) == tuple(second.split("/"))
        assert response.used_fallback
        assert [attempt.outcome for attempt in response.attempts[:3]] == ["server", "server", "ok"]
        assert targets.open == 0


@each("kind", KINDS)
def test_in_an_outage_media_are_made_up_by_the_others(kind: str) -> None:
    first, second, calls = KINDS[kind]
    for call in calls:
        with outage(first, "503", reply="-") as seen:
            assert call(client(first, second)).model == second.partition("/")[2]
        assert first in seen.asked


def test_the_response_has_what_the_provider_sent() -> None:
    with outage("groq", reply="-", allow_unused=True):
        image = client(IMAGE).generate_image("A cat", n=2, size="1024x1024")
        speech = client("openai/tts-1").generate_speech("Hello")
        text = client("openai/whisper-1").transcribe(WAV, language="de")
        video = client(SORA).generate_video("A cat", seconds=4, size="1280x720")
    assert (len(image.images), image.size, image.format, image.url) == (2, "1024x1024", "png", None)
    assert (image.data or b"").startswith(b"\x89PNG")
    assert speech.audio.startswith(b"RIFF")
    assert (str(text), text.language) == ("This text is made up.", "de")
    assert video.data[4:8] == b"ftyp"
    assert [attempt.outcome for attempt in video.attempts] == ["ok"] * 3


@each(
    ("model", "call", "hint"),
    [
        ("gpt-4o", lambda made: made.generate_image("x"), "is for chat: use generate()"),
        ("gpt-audio", lambda made: made.generate_speech("x"), "is for chat: use generate()"),
        ("gpt-image-2", lambda made: made.generate("x"), "use generate_image()"),
        ("tts-1", lambda made: made.transcribe(WAV), "use generate_speech()"),
        ("whisper-1", lambda made: made.generate_speech("x"), "use transcribe()"),
        ("sora-2", lambda made: made.embed("x"), "use generate_video()"),
        ("gpt-image-2", lambda made: made.generate_video("x"), "use generate_image()"),
        ("text-embedding-3-small", lambda made: made.stream_image("x"), "use embed()"),
        ("dall-e-3", lambda made: made.generate_image("x", images=PNG), "cannot edit images"),
        ("whisper-1", lambda made: made.stream_transcription(WAV), "cannot stream a transcription"),
        ("gpt-transcribe", lambda made: made.transcribe(WAV, translate=True), "cannot translate recordings"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_any_request(model: str, call: Call, hint: str) -> None:
    targets = ScriptedTargets({})
    with targets.running(), pytest.raises(UnsupportedOperationError) as error:
        call(client(f"openai/{model}"))
    assert hint in str(error.value)
    assert targets.asked == []


def test_a_provider_without_the_feature_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"cannot make images \(which openai, azure.* can\)"):
        client("anthropic/claude-haiku-4-5").generate_image("x")


WRONG: list[tuple[Call, str]] = [
    (lambda made: made.generate_image(""), "needs a prompt; it is empty"),
    (lambda made: made.generate_image(3), "needs a string as prompt; got int"),
    (lambda made: made.generate_image("x", n=0), "n must be a whole number, 1 or greater"),
    (lambda made: made.generate_image("x", size=1024), "size is a string; got int"),
    (lambda made: made.generate_image("x", output_format="png"), "did you mean 'format'"),
    (lambda made: made.generate_image("x", sise="1x1"), "did you mean 'size'"),
    (lambda made: made.generate_image("x", stream=True), "call stream_image()"),
    (lambda made: made.generate_image("x", hedge_after=1.0), "only chats"),
    (lambda made: made.generate_image("x", mask=PNG), "pass the image as images="),
    (lambda made: made.generate_image("x", images="https://x.example/a.png"), "images takes no URL"),
    (lambda made: made.generate_image("x", images="missing.png"), "directory): pass a path, bytes, or a data: URL."),
    (lambda made: made.generate_image("x", images="file:///a.png"), "(a file: URL is no path)"),
    (lambda made: made.generate_image("x", images=""), "(the path is empty"),
    (lambda made: made.generate_image("x", images=[memoryview(PNG)]), "(memoryview is no path)"),
    (lambda made: made.generate_image("x", images={"url": "a"}), "(dict is no path)"),
    (lambda made: made.generate_image("x", size=" "), "size is empty: leave it out"),
    (lambda made: made.generate_image("x", style="vivid"), "'style': fields that only some providers know go"),
    (lambda made: made.transcribe(WAV, language=""), "language is empty: leave it out"),
    (lambda made: asyncio.run(made.agenerate_image("x", mask="missing.png", images=PNG)), "'missing.png' cannot be"),
    (lambda made: asyncio.run(made.atranscribe("missing.wav")), "'missing.wav' cannot be read"),
    (lambda made: made.stream_image("x", partial_images=4), "partial_images is 0 to 3"),
    (lambda made: made.generate_speech("x", speed=0), "speed must be a number above 0"),
    (lambda made: made.generate_speech("x", response_format="mp3"), "did you mean 'format'"),
    (lambda made: made.generate_speech("x", extra_body=3), "extra_body is a mapping"),
    (lambda made: made.transcribe("https://x.example/a.mp3"), "download it"),
    (lambda made: made.transcribe(b"?"), "neither WAV"),
    (lambda made: made.transcribe(WAV, timestamps="line"), 'timestamps is "word", "segment"'),
    (lambda made: made.transcribe(WAV, translate="yes"), "translate must be True or False"),
    (lambda made: made.generate_video("x", seconds="4"), "seconds must be a whole number"),
    (lambda made: made.generate_video("x", poll_interval="soon"), "poll_interval must be a number of seconds"),
    (lambda made: made.generate_video("x", poll_interval=True), "poll_interval must be a number of seconds"),
    (lambda made: made.generate_video("x", poll_interval=0), "poll_interval must be greater than 0 seconds"),
    (lambda made: made.generate_speech("x", prompt="x"), "did you mean 'text'"),
    (lambda made: made.generate_video("x", deadline="soon"), "deadline"),
]


@each(("call", "message"), WRONG)
def test_a_mistake_is_one_clear_error(call: Call, message: str) -> None:
    targets = ScriptedTargets({})
    with targets.running(), pytest.raises(ValidationError) as error:
        call(client(IMAGE))
    assert message in str(error.value)
    assert targets.asked == []


def test_files_are_sent_with_a_name_that_says_their_format(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(WAV)
    targets = ScriptedTargets({"openai/whisper-1": [ANSWER], IMAGE: [ANSWER]})
    with targets.running(), path.open("rb") as file:
        for source in (path, str(path), WAV, file, AudioPart(WAV, "wav")):
            client("openai/whisper-1").transcribe(source)
        client(IMAGE).generate_image("x", images=(image for image in (PNG, PNG)), mask=PNG)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    files = [request.audio for _, request in targets.asked[:5]]
    assert {(each.data, each.filename, each.media_type) for each in files} == {(WAV, "audio.wav", "audio/x-wav")}
    edit = targets.asked[5][1]
    assert [each.filename for each in (*edit.images, edit.mask)] == ["image.png", "image1.png", "image.png"]


def test_async_calls_read_files_beside_the_event_loop(tmp_path: Path) -> None:
    talk, picture = tmp_path / "talk.wav", tmp_path / "cat.png"
    talk.write_bytes(WAV)
    picture.write_bytes(PNG)
    targets = ScriptedTargets({"openai/whisper-1": [ANSWER], IMAGE: [ANSWER], SORA: [ANSWER]})
    threads: list[threading.Thread] = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.append(threading.current_thread())
            return super().read(size)

    async def run() -> None:
        made = client(IMAGE)
        await made.atranscribe(File(WAV), model="openai/whisper-1")
        await made.agenerate_image("x", images=[picture, File(PNG)], mask=str(picture))
        await made.agenerate_video("x", image=File(PNG), model=SORA)

    with targets.running():
        asyncio.run(run())
    assert threads
    assert threading.main_thread() not in threads
    assert [request.audio.data for _, request in targets.asked[:1]] == [WAV]
    assert [len(request.images) for _, request in targets.asked[1:2]] == [2]


def test_a_format_is_the_same_in_capital_letters() -> None:
    targets = ScriptedTargets({IMAGE: [ANSWER], "openai/whisper-1": [ANSWER]})
    with targets.running():
        client(IMAGE).generate_image("x", format="PNG")
        client("openai/whisper-1").transcribe(WAV, format="SRT")
    assert [request.format for _, request in targets.asked] == ["png", "srt"]


def test_a_fallback_of_another_api_chooses_its_own_quality_and_size_in_words() -> None:
    other, same = "openai-compatible/flux", "openai-compatible/gpt-image-2"
    asked: dict[str, Any] = {"size": "auto", "quality": "high", "n": 2, "extra_body": {"moderation": "low"}}
    for fallback, left_out in ((other, {"size", "quality", "moderation"}), (same, {"moderation"}), (SMALL, set())):
        reset_health()
        targets = ScriptedTargets({IMAGE: [DEAD], fallback: [ANSWER]})
        at = {"base_url": "https://x.example/v1", "api_key": KEY} if "compatible" in fallback else {}
        with targets.running():
            response = LLMClient(IMAGE, api_key=KEY, fallbacks=[{"model": fallback, **at}]).generate_image(
                "A cat", **asked
            )
        sent: Any = targets.asked[-1][1]
        assert {*response.attempts[-1].adjusted} == left_out
        assert sent.n == 2
        assert (sent.size is None, sent.extra_body) == ("size" in left_out, {} if left_out else asked["extra_body"])


def test_a_size_in_pixels_and_a_voice_at_another_api() -> None:
    targets = ScriptedTargets({IMAGE: [DEAD], "gemini/gemini-3.1-flash-image": [ANSWER]})
    with targets.running():
        made = LLMClient(IMAGE, api_key=KEY, fallbacks=[{"model": "gemini/gemini-3.1-flash-image", "api_key": KEY}])
        response = made.generate_image("A cat", size="1536x1024")
    assert (targets.asked[-1][1].size, response.attempts[-1].adjusted) == ("1536x1024", {})
    targets = ScriptedTargets({"openai/tts-1": [DEAD], "groq/playai-tts": [ANSWER]})
    with targets.running():
        fallback = {"model": "groq/playai-tts", "api_key": KEY}
        speech = LLMClient("openai/tts-1", api_key=KEY, fallbacks=[fallback]).generate_speech("Hello", voice="coral")
    assert (targets.asked[-1][1].voice, speech.attempts[-1].adjusted) == (None, {"voice": ["...", None]})


def test_a_fallback_is_not_sent_what_its_model_does_not_take() -> None:
    targets = ScriptedTargets({"openai/gpt-4o-mini-tts": [DEAD], "openai/tts-1": [ANSWER]})
    with targets.running():
        made = client("openai/gpt-4o-mini-tts", "openai/tts-1")
        response = made.generate_speech("Hello", instructions="Whisper.", voice="coral")
    assert response.attempts[-1].adjusted == {"instructions": ["...", None]}
    assert (targets.asked[-1][1].instructions, targets.asked[-1][1].voice) == (None, "coral")


def test_a_stream_of_media_that_breaks_is_not_begun_again() -> None:
    chunk = ImageChunk(PNG, format="png")
    targets = ScriptedTargets({IMAGE: [[chunk, Failure("connection")]], SMALL: [ANSWER]})
    with targets.running():
        stream = client(IMAGE, SMALL).stream_image("A cat", partial_images=1)
        assert next(stream) is chunk
        with pytest.raises(StreamInterruptedError):
            next(stream)
        assert stream.response is None
        with pytest.raises(ValidationError, match="already read"):
            iter(stream)
    assert targets.names == [IMAGE]


def test_an_image_may_take_two_minutes() -> None:
    slow: list[Step] = [Pause(110.0), Done(ImageResponse())]
    targets = ScriptedTargets({IMAGE: [slow], SMALL: [ANSWER]})
    with targets.running():
        assert client(IMAGE, SMALL).generate_image("A cat").model == "gpt-image-2"
        with pytest.raises(TimeoutError):
            client(IMAGE).generate_image("A cat", timeout=5, max_retries=0)


def test_a_stream_of_media_in_code_of_the_other_kind_says_what_to_write() -> None:
    made: Any = client(IMAGE)
    with pytest.raises(TypeError, match=r"stream_image\(\) is for sync code.*`async for chunk in client.astream_image"):
        made.stream_image("x").__aiter__()
    with pytest.raises(TypeError, match=r"astream_speech\(\) is for async code.*`for chunk in client.stream_speech"):
        iter(made.astream_speech("x", model="openai/tts-1"))


class Painter:
    """A provider of the user's own, which chats."""

    def generate(self, request: Any) -> str:
        return f"Hello, {len(request.messages)}"


def test_objects_that_chat_make_no_media() -> None:
    register_provider("painter", Painter())
    try:
        for model in ("painter/x", "mlx/demo"):
            with pytest.raises(UnsupportedOperationError, match="cannot make images"):
                LLMClient(model).generate_image("x")
    finally:
        registry.unregister("painter")
