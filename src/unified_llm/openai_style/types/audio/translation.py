"""Translations of recordings."""

from __future__ import annotations

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.audio.transcription_verbose import TranscriptionSegment


class Translation(OpenAIObject):
    """A translation."""

    text: str


class TranslationVerbose(OpenAIObject):
    """A translation with its segments."""

    duration: float
    language: str
    text: str
    segments: list[TranscriptionSegment] | None
