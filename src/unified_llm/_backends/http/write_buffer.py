"""Data that httpcore has written and that is not sent yet."""

from __future__ import annotations

from typing import Final

_LARGEST_COPY: Final = 64 * 1024


class WriteBuffer:
    """Data that httpcore has written and that is not sent yet.

    It is kept until httpcore's last write of a request, which is empty. So a head is sent with its body, in one packet,
    and no variable of httpcore has either of them while a stream waits for the socket.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[memoryview] = []

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self._parts)

    def add(self, data: bytes) -> None:
        """Add data at the end."""
        self._parts.append(memoryview(data))

    def take(self) -> list[memoryview]:
        """Remove and return what to send: in one piece, unless a copy would be large."""
        parts, self._parts = self._parts, []
        return [memoryview(b"".join(parts))] if sum(map(len, parts)) <= _LARGEST_COPY else parts
