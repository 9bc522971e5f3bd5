"""Media of the stand-in for Gemini: pictures and samples in answers, and videos of the Interactions API.

Valid interactions are those of the types of google-genai (``_gaos/types/interactions``) and of
ai.google.dev/gemini-api/docs/omni; not tried against the service.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from integration_tests.fakes.gemini_schema import Octets, RefusedError

MODELS = ("gemini-3.1-flash-image", "gemini-3.8-flash-tts", "gemini-2.5-flash-preview-tts", "gemini-omni-1.1-flash")
PICTURE = b"\x89PNG\r\n\x1a\n picture"
SAMPLES = bytes(range(256)) * 4
VIDEO = b"\x00\x00\x00\x20ftypisom video"
USAGE = {
    "promptTokenCount": 7,
    "candidatesTokenCount": 1290,
    "totalTokenCount": 1297,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
}


def makes(body: dict[str, Any]) -> bool:
    """Return whether a request asks for pictures or recordings."""
    modalities = body.get("generationConfig", {}).get("responseModalities", ())
    return bool({"IMAGE", "AUDIO"} & set(modalities))


def parts_of(body: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """Return the parts of an answer with a picture or with samples; none where nothing may be drawn."""
    modalities = body.get("generationConfig", {}).get("responseModalities", ())
    if "AUDIO" in modalities:
        half = len(SAMPLES) // 2
        kind = "audio/L16;codec=pcm;rate=24000"
        return [_inline(kind, SAMPLES[:half]), _inline(kind, SAMPLES[half:])]
    if "IMAGE" in modalities and "forbidden" not in text:
        return [{"text": "Here it is."}, _inline("image/png", PICTURE)]
    return []


def _inline(media_type: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode()}}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Strict):
    type: Literal["text"]
    text: str = Field(min_length=1)


class _Image(_Strict):
    type: Literal["image"]
    mime_type: Literal["image/png", "image/jpeg", "image/webp"]
    data: Octets


class _Input(_Strict):
    type: Literal["user_input"]
    content: list[Annotated[_Text | _Image, Field(discriminator="type")]] = Field(min_length=1)


def _duration(text: str) -> str:
    if not text.endswith("s") or not text[:-1].isdigit() or not 3 <= int(text[:-1]) <= 10:
        raise ValueError("a duration is 3s to 10s")
    return text


class _Format(_Strict):
    type: Literal["video"]
    aspect_ratio: Literal["16:9", "9:16"] | None = None
    duration: Annotated[str, AfterValidator(_duration)] | None = None
    resolution: Literal["360p", "720p", "1080p", "4k"] | None = None
    delivery: Literal["inline"] | None = None


class _Interaction(_Strict):
    model: Literal["gemini-omni-1.1-flash"]
    input: list[_Input] = Field(min_length=1, max_length=1)
    background: Literal[True]
    response_format: _Format


class Interactions:
    """The interactions of a server: each is in progress when it is looked at for the first time, and then over."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[str, int]] = {}

    def create(self, raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the body in one spelling, and the new interaction."""
        try:
            parsed = _Interaction.model_validate_json(raw)
        except ValidationError as problem:
            first = problem.errors()[0]
            path = ".".join(map(str, first["loc"]))
            raise RefusedError(400, f'Invalid JSON payload received. "{path}": {first["msg"]}.') from None
        identifier = f"v1_{len(self._made)}"
        prompt = "".join(block.text for block in parsed.input[0].content if isinstance(block, _Text))
        self._made[identifier] = (prompt, 0)
        return parsed.model_dump(exclude_none=True), _interaction(identifier, "in_progress")

    def get(self, identifier: str) -> dict[str, Any]:
        """Return an interaction as it is by now."""
        if identifier not in self._made:
            raise RefusedError(404, "Requested entity was not found.")
        prompt, seen = self._made[identifier]
        self._made[identifier] = (prompt, seen + 1)
        if not seen:
            return _interaction(identifier, "in_progress")
        if "forbidden" in prompt:
            error = {"code": "https://generativelanguage.googleapis.com/errors/safety", "message": _BLOCKED}
            return {**_interaction(identifier, "failed"), "errors": [error]}
        video = {"type": "video", "mime_type": "video/mp4", "data": base64.b64encode(VIDEO).decode()}
        return {
            **_interaction(identifier, "completed"),
            "steps": [{"type": "model_output", "content": [video]}],
            "usage": {"total_tokens": 100},
        }


_BLOCKED = "The response was blocked because of the safety policy."


def _interaction(identifier: str, status: str) -> dict[str, Any]:
    times = {"created": "2026-11-30T00:00:00Z", "updated": "2026-11-30T00:00:01Z"}
    return {"id": identifier, "model": "gemini-omni-1.1-flash", "status": status, "role": "model", **times}
