"""Transcriptions in the shape of OpenAI's SDK, under the names that they have in ``openai.types.audio``."""

from __future__ import annotations

from unified_llm.openai_style.types.audio.transcription import (
    Transcription,
    TranscriptionLanguage,
)
from unified_llm.openai_style.types.audio.transcription_diarized import (
    TranscriptionDiarized,
    TranscriptionDiarizedSegment,
)
from unified_llm.openai_style.types.audio.transcription_stream_event import (
    TranscriptionStreamEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)
from unified_llm.openai_style.types.audio.transcription_verbose import (
    TranscriptionSegment,
    TranscriptionVerbose,
    TranscriptionWord,
)
from unified_llm.openai_style.types.audio.translation import (
    Translation,
    TranslationVerbose,
)

__all__ = [
    "Transcription",
    "TranscriptionDiarized",
    "TranscriptionDiarizedSegment",
    "TranscriptionLanguage",
    "TranscriptionSegment",
    "TranscriptionStreamEvent",
    "TranscriptionTextDeltaEvent",
    "TranscriptionTextDoneEvent",
    "TranscriptionTextSegmentEvent",
    "TranscriptionVerbose",
    "TranscriptionWord",
    "Translation",
    "TranslationVerbose",
]
