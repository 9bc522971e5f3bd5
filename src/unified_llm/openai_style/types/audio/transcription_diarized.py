"""A transcription that tells speakers apart."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.audio.transcription import UsageDuration, UsageTokensInputTokenDetails


class TranscriptionDiarizedSegment(OpenAIObject):
    """Object of the type ``transcript.text.segment``."""

    id: str
    end: float
    speaker: str
    start: float
    text: str
    type: Literal["transcript.text.segment"]


class UsageTokens(OpenAIObject):
    """Object of the type ``tokens``."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    type: Literal["tokens"]
    input_token_details: UsageTokensInputTokenDetails | None


class TranscriptionDiarized(OpenAIObject):
    """A transcription that tells speakers apart."""

    duration: float
    segments: list[TranscriptionDiarizedSegment]
    task: Literal["transcribe"]
    text: str
    usage: UsageTokens | UsageDuration | None
