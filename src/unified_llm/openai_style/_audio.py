"""``client.audio``: speech, transcriptions and translations of any target that makes them."""

from __future__ import annotations

from functools import cached_property

from unified_llm.openai_style._resource import AsyncResource, Resource
from unified_llm.openai_style._speech import AsyncSpeech, Speech
from unified_llm.openai_style._transcriptions import (
    AsyncTranscriptions,
    AsyncTranslations,
    Transcriptions,
    Translations,
)


class Audio(Resource):
    """Speech and recordings."""

    PATH = "audio"

    @cached_property
    def speech(self) -> Speech:
        """Texts, read aloud."""
        return Speech(self._settings)

    @cached_property
    def transcriptions(self) -> Transcriptions:
        """What is said in recordings."""
        return Transcriptions(self._settings)

    @cached_property
    def translations(self) -> Translations:
        """What is said in recordings, in English."""
        return Translations(self._settings)


class AsyncAudio(AsyncResource):
    """The same as ``Audio``, for async callers."""

    PATH = "audio"

    @cached_property
    def speech(self) -> AsyncSpeech:
        """Texts, read aloud."""
        return AsyncSpeech(self._settings)

    @cached_property
    def transcriptions(self) -> AsyncTranscriptions:
        """What is said in recordings."""
        return AsyncTranscriptions(self._settings)

    @cached_property
    def translations(self) -> AsyncTranslations:
        """What is said in recordings, in English."""
        return AsyncTranslations(self._settings)
