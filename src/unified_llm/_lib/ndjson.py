"""Splitter of newline-delimited JSON (NDJSON): bytes in any chunking to lines.

Ollama streams in this format (https://github.com/ollama/ollama/blob/main/docs/api.md). A line is returned as the data
of a ``ServerSentEvent``, so that the readers of streams are the same for both formats.
"""

from __future__ import annotations

from unified_llm._lib.bounded_json import JSONError, parse_lenient
from unified_llm._lib.sse import EVENT_LIMIT, ServerSentEvent

__all__ = ["LineSplitter"]


class LineSplitter:
    """Incremental splitter of one stream's bytes into lines, with the interface of ``SSESplitter``.

    Args:
        limit: The most bytes of one line. When a line exceeds it, ``oversized`` becomes true, the lines before it are
            still returned, and everything after it is dropped.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.oversized = False
        self._limit = limit
        self._rest: list[bytes] = []  # the parts of the line that is not complete yet
        self._size = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Add bytes of the stream; return the lines that they complete."""
        if self.oversized:
            return []
        *ends, last = data.split(b"\n")
        lines: list[ServerSentEvent] = []
        for end in ends:
            line = b"".join([*self._rest, end]).strip()
            self._rest.clear()
            self._size = 0
            if len(line) > self._limit:
                self.oversized = True
                return lines
            if line:
                lines.append(ServerSentEvent(line.decode(errors="replace")))
        self._rest.append(last)
        self._size += len(last)
        self.oversized = self._size > self._limit
        return lines

    def close(self) -> list[ServerSentEvent]:
        """End the stream; return the last line if only its line feed is missing, but never an incomplete value."""
        line = b"".join(self._rest).strip()
        self._rest.clear()
        if self.oversized or not line:
            return []
        try:
            parse_lenient(line)
        except JSONError:
            return []
        return [ServerSentEvent(line.decode(errors="replace"))]
