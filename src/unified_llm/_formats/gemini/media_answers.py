"""Media in answers of Gemini, as images and speech come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import read_finish_reason
from unified_llm._formats.gemini.response import read_blocked_prompt
from unified_llm._formats.json_values import brief, is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.media_fields import decode_bytes


def candidates_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the candidates of an answer."""
    items = answer.get("candidates")
    return [item for item in items if is_object(item)] if is_list(items) else []


def media_of(candidate: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the media type, in lower case, and the bytes of each part that is media and no draft of a thought."""
    parts = object_or_empty(candidate.get("content")).get("parts")
    for part in parts if is_list(parts) else ():
        if not is_object(part) or part.get("thought") is True:
            continue
        inline = object_or_empty(part.get("inlineData"))
        if data := decode_bytes(inline.get("data")):
            yield (text_or_none(inline.get("mimeType")) or "").lower(), data


def answer_without_media(answer: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]], target: Target) -> Failure:
    """Return why there are no media: a filter, a failure of the model's, or words in their place."""
    if not candidates:
        return read_blocked_prompt(answer) or Failure("empty")
    reason, detail = candidates[0].get("finishReason"), brief(candidates[0].get("finishMessage"))
    meaning = read_finish_reason(reason, target, has_content=False, has_calls=False, detail=detail)
    if isinstance(meaning, Failure):
        return meaning
    return Failure("filter" if meaning == "content_filter" else "empty", code=text_or_none(reason), detail=detail)
