"""The log probability of a token."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject


class TopLogprob(OpenAIObject):
    """One of the likeliest tokens at a position."""

    token: str
    bytes: list[int] | None
    logprob: float


class ChatCompletionTokenLogprob(OpenAIObject):
    """A token of an answer and the likeliest ones at its position."""

    token: str
    bytes: list[int] | None
    logprob: float
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(OpenAIObject):
    """The log probabilities of an answer."""

    content: list[ChatCompletionTokenLogprob] | None
    refusal: list[ChatCompletionTokenLogprob] | None
