"""A transcription with its segments or words."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class TranscriptionSegment(OpenAIObject):
    """Transcription segment."""

    id: int
    avg_logprob: float
    compression_ratio: float
    end: float
    no_speech_prob: float
    seek: int
    start: float
    temperature: float
    text: str
    tokens: list[int]


class Usage(OpenAIObject):
    """Object of the type ``duration``."""

    seconds: float
    type: Literal["duration"]


class TranscriptionWord(OpenAIObject):
    """Transcription word."""

    end: float
    start: float
    word: str


class TranscriptionVerbose(OpenAIObject):
    """A transcription with its segments or words."""

    duration: float
    language: str
    text: str
    segments: list[TranscriptionSegment] | None
    usage: Usage | None
    words: list[TranscriptionWord] | None
