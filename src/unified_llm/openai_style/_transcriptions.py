"""``client.audio.transcriptions`` and ``translations``: what is said in recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm.openai_style._declared_fields import read_union
from unified_llm.openai_style._media_streams import aopen_stream, open_stream
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._resource import AsyncResource, Call, Resource, family_errors
from unified_llm.openai_style._uploads import beside_loop, read_upload
from unified_llm.openai_style.types.audio.transcription import Transcription
from unified_llm.openai_style.types.audio.transcription_diarized import TranscriptionDiarized
from unified_llm.openai_style.types.audio.transcription_stream_event import TranscriptionStreamEvent
from unified_llm.openai_style.types.audio.transcription_verbose import TranscriptionVerbose
from unified_llm.openai_style.types.audio.translation import Translation, TranslationVerbose
from unified_llm.types import media
from unified_llm.types.media_requests import TranscriptionRequest

_NAMES: Final[Mapping[str, str]] = {
    "language": "language", "prompt": "prompt", "response_format": "format", "temperature": "temperature",
}  # fmt: skip
_TEXTS: Final = frozenset({"text", "srt", "vtt"})
_CLASSES: Final[Mapping[str, type[OpenAIObject]]] = {
    "verbose_json": TranscriptionVerbose, "diarized_json": TranscriptionDiarized,
}  # fmt: skip
_EVENT: Final = read_union(TranscriptionStreamEvent, OpenAIObject)


class _Shared(Resource):
    translates = False

    def _read_recording(self, given: Mapping[str, Any]) -> tuple[TranscriptionRequest, Call]:
        """Return the request of a call, and what says how to send it.

        Raises:
            ValidationError: An argument makes no sense, no model is named, or the recording cannot be read.
            ConfigurationError: The target of the call lacks a key, a URL or a package.
        """
        body, call = self._read(given)
        audio = read_upload("file", body.pop("file"))
        body = plain(body)
        del body["model"]
        named: dict[str, Any] = {ours: body.pop(name) for name, ours in _NAMES.items() if body.get(name) is not None}
        if timestamps := body.pop("timestamp_granularities", None):
            named["timestamps"] = tuple(timestamps)
        stream = bool(body.pop("stream", False))
        request = TranscriptionRequest(
            audio, call.model, translate=self.translates, stream=stream, extra_body=body, **named
        )
        return request, call


class Transcriptions(_Shared):
    """What is said in recordings."""

    PATH = "audio.transcriptions"

    def create(self, *, file: Any, **fields: Any) -> Any:
        """Write down what is said in a recording.

        Args:
            file: Bytes, a ``pathlib.Path``, a file that is open in binary mode, or a tuple of a name and one of these
                (and a media type); at most 64 MiB.
            **fields: The arguments of OpenAI's SDK: ``model``, ``language``, ``prompt``, ``response_format``,
                ``timestamp_granularities``, ``stream`` ...; and options of the call.

        Returns:
            A ``Transcription``, or as ``response_format`` says a ``TranscriptionVerbose``, a ``TranscriptionDiarized``
            or a string; with ``stream=True`` a stream of events.

        Raises:
            OpenAIError: The request is wrong, or no target transcribed it.
        """
        with family_errors():
            request, call = self._read_recording({"file": file, **fields})
        if request.stream:
            return open_stream(call.client, request, call.options, _events)
        with family_errors():
            return _result_of(request, call.client.run_request(request, call.options))


class Translations(Transcriptions):
    """What is said in recordings, in English."""

    PATH = "audio.translations"
    translates = True


class AsyncTranscriptions(_Shared, AsyncResource):
    """The same as ``Transcriptions``, with async methods."""

    PATH = "audio.transcriptions"

    async def create(self, *, file: Any, **fields: Any) -> Any:
        """Do the same as ``Transcriptions.create``."""
        with family_errors():
            request, call = await beside_loop(self._read_recording, {"file": file, **fields})
        if request.stream:
            return await aopen_stream(call.client, request, call.options, _events)
        with family_errors():
            return _result_of(request, await call.client.arun_request(request, call.options))


class AsyncTranslations(AsyncTranscriptions):
    """The same as ``Translations``, with async methods."""

    PATH = "audio.translations"
    translates = True


def _result_of(request: TranscriptionRequest, response: media.Transcription) -> Any:
    """Return the provider's own transcription where it has the wanted shape, else one that is made of ours."""
    raw = response.raw
    if request.format in _TEXTS:
        return raw if isinstance(raw, str) else response.text
    is_own = isinstance(raw, Mapping) and isinstance(raw.get("text"), str)
    body = raw if is_own else _make(request, response)
    if request.translate:
        kind: type[OpenAIObject] = TranslationVerbose if request.format == "verbose_json" else Translation
    else:
        kind = _CLASSES.get(f"{request.format}", Transcription)
    return with_record(kind.from_json(body), response)


def _make(request: TranscriptionRequest, response: media.Transcription) -> dict[str, Any]:
    if request.format not in _CLASSES:
        return {"text": response.text}
    segments = [
        {"id": index, "start": part.start, "end": part.end, "text": part.text}
        | ({"speaker": part.speaker, "type": "transcript.text.segment"} if part.speaker else {})
        for index, part in enumerate(response.segments)
    ]
    words = [{"word": part.word, "start": part.start, "end": part.end} for part in response.words]
    return {
        "duration": response.duration, "language": response.language, "text": response.text, "segments": segments,
        **({"words": words} if words else {}),
    }  # fmt: skip


def _events(chunk: Any) -> Iterator[OpenAIObject]:
    """Yield the events for a chunk of a stream, and for the response at its end."""
    raw: Any = chunk.raw
    own = raw if isinstance(raw, Mapping) and f"{raw.get('type')}".startswith("transcript.") else None
    if isinstance(chunk, media.Transcription):
        yield _EVENT(own or {"type": "transcript.text.done", "text": chunk.text})
    elif own is not None or chunk.text:
        yield _EVENT(own or {"type": "transcript.text.delta", "delta": chunk.text})
