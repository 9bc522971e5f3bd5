"""Parts of a text of a model."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class AnnotationURLCitation(OpenAIObject):
    """Object of the type ``url_citation``."""

    end_index: int
    start_index: int
    title: str
    type: Literal["url_citation"]
    url: str


class LogprobTopLogprob(OpenAIObject):
    """Logprob top logprob."""

    token: str
    bytes: list[int]
    logprob: float


class Logprob(OpenAIObject):
    """Logprob."""

    token: str
    bytes: list[int]
    logprob: float
    top_logprobs: list[LogprobTopLogprob]
