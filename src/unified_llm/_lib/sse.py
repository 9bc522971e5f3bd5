"""Splitter of server-sent events: bytes in any chunking to events.

Lines end at CR, LF or CRLF only: ``str.splitlines`` would also break at U+2028, which JSON may contain. The format is
https://html.spec.whatwg.org/multipage/server-sent-events.html; the meaning of events is up to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from unified_llm._lib.bounded_json import JSONError, parse_lenient

__all__ = ["EVENT_LIMIT", "SSESplitter", "ServerSentEvent"]

EVENT_LIMIT: Final = 1024 * 1024
"""In bytes. No provider sends an event of that size; without a limit, one endless event would exhaust the memory."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One server-sent event.

    Attributes:
        data: Its ``data`` lines, joined with line feeds.
        event: Its name; ``message`` if the server sent none.
        id: Its ``id`` line, if it had one.
    """

    data: str = field(repr=False)
    event: str = "message"
    id: str | None = None


class SSESplitter:
    """Incremental splitter of one stream's bytes into events.

    Args:
        limit: The most bytes of one event. When an event exceeds it, ``oversized`` becomes true, the events before it
            are still returned, and everything after it is dropped.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.oversized = False
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # the length of the part of the buffer that has no blank line
        self._after_cr = False
        self._start: bytes | None = b""  # bytes held until a byte order mark is recognised or ruled out; then None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Add bytes of the stream; return the events that they complete."""
        if self.oversized or not data:
            return []
        if self._start is not None:
            data = self._without_mark(data)
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        buffer = self._buffer
        buffer += data
        end = buffer.rfind(b"\n\n", max(self._searched - 1, 0))
        if end < 0:
            self._searched = len(buffer)
            self.oversized = len(buffer) > self._limit
            return []
        whole = bytes(buffer[:end])
        del buffer[: end + 2]
        self._searched = len(buffer)  # rfind found the last blank line, so the rest has none
        return self._events(whole)

    def close(self) -> list[ServerSentEvent]:
        """End the stream; return the last event if only the blank line after it is missing.

        The specification drops such an event, but some servers end their streams that way. So an event whose data is
        complete (valid JSON, or ``[DONE]``) is returned; an incomplete one never is.
        """
        if self.oversized:
            return []
        event = _event(bytes(self._buffer) or (self._start or b""))
        self._buffer.clear()
        return [event] if event is not None and _is_complete(event.data) else []

    def _without_mark(self, data: bytes) -> bytes:
        data = (self._start or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._start = None
        return data.removeprefix(_BOM)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Convert line ends to LF. A CR ends its line at once; the LF of a CRLF, even in the next call, is dropped."""
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, whole: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for block in whole.split(b"\n\n"):
            if len(block) > self._limit:
                self.oversized = True
                return events
            event = _event(block)
            if event is not None:
                events.append(event)
        self.oversized = len(self._buffer) > self._limit
        return events


def _event(block: bytes) -> ServerSentEvent | None:
    """Parse the lines of an event; return None without a ``data`` line (comments, only ``retry``) or bare JSON."""
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly every event of nearly every provider
        return ServerSentEvent(block[6:].decode(errors="replace"))
    if block.startswith((b"{", b"[")):  # not a field: Google sends an error in mid-stream as bare JSON
        bare = block.decode(errors="replace")
        return ServerSentEvent(bare) if _is_complete(bare) else None
    if b"data" not in block:
        return None
    data: list[bytes] = []
    name = b""
    identifier: bytes | None = None
    for line in block.split(b"\n"):
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            data.append(value)
        elif key == b"event":
            name = value
        elif key == b"id":
            identifier = value
    if not data:
        return None
    return ServerSentEvent(
        data=b"\n".join(data).decode(errors="replace"),
        event=name.decode(errors="replace") or "message",
        id=None if identifier is None else identifier.decode(errors="replace"),
    )


def _is_complete(data: str) -> bool:
    if data.strip() == "[DONE]":
        return True
    try:
        parse_lenient(data)
    except JSONError:
        return False
    return True
