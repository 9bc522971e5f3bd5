"""Audio: speech, transcriptions and translations.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

from integration_tests.fakes.openai_api.known_models import require_model
from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_bytes, as_events, as_json, as_text
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_form, check_request, check_response
from integration_tests.fakes.openai_api.store import Store
from integration_tests.support.media import WAV

if TYPE_CHECKING:
    from openai import BaseModel

_SPOKEN = {
    "mp3": ("audio/mpeg", b"ID3\x04\x00"),
    "opus": ("audio/ogg", b"OggS"),
    "aac": ("audio/aac", b"\xff\xf1"),
    "flac": ("audio/flac", b"fLaC"),
    "wav": ("audio/wav", WAV),
    "pcm": ("audio/pcm", b""),
}
_EXTENSIONS = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"}
_FORMATS = {
    "whisper-1": {"json", "text", "srt", "verbose_json", "vtt"},
    "gpt-transcribe": {"json"},
    "gpt-4o-transcribe": {"json"},
    "gpt-4o-transcribe-diarize": {"json", "text", "diarized_json"},
}
_SENTENCES = ("Guten Tag, Köln.", "How are you?")
_TRANSLATED = ("Good day, Cologne.", "How are you?")
_EVENTS: Mapping[str, type[BaseModel]] = {
    "transcript.text.delta": TranscriptionTextDeltaEvent,
    "transcript.text.segment": TranscriptionTextSegmentEvent,
    "transcript.text.done": TranscriptionTextDoneEvent,
}


def speak(store: Store, received: Received) -> Reply:
    body = received.body
    check_request("audio.speech_create_params:SpeechCreateParams", body)
    require_model(body, "speech")
    is_old = body["model"].startswith("tts-1")
    if not 1 <= len(body["input"]) <= 4096:
        raise APIError(400, "The maximum length is 4096 characters.", code="string_above_max_length", param="input")
    if not 0.25 <= body.get("speed", 1.0) <= 4.0:
        raise APIError(400, "speed is 0.25 to 4.0.", code="invalid_value", param="speed")
    for name in ("instructions", "stream_format"):
        if is_old and body.get(name) not in {None, "audio"}:
            raise APIError(400, f"{name} does not work with {body['model']}.", param=name)
    content_type, opening = _SPOKEN[body.get("response_format", "mp3")]
    data = opening + f"{body['voice']}: {body['input']}".encode() * 20
    if body.get("stream_format") == "sse":
        return as_events(_speech_events(data), done=False)
    return as_bytes(data, content_type, chunks=5)


def _speech_events(data: bytes) -> Iterator[JSON]:
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        yield {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()}
    yield {"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12}}


def transcribe(store: Store, received: Received) -> Reply:
    kind = "Streaming" if received.body.get("stream") == "true" else "NonStreaming"
    body = check_form(f"audio.transcription_create_params:TranscriptionCreateParams{kind}", received, "file")
    require_model(body, "transcription")
    _check_file(received)
    form = body.get("response_format", "json")
    if form not in _FORMATS[body["model"]]:
        raise APIError(400, f"response_format '{form}' is not compatible with this model.", param="response_format")
    _check_transcription(body, form)
    if body.get("stream") and body["model"] != "whisper-1":
        return as_events(_transcription_events(body, form))
    return _transcript(body, form, _SENTENCES, "transcribe")


def translate(store: Store, received: Received) -> Reply:
    body = check_form("audio.translation_create_params:TranslationCreateParams", received, "file")
    require_model(body, "transcription")
    _check_file(received)
    if body["model"] != "whisper-1":
        raise APIError(400, "Only whisper-1 translates.", param="model")
    return _transcript(body, body.get("response_format", "json"), _TRANSLATED, "translate")


def _check_file(received: Received) -> None:
    file = received.files("file")[0]
    if PurePath(file.filename or "").suffix[1:].lower() not in _EXTENSIONS or not file.data:
        raise APIError(400, "Unrecognized file format.", param="file")


def _check_transcription(body: JSON, form: str) -> None:
    model, is_diarizing = body["model"], body["model"].endswith("diarize")
    if not 0 <= float(body.get("temperature", 0)) <= 1:
        raise APIError(400, "temperature is 0 to 1.", code="invalid_value", param="temperature")
    allowed = {
        "timestamp_granularities": form == "verbose_json",
        "include": form == "json" and model == "gpt-4o-transcribe",
        "prompt": not is_diarizing,
        "keywords": model == "gpt-transcribe",
        "languages": model == "gpt-transcribe",
        "known_speaker_names": is_diarizing,
        "known_speaker_references": is_diarizing,
    }
    for name, is_allowed in allowed.items():
        if name in body and not is_allowed:
            raise APIError(400, f"{name} is not supported here.", code="unsupported_parameter", param=name)
    if len(body.get("known_speaker_names", ())) != len(body.get("known_speaker_references", ())):
        raise APIError(400, "Each speaker has a name and a reference.", param="known_speaker_references")


def _transcript(body: JSON, form: str, sentences: tuple[str, ...], task: str) -> Reply:
    text = " ".join(sentences)
    match form:
        case "text":
            return as_text(text + "\n")
        case "srt":
            return as_text(
                "".join(f"{n}\n00:00:0{n - 1},000 --> 00:00:0{n},000\n{s}\n\n" for n, s in enumerate(sentences, 1))
            )
        case "vtt":
            cues = (f"00:00:0{n}.000 --> 00:00:0{n + 1}.000\n{s}\n\n" for n, s in enumerate(sentences))
            return as_text("WEBVTT\n\n" + "".join(cues))
    whole: JSON = {"text": text}
    kind: Any = Transcription if task == "transcribe" else Translation
    if form == "verbose_json":
        kind = TranscriptionVerbose if task == "transcribe" else TranslationVerbose
        whole |= _verbose(body, sentences, task)
    elif form == "diarized_json":
        kind = TranscriptionDiarized
        segments = [*_speakers(body, sentences)]
        whole |= {"task": "transcribe", "duration": 2.0, "segments": segments, "usage": _duration()}
    elif task == "transcribe":
        whole |= {"usage": _duration() if body["model"] == "whisper-1" else _tokens()} | _details(body)
    check_response(kind, whole)
    return as_json(whole)


def _duration() -> JSON:
    return {"type": "duration", "seconds": 2}


def _tokens() -> JSON:
    details = {"audio_tokens": 20, "text_tokens": 1}
    return {
        "type": "tokens",
        "input_tokens": 21,
        "input_token_details": details,
        "output_tokens": 8,
        "total_tokens": 29,
    }


def _details(body: JSON) -> JSON:
    languages = {"languages": [{"code": "de"}]} if body["model"] == "gpt-transcribe" else {}
    return languages | ({"logprobs": _logprobs(_SENTENCES[0])} if "include" in body else {})


def _logprobs(text: str) -> list[JSON]:
    return [{"token": word, "logprob": -0.5, "bytes": [*word.encode()]} for word in text.split()]


def _verbose(body: JSON, sentences: tuple[str, ...], task: str) -> JSON:
    wanted = body.get("timestamp_granularities", ["segment"])
    whole: JSON = {"language": "german" if task == "transcribe" else "english", "duration": 2.0}
    if "segment" in wanted:
        whole["segments"] = [
            {
                "id": index, "seek": 0, "start": index / 1, "end": index + 1.0, "text": sentence, "tokens": [1, 2],
                "temperature": 0.0, "avg_logprob": -0.25, "compression_ratio": 1.5, "no_speech_prob": 0.125,
            }
            for index, sentence in enumerate(sentences)
        ]  # fmt: skip
    if "word" in wanted:
        words = " ".join(sentences).split()
        whole["words"] = [{"word": word, "start": n / 4, "end": (n + 1) / 4} for n, word in enumerate(words)]
    return whole | ({"usage": _duration()} if task == "transcribe" else {})


def _speakers(body: JSON, sentences: tuple[str, ...]) -> Iterator[JSON]:
    names = [*body.get("known_speaker_names", []), "A", "B"]
    for index, sentence in enumerate(sentences):
        yield {
            "type": "transcript.text.segment",
            "id": f"seg_{index}",
            "start": index / 1,
            "end": index + 1.0,
            "text": sentence,
            "speaker": names[index],
        }


def _transcription_events(body: JSON, form: str) -> Iterator[JSON]:
    logprobs = "include" in body
    events: list[JSON] = [*_speakers(body, _SENTENCES)] if form == "diarized_json" else []
    for word in " ".join(_SENTENCES).split(" "):
        details = {"logprobs": _logprobs(word)} if logprobs else {}
        events.append({"type": "transcript.text.delta", "delta": word + " "} | details)
    done = {"type": "transcript.text.done", "text": " ".join(_SENTENCES), "usage": _tokens()}
    events.append(done | ({"logprobs": _logprobs(" ".join(_SENTENCES))} if logprobs else {}))
    for event in events:
        check_response(_EVENTS[event["type"]], event)
        yield event


ROUTES = {
    "POST audio/speech": speak,
    "POST audio/transcriptions": transcribe,
    "POST audio/translations": translate,
}
