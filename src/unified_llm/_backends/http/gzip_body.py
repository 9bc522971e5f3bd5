"""Content-Encoding, one bounded piece at a time: half a megabyte of gzip can hold 500 megabytes of zeros."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

_PIECE: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS


class Plain:
    """Bytes as they came."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take what arrived; everything fed before has been taken out."""
        self._data = data

    def piece(self) -> bytes:
        """What can be had now; empty when more must arrive first."""
        data, self._data = self._data, b""
        return data

    @property
    def whole(self) -> bool:
        """Whether the encoding itself has ended."""
        return True


class Gunzip:
    """As ``Plain``, for gzip. Bytes that are no gzip at all pass as they are: some proxies only claim it.

    ``piece`` raises ``zlib.error`` for damaged data.
    """

    def __init__(self) -> None:
        self._data = b""
        self._inflate = zlib.decompressobj(_GZIP_ONLY)
        self._begun = False
        self._plain = False

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._data += data

    def piece(self) -> bytes:
        """At most 64 KiB of what can be had now; empty when more must arrive first."""
        if not self._begun and not self._begins():
            return b""
        if self._plain:
            data, self._data = self._data, b""
            return data
        while self._data:
            if self._inflate.eof:  # a further member, or padding
                if not self._data.startswith(_GZIP):
                    self._data = b""
                    break
                self._inflate = zlib.decompressobj(_GZIP_ONLY)
            data = self._inflate.decompress(self._data, _PIECE)
            self._data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if data:
                return data
        return self._inflate.decompress(b"", _PIECE) if not self._inflate.eof else b""

    @property
    def whole(self) -> bool:
        """Whether the encoding itself has ended."""
        return self._plain or not self._begun or self._inflate.eof

    def _begins(self) -> bool:
        if len(self._data) < len(_GZIP) and _GZIP.startswith(self._data):
            return False
        self._begun = True
        self._plain = not self._data.startswith(_GZIP)
        return True


class Encoding(Protocol):
    """What both have in common."""

    def feed(self, data: bytes) -> None: ...
    def piece(self) -> bytes: ...
    @property
    def whole(self) -> bool: ...


def decoding(content_encoding: str) -> Encoding | None:
    """What undoes this ``Content-Encoding``; None for one that was never asked for."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return Plain()
        case "gzip" | "x-gzip":
            return Gunzip()
        case _:
            return None
