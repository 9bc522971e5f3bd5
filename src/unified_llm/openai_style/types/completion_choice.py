"""One of the texts of a text completion."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class Logprobs(OpenAIObject):
    """Log probabilities of the tokens of a text."""

    text_offset: list[int] | None
    token_logprobs: list[float] | None
    tokens: list[str] | None
    top_logprobs: list[dict[str, float]] | None


class CompletionChoice(OpenAIObject):
    """One of the texts of a text completion."""

    finish_reason: Literal["stop", "length", "content_filter"]
    index: int
    logprobs: Logprobs | None
    text: str
