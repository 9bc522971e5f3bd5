"""Replies of an outage to requests for media: a small picture, a short silence, a text, a video's job."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm.types.media import (
    Image,
    ImageChunk,
    ImageResponse,
    SpeechResponse,
    Transcription,
    TranscriptionChunk,
    VideoJob,
    VideoResponse,
)
from unified_llm.types.media_requests import (
    ImageRequest,
    SpeechRequest,
    TranscriptionRequest,
    VideoContentRequest,
    VideoJobRequest,
    VideoRequest,
)

_JOB: Final = "video_made_up"
_WORDS: Final = ("This ", "text ", "is ", "made ", "up.")
_RATE: Final = 8_000  # samples a second


def made_up_events(request: AnyRequest, target: Target) -> Sequence[AnyEvent]:
    """Return the events of a request for media; empty where the request is none."""
    match request:
        case ImageRequest():
            return _images(request, target)
        case SpeechRequest():
            wav, half = _silence(), 64
            pieces = [wav[:half], wav[half:]] if request.stream else []
            audio = b"" if request.stream else wav
            return [*pieces, Done(SpeechResponse(audio, "wav", model=target.model))]
        case TranscriptionRequest():
            words = [TranscriptionChunk(word) for word in _WORDS] if request.stream else []
            return [*words, Done(Transcription("".join(_WORDS), language=request.language, model=target.model))]
        case VideoRequest():
            return [Done(VideoJob(_JOB, model=target.model, size=request.size))]
        case VideoJobRequest():
            return [Done(VideoJob(request.job, "completed", progress=100.0, model=target.model))]
        case VideoContentRequest():
            return [Done(VideoResponse(b"\x00\x00\x00\x18ftypmp42" + bytes(16), job=request.job))]
        case _:
            return []


def made_up_chunks(request: AnyRequest, number: int) -> Sequence[AnyEvent]:
    """Return the first chunks of a stream of media."""
    match request:
        case ImageRequest():
            return [ImageChunk(_picture(), index, format="png") for index in range(number)]
        case SpeechRequest():
            return [_silence()[:64]] * number
        case TranscriptionRequest():
            return [TranscriptionChunk(word) for word in islice(cycle(_WORDS), number)]
        case _:
            return []


def _images(request: ImageRequest, target: Target) -> Sequence[AnyEvent]:
    settings: dict[str, Any] = {"size": request.size, "quality": request.quality, "background": request.background}
    images = tuple(Image(data=_picture(), format="png") for _ in range(request.n or 1))
    done = Done(ImageResponse(images, model=target.model, format="png", **settings))
    if not request.stream:
        return [done]
    partial = [ImageChunk(_picture(), index, format="png", **settings) for index in range(request.partial_images or 0)]
    return [*partial, *(ImageChunk(_picture(), complete=True, format="png", **settings) for _ in images), done]


def _picture() -> bytes:
    """Return a PNG of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\x00\x80")) + chunk(b"IEND", b"")
    )


def _silence() -> bytes:
    """Return a WAV of a tenth of a second."""
    samples = bytes(2 * _RATE // 10)
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    body = b"WAVE" + head + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI", b"RIFF", len(body)) + body
