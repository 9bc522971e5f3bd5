"""Tool of the type ``web_search_preview``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class UserLocation(OpenAIObject):
    """Tool of the type ``approximate``."""

    type: Literal["approximate"]
    city: str | None
    country: str | None
    region: str | None
    timezone: str | None


class WebSearchPreviewTool(OpenAIObject):
    """Tool of the type ``web_search_preview``."""

    type: Literal["web_search_preview", "web_search_preview_2025_03_11"]
    search_content_types: list[Literal["text", "image"]] | None
    search_context_size: Literal["low", "medium", "high"] | None
    user_location: UserLocation | None
