"""The models that the fake of OpenAI's API serves, and what each is for.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service: ``dall-e-2`` and
``dall-e-3`` are retired there, but servers in OpenAI's shape have models of that kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integration_tests.fakes.openai_api.replies import APIError

MODELS: Mapping[str, str] = {
    "gpt-4o": "chat",
    "gpt-4o-mini": "chat",
    "gpt-4o-audio-preview": "chat",
    "gpt-5-mini": "chat",
    "o4-mini": "chat",
    "gpt-3.5-turbo-instruct": "completion",
    "davinci-002": "completion",
    "text-embedding-3-small": "embedding",
    "text-embedding-ada-002": "embedding",
    "omni-moderation-latest": "moderation",
    "text-moderation-latest": "moderation",
    "gpt-image-1-mini": "image",
    "gpt-image-2": "image",
    "gpt-image-2.5-flare": "image",
    "dall-e-2": "image",
    "dall-e-3": "image",
    "tts-1": "speech",
    "gpt-4o-mini-tts": "speech",
    "whisper-1": "transcription",
    "gpt-transcribe": "transcription",
    "gpt-4o-transcribe": "transcription",
    "gpt-4o-transcribe-diarize": "transcription",
    "sora-2": "video",
    "sora-2-pro": "video",
    "ft:gpt-4o-mini:tests": "chat",
}
IDS = tuple(MODELS)
_REASONING = re.compile(r"gpt-5|o\d")


def require_model(body: Mapping[str, Any], kind: str | None = None) -> None:
    """Refuse a model that does not exist, or that is for another endpoint."""
    name = body["model"]
    if name not in MODELS:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise APIError(404, message, code="model_not_found")
    if kind not in {None, MODELS[name]}:
        raise APIError(404, f"The model `{name}` is not a {kind} model.", param="model")


def is_reasoning(name: str) -> bool:
    return bool(_REASONING.match(name))
