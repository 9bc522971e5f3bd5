"""What moderation found in the inputs, in their order."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.moderation import Moderation


class ModerationCreateResponse(OpenAIObject):
    """What moderation found in the inputs, in their order."""

    id: str
    model: str
    results: list[Moderation]
