"""The text of an answer, in which the segments that Gemini cites are located.

Gemini counts bytes of UTF-8 within one part, while our positions count characters of the whole text. So a position is
used only if the text there is the one that Gemini names; otherwise that text is searched for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from unified_llm._formats.json_values import count, text_or_none

_Span: TypeAlias = tuple[int, int] | tuple[None, None]

_MAX_WORK: Final = 64 * 1024 * 1024
"""Characters to read for all segments of one answer. A server may cite thousands of segments of a long text, and each
takes time in proportion to that text; those beyond the bound get no position."""


class CitedText:
    """The text so far."""

    __slots__ = ("_encoded", "_fragments", "_work")

    def __init__(self) -> None:
        self._fragments: list[str] = []
        self._encoded: bytes | None = None
        self._work = 0

    def append(self, fragment: str) -> None:
        """Add the next fragment."""
        self._fragments.append(fragment)
        self._encoded = None

    def joined(self) -> str:
        """Return the text so far."""
        if len(self._fragments) != 1:
            self._fragments = ["".join(self._fragments)]
            self._work += len(self._fragments[0])
        return self._fragments[0]

    def locate(self, segment: Mapping[str, Any]) -> _Span:
        """Return where a segment begins and ends, in characters; None twice if it cannot be found."""
        if self._work > _MAX_WORK:
            return None, None
        content, text = self.joined(), text_or_none(segment.get("text"))
        start, end = count(segment.get("startIndex")), count(segment.get("endIndex"))
        if start < end and (text is not None or not segment.get("partIndex")):
            span = self._characters(content, start, end)
            if span is not None and (text is None or content[span[0] : span[1]] == text):
                return span
        if text is None:
            return None, None
        self._work += len(content)
        position = content.find(text)
        return (position, position + len(text)) if position >= 0 else (None, None)

    def _characters(self, content: str, start: int, end: int) -> tuple[int, int] | None:
        """Convert positions in bytes; None beyond the text."""
        if content.isascii():
            self._work += end - start
            return (start, end) if end <= len(content) else None
        if self._encoded is None:
            self._encoded = content.encode(errors="replace")
            self._work += len(self._encoded)
        if end > len(self._encoded):
            return None
        self._work += end
        before = len(self._encoded[:start].decode(errors="replace"))
        return before, before + len(self._encoded[start:end].decode(errors="replace"))
