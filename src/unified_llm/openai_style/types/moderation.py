"""What moderation found in one input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from unified_llm.openai_style._objects import OpenAIObject


class Categories(OpenAIObject):
    """Whether each category was found."""

    BOTH_NAMES = True
    ALIASES: ClassVar[Mapping[str, str]] = {
        "harassment_threatening": "harassment/threatening",
        "hate_threatening": "hate/threatening",
        "illicit_violent": "illicit/violent",
        "self_harm": "self-harm",
        "self_harm_instructions": "self-harm/instructions",
        "self_harm_intent": "self-harm/intent",
        "sexual_minors": "sexual/minors",
        "violence_graphic": "violence/graphic",
    }

    harassment: bool
    harassment_threatening: bool
    hate: bool
    hate_threatening: bool
    illicit: bool | None
    illicit_violent: bool | None
    self_harm: bool
    self_harm_instructions: bool
    self_harm_intent: bool
    sexual: bool
    sexual_minors: bool
    violence: bool
    violence_graphic: bool


class CategoryAppliedInputTypes(OpenAIObject):
    """Which inputs each category was looked for in."""

    BOTH_NAMES = True
    ALIASES: ClassVar[Mapping[str, str]] = {
        "harassment_threatening": "harassment/threatening",
        "hate_threatening": "hate/threatening",
        "illicit_violent": "illicit/violent",
        "self_harm": "self-harm",
        "self_harm_instructions": "self-harm/instructions",
        "self_harm_intent": "self-harm/intent",
        "sexual_minors": "sexual/minors",
        "violence_graphic": "violence/graphic",
    }

    harassment: list[Literal["text"]]
    harassment_threatening: list[Literal["text"]]
    hate: list[Literal["text"]]
    hate_threatening: list[Literal["text"]]
    illicit: list[Literal["text"]]
    illicit_violent: list[Literal["text"]]
    self_harm: list[Literal["text", "image"]]
    self_harm_instructions: list[Literal["text", "image"]]
    self_harm_intent: list[Literal["text", "image"]]
    sexual: list[Literal["text", "image"]]
    sexual_minors: list[Literal["text"]]
    violence: list[Literal["text", "image"]]
    violence_graphic: list[Literal["text", "image"]]


class CategoryScores(OpenAIObject):
    """The score of each category."""

    BOTH_NAMES = True
    ALIASES: ClassVar[Mapping[str, str]] = {
        "harassment_threatening": "harassment/threatening",
        "hate_threatening": "hate/threatening",
        "illicit_violent": "illicit/violent",
        "self_harm": "self-harm",
        "self_harm_instructions": "self-harm/instructions",
        "self_harm_intent": "self-harm/intent",
        "sexual_minors": "sexual/minors",
        "violence_graphic": "violence/graphic",
    }

    harassment: float
    harassment_threatening: float
    hate: float
    hate_threatening: float
    illicit: float
    illicit_violent: float
    self_harm: float
    self_harm_instructions: float
    self_harm_intent: float
    sexual: float
    sexual_minors: float
    violence: float
    violence_graphic: float


class Moderation(OpenAIObject):
    """What moderation found in one input."""

    categories: Categories
    category_applied_input_types: CategoryAppliedInputTypes
    category_scores: CategoryScores
    flagged: bool
