"""Images, audio and videos of a client in OpenAI's shape."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets
from tests.support.sent_requests import SentRequests
from unified_llm import exceptions
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.openai_style import AsyncOpenAI, OpenAI
from unified_llm.types.media import (
    Image,
    ImageChunk,
    ImageResponse,
    SpeechResponse,
    Transcription,
    TranscriptionChunk,
    TranscriptionSegment,
    TranscriptionWord,
)
from unified_llm.types.raw import RawChunk, RawResponse
from unified_llm.types.records import Usage

KEY = "sk-test-0123456789"
PNG = b"\x89PNG data"
IMAGES: dict[str, Any] = {"created": 7, "data": [{"b64_json": base64.b64encode(PNG).decode()}], "size": "1024x1024"}
VIDEO = {"id": "video_1", "object": "video", "status": "completed"}
GEMINI = "gemini/gemini-2.5-flash-image"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)


def answering(answer: Any, *failing: str) -> SentRequests:
    """Targets that answer with this body; with events or a response of ours where it is a list."""

    def answer_of(request: Any, target: Target) -> list[Any]:
        return answer if isinstance(answer, list) else [codec_for(target.format).decode(request, target, answer)]

    return SentRequests(*failing, answers=answer_of)


def fields_of(body: str) -> dict[str, list[str]]:
    """Return the fields of a form; of a file its name and type."""
    fields: dict[str, list[str]] = {}
    for part in body.split("\r\nContent-Disposition: form-data; name=")[1:]:
        name = part.split('"')[1]
        head, _, value = part.partition("\r\n\r\n")
        shown = head.replace("\r\nContent-Type: ", " ").partition("filename=")[2] or value.partition("\r\n--")[0]
        fields.setdefault(name, []).append(shown)
    return fields


def results_of(call: Callable[[Any], Any]) -> list[Any]:
    return [call(OpenAI()), asyncio.run(call(AsyncOpenAI()))]


def test_images_are_asked_for_as_by_the_sdk_and_returned_as_they_came() -> None:
    fields = {"model": "gpt-image-1.5", "prompt": "a cat", "n": 2, "output_format": "webp", "user": "u", "size": None}
    with answering(IMAGES).running() as targets:
        results = results_of(lambda client: client.images.generate(**fields))
        plain = OpenAI().images.generate(prompt="a cat", later=1)
    assert [sent.path for sent in targets.sent] == ["/v1/images/generations"] * 3
    assert targets.sent[0].body == targets.sent[1].body == fields
    assert targets.sent[2].body == {"prompt": "a cat", "later": 1}
    for result in [*results, plain]:
        assert result.to_dict() == IMAGES
        assert result.data[0].url is None
        assert result.unified_llm["used_fallback"] is False


def test_images_are_edited_and_varied_by_forms(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    with answering(IMAGES).running() as targets:
        client = OpenAI()
        client.images.edit(model="gpt-image-1.5", image=[path, ("b.png", PNG)], mask=PNG, prompt="a hat", n=1)
        client.images.edit(image=path, prompt="a hat")
        client.images.create_variation(image=path, n=2)
        client.images.edit(model="gpt-image-2.5-flare", image=path, markup=path, prompt="a hat")
    paths = ["/v1/images/edits", "/v1/images/edits", "/v1/images/variations", "/v1/images/edits"]
    assert [sent.path for sent in targets.sent] == paths
    first, second, third, drawn = (fields_of(sent.body) for sent in targets.sent)
    assert drawn["markup"] == drawn["image"] == ['"cat.png" image/png']
    assert first["image[]"] == ['"cat.png" image/png', '"b.png" image/png']
    assert (first["mask"], first["n"], first["prompt"]) == (['"upload" application/octet-stream'], ["1"], ["a hat"])
    assert second == {"image": ['"cat.png" image/png'], "prompt": ["a hat"]}
    assert third == {"image": ['"cat.png" image/png'], "n": ["2"]}


def test_images_of_another_api_have_the_shape_of_openais() -> None:
    made = ImageResponse((Image(data=PNG, format="png"),), format="png", usage=Usage(1, 2, 3), raw={"candidates": []})
    with answering([Done(made)], "openai/gpt-image-1.5").running() as targets:
        client = OpenAI(fallbacks=[GEMINI], max_retries=0)
        result: Any = client.images.generate(model="gpt-image-1.5", prompt="a cat", moderation="low")
    assert [sent.target for sent in targets.sent] == ["openai/gpt-image-1.5", GEMINI]
    assert base64.b64decode(result.data[0].b64_json) == PNG
    assert (result.output_format, result.usage.total_tokens) == ("png", 3)
    assert result.unified_llm["used_fallback"] is True


def test_a_stream_of_images_has_the_events_of_the_provider_or_of_openai() -> None:
    own = {"type": "image_generation.partial_image", "b64_json": "iVBORw==", "partial_image_index": 0, "later": 1}
    chunks = [ImageChunk(b"\x89PNG", raw=own), ImageChunk(PNG, complete=True, format="png"), Done(ImageResponse())]
    with answering(chunks).running():
        stream: Any = OpenAI().images.generate(model="gpt-image-1.5", prompt="a cat", stream=True, partial_images=1)
        events = [*stream]
        edited: Any = OpenAI().images.edit(model="gpt-image-1.5", image=PNG, prompt="a hat", stream=True)
        kinds = [event.type for event in edited]
    assert events[0].to_dict() == own
    assert (events[1].type, base64.b64decode(events[1].b64_json)) == ("image_generation.completed", PNG)
    assert stream.unified_llm["served_by"] == "openai/gpt-image-1.5"
    assert kinds == ["image_generation.partial_image", "image_edit.completed"]
    raw = [RawChunk(json.dumps(own)), Done(RawResponse())]

    async def gather() -> list[Any]:
        return [event async for event in await AsyncOpenAI().images.generate(prompt="a cat", stream=True)]

    with answering(raw).running():
        assert [event.to_dict() for event in asyncio.run(gather())] == [own]


def test_speech_is_bytes_whole_and_as_it_arrives(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "input": "Hello",
        "speed": 1.5,
        "response_format": "wav",
    }
    with answering(b"RIFFdata").running() as targets:
        results = results_of(lambda client: client.audio.speech.create(**fields))
        events = OpenAI().audio.speech.create(**{**fields, "stream_format": "sse"})
        with_own_voice: dict[str, Any] = {**fields, "voice": {"id": "voice_1"}}
        own = OpenAI().audio.speech.create(**with_own_voice)
    assert [sent.body for sent in targets.sent[:2]] == [fields, fields]
    assert targets.sent[2].body == {**fields, "stream_format": "sse"}
    assert targets.sent[3].body["voice"] == {"id": "voice_1"}
    assert {result.content for result in [*results, events, own]} == {b"RIFFdata"}
    with answering([b"RI", b"FFda", b"ta", Done(SpeechResponse())]).running() as targets:
        with OpenAI().audio.speech.with_streaming_response.create(**fields) as response:
            assert [*response.iter_bytes(3)] == [b"RIF", b"Fda", b"ta"]
            assert (response.status_code, response.headers["content-type"]) == (200, "audio/wav")
        with OpenAI().audio.speech.with_streaming_response.create(**fields) as response:
            response.stream_to_file(tmp_path / "a.wav")

        async def write() -> bytes:
            async with AsyncOpenAI().audio.speech.with_streaming_response.create(**fields) as response:
                await response.stream_to_file(tmp_path / "b.wav")
            async with AsyncOpenAI().audio.speech.with_streaming_response.create(**fields) as response:
                return await response.read()

        assert asyncio.run(write()) == b"RIFFdata"
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes() == b"RIFFdata"
    assert targets.sent[0].body == fields


SEGMENTS = (TranscriptionSegment("Hello.", 0.0, 1.5, "A"),)
WHOLE = Transcription("Hello.", "en", 1.5, SEGMENTS, (TranscriptionWord("Hello", 0.0, 1.0),), raw={"parts": []})


@each(
    ("fields", "own", "made", "shown"),
    [
        ({}, {"text": "Hello.", "usage": {"type": "duration", "seconds": 2}}, {"text": "Hello."}, "Transcription"),
        (
            {"response_format": "verbose_json"},
            {"text": "Hello.", "duration": 1.5, "language": "english", "segments": []},
            {
                "duration": 1.5, "language": "en", "text": "Hello.",
                "segments": [{
                    "id": 0, "start": 0.0, "end": 1.5, "text": "Hello.", "speaker": "A",
                    "type": "transcript.text.segment",
                }],
                "words": [{"word": "Hello", "start": 0.0, "end": 1.0}],
            },
            "TranscriptionVerbose",
        ),
        ({"response_format": "srt"}, "1\nHello.\n", "Hello.", "str"),
    ],
)  # fmt: skip
def test_a_transcription_has_the_shape_that_was_asked_for(fields: Any, own: Any, made: Any, shown: str) -> None:
    given = {"model": "whisper-1", "file": ("a.wav", b"RIFF"), "language": "en", **fields}
    for answer, expected in ((own, own), ([Done(WHOLE)], made)):
        with answering(answer).running() as targets:
            results = results_of(lambda client: client.audio.transcriptions.create(**given))
        for result in results:
            assert type(result).__name__ == shown
            assert (result if isinstance(result, str) else result.to_dict()) == expected
        sent = fields_of(targets.sent[0].body)
        assert sent.pop("file") == ['"a.wav" audio/x-wav']
        assert sent == {name: [value] for name, value in given.items() if name != "file"}


def test_a_translation_has_its_own_endpoint() -> None:
    with answering({"text": "Hello."}).running() as targets:
        results = results_of(lambda client: client.audio.translations.create(model="whisper-1", file=b"RIFF"))
    assert [(type(result).__name__, result.text) for result in results] == [("Translation", "Hello.")] * 2
    assert {sent.path for sent in targets.sent} == {"/v1/audio/translations"}


def test_a_stream_of_a_transcription_has_the_events_of_the_provider_or_of_openai() -> None:
    own = {"type": "transcript.text.delta", "delta": "Hel", "later": 1}
    chunks = [TranscriptionChunk("Hel", raw=own), TranscriptionChunk("lo."), Done(Transcription("Hello."))]

    async def gather(**fields: Any) -> list[Any]:
        return [event async for event in await AsyncOpenAI().audio.transcriptions.create(**fields)]

    fields = {"model": "gpt-4o-transcribe", "file": b"RIFF", "stream": True}
    with answering(chunks).running():
        for events in ([*OpenAI().audio.transcriptions.create(**fields)], asyncio.run(gather(**fields))):
            assert events[0].to_dict() == own
            assert (events[1].type, events[1].delta) == ("transcript.text.delta", "lo.")
            assert (events[2].type, events[2].text) == ("transcript.text.done", "Hello.")


def test_videos_are_made_in_jobs_of_one_account() -> None:
    with answering(VIDEO).running() as targets:
        for client in (OpenAI(), AsyncOpenAI()):
            calls: list[Any] = [
                client.videos.create_and_poll(prompt="a cat", model="sora-2", seconds="4", input_reference=PNG),
                client.videos.remix("video_1", prompt="a dog"), client.videos.delete("video_1"),
            ]  # fmt: skip
            made = [call if isinstance(client, OpenAI) else asyncio.run(call) for call in calls]
            assert {video.id for video in made} == {"video_1"}
    paths = [sent.path for sent in targets.sent[:4]]
    assert paths == ["/v1/videos", "/v1/videos/video_1", "/v1/videos/video_1/remix", "/v1/videos/video_1"]
    form = fields_of(targets.sent[0].body)
    assert form.pop("input_reference") == ['"upload" application/octet-stream']
    assert form == {"model": ["sora-2"], "prompt": ["a cat"], "seconds": ["4"]}
    with answering(b"data").running() as targets:
        contents = results_of(lambda client: client.videos.download_content("video_1", variant="thumbnail"))
    assert [content.read() for content in contents] == [b"data"] * 2
    assert targets.sent[0].url.endswith("/videos/video_1/content?variant=thumbnail")


def test_a_video_is_polled_until_it_is_done() -> None:
    states = iter(["queued", "in_progress", "failed"])

    def answers(request: Any, target: Target) -> list[Any]:
        return [codec_for(target.format).decode(request, target, {**VIDEO, "status": next(states)})]

    with SentRequests(answers=answers).running() as targets:
        video = OpenAI().videos.poll("video_1", poll_interval_ms=10)
    assert (video.status, len(targets.sent)) == ("failed", 3)


def test_async_clients_read_files_beside_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.append(threading.current_thread())
            return super().read(size)

    async def run() -> None:
        client = AsyncOpenAI()
        await client.images.edit(model="gpt-image-2", image=[File(PNG)], mask=File(PNG), prompt="a hat")
        await client.images.create_variation(model="dall-e-2", image=File(PNG))
        with pytest.raises(exceptions.ValidationError, match="file cannot be read"):
            await client.audio.transcriptions.create(model="whisper-1", file=File(b""))

    with answering(IMAGES).running() as targets:
        asyncio.run(run())
    assert len(targets.sent) == 2
    assert threads
    assert threading.main_thread() not in threads


def test_a_video_is_asked_for_as_often_as_the_server_wants() -> None:
    cases: list[tuple[str, dict[str, Any], float]] = [
        ("2500", {}, 2.5),
        ("soon", {}, 1.0),
        ("2500", {"poll_interval_ms": 700}, 0.7),
    ]
    polls: list[Callable[[dict[str, Any]], Any]] = [
        lambda given: OpenAI().videos.poll("video_1", **given),
        lambda given: asyncio.run(AsyncOpenAI().videos.poll("video_1", **given)),
    ]
    for header, given, pause in cases:
        for poll in polls:
            pending = Done(RawResponse({**VIDEO, "status": "queued"}), headers={"openai-poll-after-ms": header})
            targets = ScriptedTargets({"openai": [[pending], [Done(RawResponse(VIDEO))]]})
            with targets.running():
                assert poll(given).status == "completed"
            assert targets.slept == pytest.approx([pause])


def test_what_a_target_cannot_make_is_refused_before_any_request() -> None:
    question = [{"role": "user", "content": "Hi"}]
    calls: list[tuple[Callable[[Any], Any], str]] = [
        (lambda client: client.images.generate(model="anthropic/claude-haiku-4-5", prompt="a cat"), "which openai"),
        (lambda client: client.images.generate(model="gpt-5-mini", prompt="a cat"), "chat.completions.create()"),
        (lambda client: client.images.generate(model="sora-2", prompt="a cat"), "videos.create()"),
        (lambda client: client.audio.speech.create(model="anthropic/claude-haiku-4-5", voice="a", input="Hi"), "can"),
        (lambda client: client.audio.transcriptions.create(model="tts-1", file=b"RIFF"), "audio.speech.create()"),
        (lambda client: client.chat.completions.create(model="dall-e-3", messages=question), "images.generate()"),
        (lambda client: client.completions.create(model="whisper-1", prompt="a"), "audio.transcriptions.create()"),
        (lambda client: client.responses.create(model="text-embedding-3-small", input="a"), "embeddings.create()"),
        (lambda client: client.chat.completions.create(model="dall-e-3", messages=question), "generate_image()"),
    ]
    with answering({}).running() as targets:
        for call, hint in calls:
            with pytest.raises(exceptions.UnsupportedOperationError, match=re.escape(hint)):
                call(OpenAI())
        with pytest.raises(exceptions.ValidationError, match="image must be bytes"):
            OpenAI().images.edit(model="gpt-image-1.5", image="cat.png", prompt="a hat")
    assert targets.sent == []
