"""Event of the type ``image_generation.completed``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.images_response import UsageInputTokensDetails


class Usage(OpenAIObject):
    """Usage."""

    input_tokens: int
    input_tokens_details: UsageInputTokensDetails
    output_tokens: int
    total_tokens: int


class ImageGenCompletedEvent(OpenAIObject):
    """Event of the type ``image_generation.completed``."""

    b64_json: str
    background: Literal["transparent", "opaque", "auto"]
    created_at: int
    output_format: Literal["png", "webp", "jpeg"]
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"]
    size: str
    type: Literal["image_generation.completed"]
    usage: Usage
    safety_identifier: str | None
