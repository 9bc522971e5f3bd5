"""Event of the type ``image_generation.partial_image``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class ImageGenPartialImageEvent(OpenAIObject):
    """Event of the type ``image_generation.partial_image``."""

    b64_json: str
    background: Literal["transparent", "opaque", "auto"]
    created_at: int
    output_format: Literal["png", "webp", "jpeg"]
    partial_image_index: int
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"]
    size: str
    type: Literal["image_generation.partial_image"]
