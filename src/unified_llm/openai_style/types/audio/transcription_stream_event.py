"""Events of streamed transcriptions."""

from __future__ import annotations

from typing import Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.audio.transcription import TranscriptionLanguage


class TranscriptionTextSegmentEvent(OpenAIObject):
    """Event of the type ``transcript.text.segment``."""

    id: str
    end: float
    speaker: str
    start: float
    text: str
    type: Literal["transcript.text.segment"]


class Logprob(OpenAIObject):
    """Logprob."""

    token: str | None
    bytes: list[int] | None
    logprob: float | None


class TranscriptionTextDeltaEvent(OpenAIObject):
    """Event of the type ``transcript.text.delta``."""

    delta: str
    type: Literal["transcript.text.delta"]
    logprobs: list[Logprob] | None
    segment_id: str | None


class UsageInputTokenDetails(OpenAIObject):
    """Usage input token details."""

    audio_tokens: int | None
    text_tokens: int | None


class Usage(OpenAIObject):
    """Object of the type ``tokens``."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    type: Literal["tokens"]
    input_token_details: UsageInputTokenDetails | None


class TranscriptionTextDoneEvent(OpenAIObject):
    """Event of the type ``transcript.text.done``."""

    text: str
    type: Literal["transcript.text.done"]
    languages: list[TranscriptionLanguage] | None
    logprobs: list[Logprob] | None
    usage: Usage | None


TranscriptionStreamEvent: TypeAlias = (
    OpenAIObject | TranscriptionTextSegmentEvent | TranscriptionTextDeltaEvent | TranscriptionTextDoneEvent
)
