"""Speech of Gemini's TTS models, which ``:generateContent`` makes as bare samples.

Sources: ai.google.dev/gemini-api/docs/speech-generation, docs.cloud.google.com/gemini-enterprise-agent-platform
(models/speech/text-to-speech), and ``SpeechConfig`` and ``SpeechMetadata`` of google-genai 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import read_interruption
from unified_llm._formats.gemini.errors import is_error, read_error
from unified_llm._formats.gemini.media_answers import answer_without_media, candidates_of, media_of
from unified_llm._formats.gemini.request import merge_extra, resource_path
from unified_llm._formats.gemini.response import read_body, read_usage
from unified_llm._formats.gemini.thinking import Generation, generation
from unified_llm._formats.json_values import is_object, text_or_none
from unified_llm._formats.request_fields import post
from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.sse import ServerSentEvent
from unified_llm._lib.wav import samples_of, wav_header
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.media import SpeechResponse
from unified_llm.types.media_requests import SpeechRequest

_FORMATS: Final = ("wav", "pcm")
# ``audio/L16;codec=pcm;rate=24000``; without a rate it is this one.
_RATE: Final = re.compile(r"rate=(\d{4,6})\b")
_USUAL_RATE: Final = 24_000
# These read the text alone, and take the style beside it; earlier ones take it as the beginning of the text.
_FIRST_WITH_STYLE: Final[Generation] = (3, 8)


def write_speech(request: SpeechRequest, target: Target) -> WireRequest:
    """Write a request to read a text aloud.

    Raises:
        UnsupportedOperationError: Another format than ``wav`` or ``pcm`` is wanted.
    """
    if request.format not in {None, *_FORMATS}:
        raise UnsupportedOperationError(
            f"it makes recordings as wav or pcm, and not as {request.format}.", provider=target.provider
        )
    if request.speed is not None:
        report_dropped("speed", target.name, "whose format has no such field")
    config: dict[str, Any] = {"responseModalities": ["AUDIO"]}
    if request.voice is not None:
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": request.voice}}}
    content = {"role": "user", "parts": [_text_part(request, target)]}
    body = merge_extra({"contents": [content], "generationConfig": config}, target.extra_body)
    method = ":streamGenerateContent?alt=sse" if request.stream else ":generateContent"
    full = merge_extra(body, request.extra_body)
    return post(f"/{resource_path(target)}{method}", full, target, stream=request.stream)


def _text_part(request: SpeechRequest, target: Target) -> dict[str, Any]:
    if request.instructions is None:
        return {"text": request.text}
    version = generation(target.model)
    if version is not None and version < _FIRST_WITH_STYLE:
        return {"text": f"{request.instructions}: {request.text}"}
    return {"text": request.text, "speechMetadata": {"style": request.instructions}}


def read_speech(request: SpeechRequest, body: object, target: Target) -> Done | Failure:
    """Read an answer as a recording."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    recording = _Recording(request)
    candidates = candidates_of(answer)
    if not candidates or not recording.add(candidates[0]):
        return answer_without_media(answer, candidates, target)
    return Done(recording.response(answer))


class SpeechStream:
    """Decoder of a recording that comes in parts, each of some samples."""

    __slots__ = ("_answer", "_finish", "_recording", "_target")

    def __init__(self, request: SpeechRequest, target: Target) -> None:
        self._recording, self._target = _Recording(request), target
        self._answer: dict[str, Any] = {}
        self._finish: str | None = None

    def feed(self, event: ServerSentEvent) -> Sequence[bytes | Done | Failure]:
        """Decode one event."""
        if not event.data.strip():
            return ()
        try:
            answer = parse_lenient(event.data)
        except JSONError:
            return (Failure("malformed"),)
        if is_error(answer):
            return (read_error(answer),)
        if not is_object(answer):
            return (Failure("malformed"),)
        if "usageMetadata" in answer:
            self._answer = answer
        candidates = candidates_of(answer)
        if not candidates:
            blocked = "promptFeedback" in answer
            return (answer_without_media(answer, candidates, self._target),) if blocked else ()
        reason = text_or_none(candidates[0].get("finishReason"))
        chunk = self._recording.add(candidates[0])
        self._finish = reason or self._finish
        if read_interruption(reason) or (reason and not self._recording.any):
            failure = answer_without_media(answer, candidates, self._target)
            return (chunk, failure) if chunk else (failure,)
        return (chunk,) if chunk else ()

    def finish(self) -> Done | Failure:
        """End the stream, as truncated where no part said that it is the last one."""
        if self._finish is None:
            return Failure("truncated" if self._recording.any else "empty")
        return Done(self._recording.response(self._answer))


class _Recording:
    """A recording, as far as it came: whole, or what is new of a stream."""

    __slots__ = ("_format", "_rate", "_samples", "_streams", "any")

    def __init__(self, request: SpeechRequest) -> None:
        self._format = request.format or "wav"
        self._streams = request.stream
        self._rate = _USUAL_RATE
        self._samples = bytearray()
        self.any = False

    def add(self, candidate: Mapping[str, Any]) -> bytes:
        """Add the samples of a candidate; return them as they go on to the reader of a stream."""
        samples = b"".join(self._samples_in(media_type, data) for media_type, data in media_of(candidate))
        if not samples:
            return b""
        begins, self.any = not self.any, True
        if not self._streams:
            self._samples += samples
        return wav_header(self._rate) + samples if begins and self._format == "wav" else samples

    def _samples_in(self, media_type: str, data: bytes) -> bytes:
        if not media_type.startswith("audio/"):
            return b""
        if file := samples_of(data) if "wav" in media_type else None:
            samples, self._rate = file
            return samples
        if rate := _RATE.search(media_type):
            self._rate = int(rate[1])
        return data

    def response(self, answer: Mapping[str, Any]) -> SpeechResponse:
        """Return the whole, whose audio is empty where it went out as a stream."""
        audio = bytes(self._samples)
        if audio and self._format == "wav":
            audio = wav_header(self._rate, len(audio)) + audio
        return SpeechResponse(
            audio,
            self._format,
            self._rate,
            model=text_or_none(answer.get("modelVersion")) or "",
            usage=read_usage(answer),
        )
