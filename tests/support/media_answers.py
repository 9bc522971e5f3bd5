"""Answers of providers to requests for media, by format, in the shape of their documentation and with known media."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from unified_llm.types import (
    ImageRequest,
    SpeechRequest,
    TranscriptionRequest,
    VideoContentRequest,
    VideoJobRequest,
    VideoRequest,
)

PICTURE = b"\x89PNG\r\n\x1a\n picture"
SAMPLES = bytes(range(200))
VIDEO = b"\x00\x00\x00\x20ftypisom video"
WORDS = "What was said."
JOB = "job_1"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _openai(request: Any) -> Any:
    match request:
        case ImageRequest():
            return {"created": 1, "data": [{"b64_json": _encoded(PICTURE)}]}
        case SpeechRequest():
            return SAMPLES
        case TranscriptionRequest():
            return {"text": WORDS}
        case VideoRequest():
            return {"id": JOB, "object": "video", "status": "queued", "model": "some-model"}
        case VideoJobRequest():
            return {"id": request.job, "object": "video", "status": "completed", "model": "some-model"}
        case VideoContentRequest():
            return VIDEO
        case _:
            return None


def _gemini(request: Any) -> Any:
    match request:
        case ImageRequest():
            return _content("image/png", PICTURE)
        case SpeechRequest():
            return _content("audio/L16;codec=pcm;rate=24000", SAMPLES)
        case VideoRequest():
            return {"id": JOB, "status": "in_progress"}
        case VideoJobRequest() | VideoContentRequest():
            video = {"type": "video", "mime_type": "video/mp4", "data": _encoded(VIDEO)}
            return {"id": JOB, "status": "completed", "steps": [{"type": "model_output", "content": [video]}]}
        case _:
            return None


def _content(media_type: str, data: bytes) -> Any:
    part = {"inlineData": {"mimeType": media_type, "data": _encoded(data)}}
    return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


# By the format of the row; those that are not named have OpenAI's.
_ANSWERS: Mapping[str, Callable[[Any], Any]] = {"gemini": _gemini}


def media_answer(format_name: str, request: Any) -> Any:
    """Return the body with which a provider of this format answers a request; None where none is known."""
    return _ANSWERS.get(format_name, _openai)(request)
