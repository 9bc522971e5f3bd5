"""Server-sent events out of bytes, however the network cut them.

Lines end at CR, LF or CRLF and nowhere else: a splitter of text would also break at U+2028, which JSON may hold. The
format is https://html.spec.whatwg.org/multipage/server-sent-events.html; nothing is known here of what events mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from unified_llm._lib.bounded_json import JSONError, parse

__all__ = ["EVENT_LIMIT", "SSESplitter", "ServerSentEvent"]

EVENT_LIMIT: Final = 1024 * 1024
"""Bytes. No provider sends an event of that size; without a bound one endless event would fill the memory."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event.

    Attributes:
        data: Its ``data`` lines, joined with line feeds.
        event: Its name; ``message`` where the server gave none.
        id: Its ``id`` line, if it had one.
    """

    data: str = field(repr=False)
    event: str = "message"
    id: str | None = None


class SSESplitter:
    """Takes the bytes of one stream, returns the events that they complete.

    Args:
        limit: The most bytes that one event may have. When one has more, ``oversized`` becomes true, the events before
            it are still returned, and everything after it is dropped.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.oversized = False
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # how much of the buffer holds no blank line for certain
        self._after_cr = False
        self._start: bytes | None = b""  # what came before a byte order mark could be told; then None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that end within ``data``."""
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
        self._searched = len(buffer)  # the last blank line of all is behind us
        return self._events(whole)

    def close(self) -> list[ServerSentEvent]:
        """The bytes have ended: the last event, if only the blank line after it is missing.

        The specification drops such an event. Some servers end that way, though, so one whose data is plainly whole
        (JSON, or ``[DONE]``) is returned; half an event never is.
        """
        if self.oversized:
            return []
        event = _event(bytes(self._buffer) or (self._start or b""))
        self._buffer.clear()
        return [event] if event is not None and _whole(event.data) else []

    def _without_mark(self, data: bytes) -> bytes:
        data = (self._start or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._start = None
        return data.removeprefix(_BOM)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """A CR ends its line at once; the LF of a CRLF, perhaps in the next piece, then adds nothing."""
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, whole: bytes) -> list[ServerSentEvent]:
        found: list[ServerSentEvent] = []
        for block in whole.split(b"\n\n"):
            if len(block) > self._limit:
                self.oversized = True
                return found
            event = _event(block)
            if event is not None:
                found.append(event)
        self.oversized = len(self._buffer) > self._limit
        return found


def _event(block: bytes) -> ServerSentEvent | None:
    """The event of these lines; None without a ``data`` line (comments, a lone ``retry``) or bare JSON."""
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly every event of nearly every provider
        return ServerSentEvent(block[6:].decode(errors="replace"))
    if block.startswith((b"{", b"[")):  # no field, but how Google says in mid-stream that it gives up
        bare = block.decode(errors="replace")
        return ServerSentEvent(bare) if _whole(bare) else None
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


def _whole(data: str) -> bool:
    if data.strip() == "[DONE]":
        return True
    try:
        parse(data)
    except JSONError:
        return False
    return True
