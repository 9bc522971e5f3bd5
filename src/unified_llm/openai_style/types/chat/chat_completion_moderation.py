"""The moderation of a chat completion and of its prompt, where the request asked for it."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class ModerationResult(OpenAIObject):
    """What one text was found to be."""

    categories: dict[str, bool]
    category_applied_input_types: dict[str, list[Literal["text", "image"]]]
    category_scores: dict[str, float]
    flagged: bool
    model: str
    type: Literal["moderation_result"]


class ModerationResults(OpenAIObject):
    """What the texts were found to be."""

    model: str
    results: list[ModerationResult]
    type: Literal["moderation_results"]


class ModerationError(OpenAIObject):
    """Why there is no result."""

    code: str
    message: str
    type: Literal["error"]


class Moderation(OpenAIObject):
    """The moderation of a prompt and of its answer."""

    input: ModerationResults | ModerationError
    output: ModerationResults | ModerationError
