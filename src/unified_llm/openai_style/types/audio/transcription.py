"""A transcription."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class TranscriptionLanguage(OpenAIObject):
    """Transcription language."""

    code: str


class Logprob(OpenAIObject):
    """Logprob."""

    token: str | None
    bytes: list[float] | None
    logprob: float | None


class UsageTokensInputTokenDetails(OpenAIObject):
    """Usage tokens input token details."""

    audio_tokens: int | None
    text_tokens: int | None


class UsageTokens(OpenAIObject):
    """Object of the type ``tokens``."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    type: Literal["tokens"]
    input_token_details: UsageTokensInputTokenDetails | None


class UsageDuration(OpenAIObject):
    """Object of the type ``duration``."""

    seconds: float
    type: Literal["duration"]


class Transcription(OpenAIObject):
    """A transcription."""

    text: str
    languages: list[TranscriptionLanguage] | None
    logprobs: list[Logprob] | None
    usage: UsageTokens | UsageDuration | None
