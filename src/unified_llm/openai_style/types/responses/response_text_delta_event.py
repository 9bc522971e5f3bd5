"""Event of the type ``response.output_text.delta``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class LogprobTopLogprob(OpenAIObject):
    """Logprob top logprob."""

    token: str | None
    logprob: float | None


class Logprob(OpenAIObject):
    """Logprob."""

    token: str
    logprob: float
    top_logprobs: list[LogprobTopLogprob] | None


class ResponseTextDeltaEvent(OpenAIObject):
    """Event of the type ``response.output_text.delta``."""

    content_index: int
    delta: str
    item_id: str
    logprobs: list[Logprob]
    output_index: int
    sequence_number: int
    type: Literal["response.output_text.delta"]
