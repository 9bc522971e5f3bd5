"""Input tokens details."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject


class InputTokensDetails(OpenAIObject):
    """Input tokens details."""

    cache_write_tokens: int
    cached_tokens: int
    cache_write_tokens_details: OpenAIObject | None
