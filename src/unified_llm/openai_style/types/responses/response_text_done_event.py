"""Event of the type ``response.output_text.done``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.response_text_delta_event import LogprobTopLogprob


class Logprob(OpenAIObject):
    """Logprob."""

    token: str
    logprob: float
    top_logprobs: list[LogprobTopLogprob] | None


class ResponseTextDoneEvent(OpenAIObject):
    """Event of the type ``response.output_text.done``."""

    content_index: int
    item_id: str
    logprobs: list[Logprob]
    output_index: int
    sequence_number: int
    text: str
    type: Literal["response.output_text.done"]
