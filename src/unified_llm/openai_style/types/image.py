"""One image."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject


class Image(OpenAIObject):
    """One image."""

    b64_json: str | None
    revised_prompt: str | None
    url: str | None
