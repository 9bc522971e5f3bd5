"""Images."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.image import Image


class UsageInputTokensDetails(OpenAIObject):
    """Usage input tokens details."""

    image_tokens: int
    text_tokens: int


class UsageOutputTokensDetails(OpenAIObject):
    """Usage output tokens details."""

    image_tokens: int
    text_tokens: int


class Usage(OpenAIObject):
    """Usage."""

    input_tokens: int
    input_tokens_details: UsageInputTokensDetails
    output_tokens: int
    total_tokens: int
    output_tokens_details: UsageOutputTokensDetails | None


class ImagesResponse(OpenAIObject):
    """Images."""

    created: int
    background: Literal["transparent", "opaque"] | None
    data: list[Image] | None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None
    quality: Literal["low", "medium", "high", "xhigh", "max"] | None
    safety_identifier: str | None
    size: str | None
    svg_usage: OpenAIObject | None
    usage: Usage | None
