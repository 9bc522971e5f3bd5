"""Tool of the type ``web_search``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class UserLocation(OpenAIObject):
    """User location."""

    city: str | None
    country: str | None
    region: str | None
    timezone: str | None
    type: Literal["approximate"] | None


class WebSearchTool(OpenAIObject):
    """Tool of the type ``web_search``."""

    type: Literal["web_search", "web_search_2025_08_26"]
    external_web_access: bool | None
    filters: OpenAIObject | None
    search_context_size: Literal["low", "medium", "high"] | None
    user_location: UserLocation | None
