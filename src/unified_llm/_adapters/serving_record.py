"""The record of what served a request, which the adapters put into their metadata under ``unified_llm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from unified_llm.types.records import Attempt
from unified_llm.types.responses import EmbeddingResponse, LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm.types.media import ImageResponse, SpeechResponse, Transcription
    from unified_llm.types.raw import RawResponse

Answer: TypeAlias = (
    "LLMResponse | LLMChunk | EmbeddingResponse | ImageResponse | SpeechResponse | Transcription | RawResponse"
)
"""A response, or the last chunk of a stream: both have the attempts and what served the call."""


def serving_record(answer: Answer) -> dict[str, Any]:
    """Return the target that served the request, as the user wrote it, and the attempts, as plain data.

    ``demo`` is in it (True) only where the demo model served the request.
    """
    served = next((attempt for attempt in reversed(answer.attempts) if attempt.outcome == "ok"), None)
    record: dict[str, Any] = {
        "served_by": served.target if served else f"{answer.provider}/{answer.model}",
        "used_fallback": _used_fallback(answer, served),
        "attempts": [attempt.as_dict() for attempt in answer.attempts],
    }
    return {**record, "demo": True} if served and served.demo else record


def _used_fallback(answer: Answer, served: Attempt | None) -> bool:
    if isinstance(answer, EmbeddingResponse):
        return served is not None and served.target != answer.attempts[0].target
    return answer.used_fallback
