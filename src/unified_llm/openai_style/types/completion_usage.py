"""Tokens used by a chat or text completion."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject


class CompletionTokensDetails(OpenAIObject):
    """What the tokens of a completion were used for."""

    accepted_prediction_tokens: int | None
    audio_tokens: int | None
    reasoning_tokens: int | None
    rejected_prediction_tokens: int | None
    text_tokens: int | None


class PromptTokensDetails(OpenAIObject):
    """What the tokens of a prompt are."""

    audio_tokens: int | None
    cache_write_tokens: int | None
    cached_tokens: int | None
    image_tokens: int | None
    text_tokens: int | None


class CompletionUsage(OpenAIObject):
    """Tokens used by a completion."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    completion_tokens_details: CompletionTokensDetails | None
    prompt_tokens_details: PromptTokensDetails | None
