"""Media at providers whose API is nearly OpenAI's: what each is sent, and what of its own is read."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer
from tests.support.recordings import recorded_target
from unified_llm import LLMClient
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.sse import ServerSentEvent
from unified_llm._providers import registry
from unified_llm.exceptions import ContentFilterError, UnsupportedOperationError, ValidationError
from unified_llm.types import (
    ImageRequest,
    ImageResponse,
    MediaFile,
    SpeechRequest,
    SpeechResponse,
    Transcription,
    TranscriptionRequest,
    TranscriptionSegment,
)

PNG, WAV = b"\x89PNG\r\n\x1a\n picture", b"RIFF\x24\x00\x00\x00WAVEfmt "
FOX, HELLO = ImageRequest("a red fox"), SpeechRequest("Hello")
PHOTO, MASK = MediaFile(PNG, "a.png", "image/png"), MediaFile(PNG, "mask.png", "image/png")
TALK = TranscriptionRequest(MediaFile(WAV, "talk.wav", "audio/wav"))
KEY = "sk-of-a-test-0123456789"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wire(provider: str, request: Any, model: str = "some-model", api: str | None = None) -> tuple[str, str]:
    """Return the path and the body that a provider is sent."""
    source = recorded_target(registry.row(provider), api, model)
    sent = source.codec.encode(request, source.target)
    return sent.url.removeprefix(source.target.base_url), sent.body.decode("latin-1")


def fields(provider: str, request: Any, model: str = "some-model", api: str | None = None) -> dict[str, Any]:
    """Return the fields of the JSON that a provider is sent, without the model and the prompt."""
    body = json.loads(wire(provider, request, model, api)[1])
    return {name: value for name, value in body.items() if name not in {"model", "prompt", "input"}}


def form(provider: str, request: Any, model: str = "some-model", api: str | None = None) -> dict[str, str]:
    """Return the texts of the form that a provider is sent, by name."""
    body = wire(provider, request, model, api)[1]
    parts = [part.partition("\r\n\r\n") for part in body.split("Content-Disposition: form-data; ")[1:]]
    named = [(head.partition('name="')[2].partition('"')[0], text.partition("\r\n--")[0]) for head, _, text in parts]
    return dict(named)


def read(provider: str, request: Any, body: Any) -> Any:
    source = recorded_target(registry.row(provider))
    outcome = source.codec.decode(request, source.target, body)
    return outcome.value if isinstance(outcome, Done) else outcome


def play(provider: str, request: Any, *events: Any) -> list[Any]:
    source = recorded_target(registry.row(provider))
    decoder = source.codec.media_decoder(replace(request, stream=True), source.target)
    out: list[Any] = []
    for event in events:
        out += decoder.feed(ServerSentEvent(event if isinstance(event, str) else json.dumps(event)))
    return out if out and isinstance(out[-1], (Done, Failure)) else [*out, decoder.finish()]


class TestImages:
    def test_xai_is_told_the_nearest_ratio_and_the_resolution(self) -> None:
        sizes = {
            "1024x1024": {"aspect_ratio": "1:1"},
            "1536x1024": {"aspect_ratio": "3:2", "resolution": "2k"},
            "415x900": {"aspect_ratio": "9:19.5"},
            "16:9": {"aspect_ratio": "16:9"},
            "9:19.5 2K": {"aspect_ratio": "9:19.5", "resolution": "2k"},
            "1k": {"resolution": "1k"},
            "auto": {},
            "large": {},
        }
        for size, expected in sizes.items():
            assert fields("xai", replace(FOX, size=size)) == expected
        everything = replace(FOX, n=2, quality="high", format="png", background="opaque")
        assert fields("xai", everything) == {"n": 2, "quality": "high"}

    def test_xai_gets_images_to_edit_as_json(self) -> None:
        image = {"type": "image_url", "url": f"data:image/png;base64,{encoded(PNG)}"}
        path, _ = wire("xai", replace(FOX, images=(PHOTO,)))
        assert path == "/images/edits"
        assert fields("xai", replace(FOX, images=(PHOTO,))) == {"image": image}
        assert fields("xai", replace(FOX, images=(PHOTO, PHOTO))) == {"images": [image, image]}
        with pytest.raises(UnsupportedOperationError, match="without a mask"):
            wire("xai", replace(FOX, images=(PHOTO,), mask=MASK))

    def test_an_image_that_xai_blocked_is_none(self) -> None:
        blocked, good = {"url": "https://x.example/a", "respect_moderation": False}, {"url": "https://x.example/b"}
        assert read("xai", FOX, {"data": [blocked]}) == Failure("filter")
        some = read("xai", FOX, {"data": [blocked, {**good, "respect_moderation": True}]})
        assert isinstance(some, ImageResponse)
        assert [image.url for image in some.images] == ["https://x.example/b"]

    def test_together_is_told_width_and_height(self) -> None:
        everything = replace(FOX, n=2, size="1024x768", quality="high", format="png", background="opaque")
        assert fields("together", everything) == {"n": 2, "width": 1024, "height": 768, "output_format": "png"}
        assert fields("together", replace(FOX, size="16:9")) == {}

    def test_a_format_of_images_alone_is_left_out(self) -> None:
        assert fields("deepinfra", replace(FOX, size="1024x1024", format="png")) == {"size": "1024x1024"}
        assert form("deepinfra", replace(TALK, format="srt"))["response_format"] == "srt"
        edit = form("deepinfra", replace(FOX, images=(PHOTO,), format="png"))
        assert edit.keys() == {"model", "prompt", "image"}

    def test_zai_makes_one_image_of_a_size_and_quality(self) -> None:
        everything = replace(FOX, n=2, size="1280x1280", quality="hd", format="png", background="opaque")
        assert fields("zai", everything) == {"size": "1280x1280", "quality": "hd"}


class TestSpeech:
    def test_each_provider_is_told_what_it_takes(self) -> None:
        everything = replace(HELLO, voice="v", format="wav", speed=1.5, instructions="Calmly")
        rest = {"voice": "v", "response_format": "wav"}
        assert fields("groq", everything) == {**rest, "speed": 1.5}
        assert fields("openrouter", everything) == {**rest, "speed": 1.5}
        assert fields("together", everything) == rest
        assert fields("mistral", everything) == {"voice_id": "v", "response_format": "wav"}
        assert fields("ollama", everything, api="chat") == {**rest, "speed": 1.5, "instructions": "Calmly"}

    def test_without_a_voice_or_a_format_a_model_gets_its_own(self) -> None:
        assert fields("groq", HELLO, "canopylabs/orpheus-v1-english") == {"voice": "autumn", "response_format": "wav"}
        assert fields("groq", HELLO, "canopylabs/orpheus-arabic-saudi")["voice"] == "fahad"
        alloy = {"voice": "alloy", "response_format": "mp3"}
        assert fields("openrouter", HELLO, "openai/gpt-4o-mini-tts") == alloy
        assert fields("openrouter", HELLO, "hexgrad/kokoro-82m") == {"response_format": "mp3"}
        assert fields("together", HELLO, "canopylabs/orpheus-3b-0.1-ft") == {"voice": "tara"}
        assert fields("mistral", HELLO, "voxtral-mini-tts-2603") == {}

    def test_bare_bytes_are_of_the_format_that_was_sent(self) -> None:
        assert read("groq", HELLO, b"bytes").format == "wav"
        assert read("openrouter", replace(HELLO, format="pcm"), b"bytes").format == "pcm"

    def test_mistral_answers_with_a_recording_in_json(self) -> None:
        usage = {"prompt_tokens": 4, "completion_tokens": 20, "total_tokens": 24}
        speech = read("mistral", HELLO, {"audio_data": encoded(WAV), "usage": usage})
        assert (speech.audio, speech.format) == (WAV, "wav")
        assert (speech.usage.prompt_tokens, speech.usage.completion_tokens, speech.usage.total_tokens) == (4, 20, 24)
        for broken in ({"audio_data": "?"}, {}, {"error": {"message": "No"}}):
            assert isinstance(read("mistral", HELLO, broken), Failure)

    def test_mistral_streams_a_recording_as_events_where_it_is_told_to(self) -> None:
        assert fields("mistral", replace(HELLO, stream=True)) == {"stream": True}
        assert "stream" not in fields("groq", replace(HELLO, stream=True))
        first = {"type": "speech.audio.delta", "audio_data": encoded(b"RIFF")}
        second = {"type": "speech.audio.delta", "audio_data": encoded(b"rest")}
        *chunks, end = play("mistral", HELLO, first, second, {"type": "speech.audio.done", "usage": {}})
        assert chunks == [b"RIFF", b"rest"]
        assert isinstance(end.value, SpeechResponse)
        assert play("mistral", HELLO, first)[-1] == Failure("truncated")

    @pytest.mark.parametrize("how", ["events", "json"])
    def test_a_stream_of_mistral_is_handed_on_however_it_comes(self, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
        server = OpenAIServer(monkeypatch)
        if how == "events":
            delta = {"type": "speech.audio.delta", "audio_data": encoded(WAV)}
            server.stream(delta, {"type": "speech.audio.done", "usage": {}}, done=False)
        else:
            server.reply({"audio_data": encoded(WAV)})
        client = LLMClient("mistral/voxtral-mini-tts-2603", base_url=server.url, api_key=KEY)
        with client.stream_speech("Hello") as stream:
            assert b"".join(stream) == WAV
            assert stream.response
            assert stream.response.audio == b""
        assert server.received[0].body["stream"] is True


class TestTranscriptions:
    everything = replace(
        TALK, language="de", prompt="Names", format="verbose_json", temperature=0.5, timestamps=("word", "segment")
    )

    def test_each_provider_is_told_what_it_takes(self) -> None:
        usual = {"language": "de", "prompt": "Names", "response_format": "verbose_json", "temperature": "0.5"}
        kept = {
            "groq": {**usual, "timestamp_granularities[]": "segment"},
            "together": {**usual, "timestamp_granularities[]": "segment"},
            "deepinfra": {**usual, "timestamp_granularities[]": "segment"},
            "vllm": {**usual, "timestamp_granularities[]": "segment"},
            "mistral": {"language": "de", "temperature": "0.5", "timestamp_granularities": "segment"},
            "zai": {"prompt": "Names"},
            "cohere": {"language": "de", "temperature": "0.5"},
        }
        models = {"mistral": "voxtral-mini-latest", "zai": "glm-asr-2512"}
        for provider, expected in kept.items():
            sent = form(provider, self.everything, models.get(provider, "some-model"))
            assert {name: sent[name] for name in sent if name not in {"model", "file"}} == expected, provider

    def test_times_come_in_verbose_json_where_there_is_such_a_format(self, caplog: pytest.LogCaptureFixture) -> None:
        timed = replace(TALK, timestamps=("word",))
        assert form("groq", timed)["response_format"] == "verbose_json"
        assert form("groq", replace(timed, format="srt"))["response_format"] == "srt"
        assert "response_format" not in form("mistral", timed, "voxtral-mini-latest")
        assert caplog.messages == [], "nobody asked for a format"

    def test_cohere_has_to_know_the_language(self) -> None:
        assert wire("cohere", replace(TALK, language="de"))[0] == "/v2/audio/transcriptions"
        with pytest.raises(ValidationError, match="language="):
            wire("cohere", TALK)
        asked = replace(TALK, language="de")
        assert read("cohere", asked, {"text": "Hallo"}) == Transcription("Hallo", language="de", raw={"text": "Hallo"})
        assert read("cohere", asked, {"text": ""}).text == ""
        assert isinstance(read("cohere", asked, {"message": "invalid language"}), Failure)
        assert read("cohere", asked, []) == Failure("malformed")
        assert read("cohere", asked, {"words": []}) == Failure("malformed")

    def test_mistral_streams_events_of_other_names(self) -> None:
        segment = {"type": "transcription.segment", "text": "Hallo", "start": 0, "end": 1.5, "speaker_id": "s1"}
        *chunks, end = play(
            "mistral",
            TALK,
            {"type": "transcription.language", "audio_language": "de"},
            {"type": "transcription.text.delta", "text": "Hal"},
            {"type": "transcription.text.delta", "text": "lo"},
            segment,
            {"type": "transcription.done", "text": "Hallo", "model": "voxtral", "usage": {}, "language": None},
        )
        assert [chunk.text for chunk in chunks if chunk.text] == ["Hal", "lo"]
        assert (end.value.text, end.value.language) == ("Hallo", "de")
        assert end.value.segments == (TranscriptionSegment("Hallo", 0.0, 1.5, "s1"),)

    def test_vllm_streams_chunks_and_says_that_they_end(self) -> None:
        def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
            delta = {"delta": {"content": text}, "finish_reason": reason}
            return {"object": "transcription.chunk", "choices": [delta]}

        *chunks, end = play("vllm", TALK, chunk("Hal"), chunk("lo", "stop"), {"choices": [], "usage": {}}, "[DONE]")
        assert [part.text for part in chunks] == ["Hal", "lo"]
        assert end == Done(Transcription("Hallo"))
        assert play("vllm", TALK, chunk("Hal"), chunk("lo", "stop"))[-1] == Failure("truncated")
        assert play("vllm", TALK, chunk("", "stop"), "[DONE]")[-1] == Done(Transcription(""))
        assert play("vllm", TALK, {"id": 1}, "[DONE]")[-1] == Failure("truncated")
        assert play("vllm", TALK, "[DONE]")[-1] == Failure("empty")


def test_an_image_that_was_blocked_is_a_matter_of_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply({"data": [{"url": "", "respect_moderation": False}]})
    client = LLMClient("xai/grok-imagine-image", base_url=server.url, api_key=KEY)
    with pytest.raises(ContentFilterError):
        client.generate_image("A fox", size="16:9")
    assert server.received[0].body["aspect_ratio"] == "16:9"
