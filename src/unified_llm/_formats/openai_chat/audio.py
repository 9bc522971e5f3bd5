"""Speech, transcriptions and translations by OpenAI's API.

Written from the types of OpenAI's SDK (types/audio/speech_create_params.py, transcription*.py, translation*.py).
Mistral's events are those of its client (models/transcriptionstream*.py, speechstream*.py); vLLM's are of its
documentation (docs.vllm.ai, OpenAI-compatible server).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.codec import Returns, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.media_fields import (
    decode_bytes,
    read_event,
    read_media_usage,
    set_fields,
    sound_format,
)
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.request_fields import form_fields, post, post_form
from unified_llm._lib.bounded_json import finite
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.media import (
    SpeechResponse,
    Transcription,
    TranscriptionChunk,
    TranscriptionSegment,
    TranscriptionWord,
)
from unified_llm.types.media_requests import MediaFile, SpeechRequest, TranscriptionRequest

_SPEECH: Final[Mapping[str, str]] = {
    "voice": "voice",
    "format": "response_format",
    "speed": "speed",
    "instructions": "instructions",
}
_TRANSCRIPTION: Final[Mapping[str, str]] = {
    "language": "language",
    "prompt": "prompt",
    "format": "response_format",
    "temperature": "temperature",
    "timestamps": "timestamp_granularities",
}
# Formats of a transcription that are no JSON.
_TEXTS: Final = frozenset({"text", "srt", "vtt"})
_USUAL: Final = "mp3"


def write_speech(request: SpeechRequest, target: Target) -> WireRequest:
    """Write a request to read a text aloud; where it names no voice, the API gets the one that its row states."""
    fields = set_fields(request, _SPEECH, target)
    if "voice" not in fields and target.quirks.voice:
        fields["voice"] = target.quirks.voice
    if request.format is None and target.quirks.speech_format:
        fields["response_format"] = target.quirks.speech_format
    streams = request.stream and target.quirks.speech_events
    if streams:
        fields["stream"] = True
    body = {"model": target.model, "input": request.text, **fields, **target.extra_body, **request.extra_body}
    return post("/audio/speech", body, target, stream=streams, returns="bytes")


def read_speech(request: SpeechRequest, body: object, target: Target) -> Done | Failure:
    """Read a recording; at the end of a streamed one, which was handed on, it is empty."""
    if isinstance(body, bytes):
        return Done(_speech(request, body, target))
    if not is_object(body):
        return Failure("malformed")
    audio = decode_bytes(body.get("audio_data"))  # Mistral
    if audio is None:
        return read_error(body, target) if body.get("error") else Failure("malformed")
    return Done(replace(_speech(request, audio, target), usage=read_media_usage(body)))


def _speech(request: SpeechRequest, audio: bytes, target: Target) -> SpeechResponse:
    made_as = sound_format(audio, request.format, target.quirks.speech_format or _USUAL)
    return SpeechResponse(audio, made_as, target.quirks.pcm_rate if made_as == "pcm" else None)


class SpeechEvents:
    """Decoder of a recording that comes as events (``stream_format`` is ``sse``); joins it where none was streamed."""

    def __init__(self, request: SpeechRequest, target: Target) -> None:
        self._request, self._target = request, target
        self._joined = bytearray()
        self._any = self._done = False
        self._usage: Mapping[str, Any] = {}

    def feed(self, event: ServerSentEvent) -> Sequence[bytes | Done | Failure]:
        """Decode one event."""
        body = read_event(event, self._target)
        if isinstance(body, Done):
            return [self.finish()]
        if body is None or isinstance(body, Failure):
            return [] if body is None else [body]
        if body.get("type") == "speech.audio.done":
            self._done, self._usage = True, body
            return [self.finish()]
        data = decode_bytes(body.get("audio") or body.get("delta") or body.get("audio_data"))
        if data is None:
            return []
        self._any = True
        if self._request.stream:
            return [data]
        self._joined += data
        return []

    def finish(self) -> Done | Failure:
        """End the stream, as truncated without the event that announces its end."""
        if not self._done:
            return Failure("truncated" if self._any else "empty")
        if not self._any:
            return Failure("empty")
        done = _speech(self._request, bytes(self._joined), self._target)
        return Done(SpeechResponse(done.audio, done.format, done.sample_rate, usage=read_media_usage(self._usage)))


def write_transcription(request: TranscriptionRequest, target: Target) -> WireRequest:
    """Write a request to transcribe or translate a recording."""
    body = {"model": target.model, **set_fields(request, _TRANSCRIPTION, target)}
    if request.timestamps and request.format is None and "format" not in target.quirks.drop:
        body["response_format"] = "verbose_json"  # which alone has times
    if request.translate:
        body.pop("language", None)  # which is English
        body.pop("timestamp_granularities", None)
    if request.stream:
        body["stream"] = True
    lists = "" if target.quirks.bare_form_lists else "[]"
    fields = form_fields({**body, **target.extra_body, **request.extra_body}, lists)
    path = "/audio/translations" if request.translate else "/audio/transcriptions"
    returns: Returns = "text" if body.get("response_format") in _TEXTS else "json"
    form: list[tuple[str, str | MediaFile]] = [*fields, ("file", request.audio)]
    return post_form(path, form, target, stream=request.stream, returns=returns)


def read_transcription(request: TranscriptionRequest, body: object, target: Target) -> Done | Failure:
    """Read a transcription: JSON, or a text. A recording without a word has an empty one."""
    del request
    if isinstance(body, str):
        return Done(Transcription(body.rstrip("\n"), raw=body))
    if not is_object(body):
        return Failure("malformed")
    if body.get("error"):
        return read_error(body, target)
    if not isinstance(body.get("text"), str):
        return Failure("malformed")
    return Done(_transcription(body))


def _transcription(body: Mapping[str, Any]) -> Transcription:
    return Transcription(
        body["text"],
        language=_language(body),
        duration=finite(body.get("duration")),
        segments=tuple(_segments(body.get("segments"))),
        words=tuple(_words(body.get("words"))),
        model=text_or_none(body.get("model")) or "",
        usage=read_media_usage(body),
        raw=body,
    )


def _language(body: Mapping[str, Any]) -> str | None:
    languages = body.get("languages")
    first = languages[0] if is_list(languages) and languages else None
    return text_or_none(body.get("language")) or text_or_none(first.get("code") if is_object(first) else first)


def _segments(items: object) -> list[TranscriptionSegment]:
    return [segment for item in (items if is_list(items) else ()) if (segment := _segment(item))]


def _segment(item: object) -> TranscriptionSegment | None:
    if not is_object(item) or not isinstance(item.get("text"), str):
        return None
    start, end = finite(item.get("start")) or 0.0, finite(item.get("end")) or 0.0
    return TranscriptionSegment(item["text"], start, end, text_or_none(item.get("speaker") or item.get("speaker_id")))


def _words(items: object) -> list[TranscriptionWord]:
    return [
        TranscriptionWord(item["word"], finite(item.get("start")) or 0.0, finite(item.get("end")) or 0.0)
        for item in (items if is_list(items) else ())
        if is_object(item) and isinstance(item.get("word"), str)
    ]


class TranscriptionEvents:
    """Decoder of a streamed transcription: by OpenAI's events, Mistral's of other names, or vLLM's chunks."""

    def __init__(self, request: TranscriptionRequest, target: Target) -> None:
        del request
        self._target = target
        self._segments: list[TranscriptionSegment] = []
        self._texts: list[str] | None = None  # of chunks that end without the whole text
        self._language: str | None = None
        self._any = False

    def feed(self, event: ServerSentEvent) -> Sequence[TranscriptionChunk | Done | Failure]:
        """Decode one event."""
        body = read_event(event, self._target)
        if isinstance(body, Done):
            whole = self._texts is not None
            return [Done(Transcription("".join(self._texts or ()))) if whole else self.finish()]
        if body is None or isinstance(body, Failure):
            return [] if body is None else [body]
        self._any = True
        match body.get("type"):
            case "transcript.text.delta":
                return self._chunk(body.get("delta"), body)
            case "transcription.text.delta":
                return self._chunk(body.get("text"), body)
            case "transcript.text.segment" | "transcription.segment":
                self._segments += _segments([body])
                return [TranscriptionChunk(raw=body)]
            case "transcription.language":
                self._language = text_or_none(body.get("audio_language"))
            case "transcript.text.done" | "transcription.done" if isinstance(body.get("text"), str):
                return [Done(self._whole(body))]
            case None:
                return self._vllm_chunk(body)
            case _:
                pass
        return []

    def _chunk(self, text: object, body: Mapping[str, Any]) -> list[TranscriptionChunk | Done | Failure]:
        return [TranscriptionChunk(words, raw=body)] if (words := text_or_none(text)) else []

    def _vllm_chunk(self, body: Mapping[str, Any]) -> list[TranscriptionChunk | Done | Failure]:
        choices = body.get("choices")
        if not is_list(choices):
            return []
        delta = object_or_empty(choices[0] if choices else None).get("delta")
        text = text_or_none(object_or_empty(delta).get("content"))
        self._texts = self._texts or []
        self._texts.append(text or "")
        return self._chunk(text, body)

    def _whole(self, body: Mapping[str, Any]) -> Transcription:
        whole = _transcription(body)
        segments = tuple(self._segments) or whole.segments
        language = whole.language or self._language
        return Transcription(whole.text, language, whole.duration, segments, whole.words, usage=whole.usage, raw=body)

    def finish(self) -> Failure:
        """End a stream without the event that has the whole text, or is the last one."""
        return Failure("truncated" if self._any else "empty")
