"""One JSON value on each line (NDJSON), out of bytes, however the network cut them.

Ollama streams that way (https://github.com/ollama/ollama/blob/main/docs/api.md). A line comes out as the data of an
event, so that what reads streams need not know how they were cut.
"""

from __future__ import annotations

from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.sse import EVENT_LIMIT, ServerSentEvent

__all__ = ["LineSplitter"]


class LineSplitter:
    """Takes the bytes of one stream, returns the lines that they complete. Used as ``SSESplitter`` is.

    Args:
        limit: The most bytes that one line may have. When one has more, ``oversized`` becomes true, the lines before it
            are still returned, and everything after it is dropped.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.oversized = False
        self._limit = limit
        self._rest: list[bytes] = []  # the pieces of the line that has not ended yet
        self._size = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The lines that end within ``data``."""
        if self.oversized:
            return []
        *whole, last = data.split(b"\n")
        found: list[ServerSentEvent] = []
        for piece in whole:
            line = b"".join([*self._rest, piece]).strip()
            self._rest.clear()
            self._size = 0
            if len(line) > self._limit:
                self.oversized = True
                return found
            if line:
                found.append(ServerSentEvent(line.decode(errors="replace")))
        self._rest.append(last)
        self._size += len(last)
        self.oversized = self._size > self._limit
        return found

    def close(self) -> list[ServerSentEvent]:
        """The bytes have ended: the last line, if nothing but its end is missing. Half a value is never returned."""
        line = b"".join(self._rest).strip()
        self._rest.clear()
        if self.oversized or not line:
            return []
        try:
            parse(line)
        except JSONError:
            return []
        return [ServerSentEvent(line.decode(errors="replace"))]
