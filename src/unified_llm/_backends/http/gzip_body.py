"""Decoders of Content-Encoding that return bounded pieces: half a megabyte of gzip can expand to 500 megabytes."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

_PIECE_SIZE: Final = 16 * 1024
_MAX_MEMBERS: Final = 64  # of gzip in one read: a member may be empty
_GZIP: Final = b"\x1f\x8b"
_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS


class IdentityDecoder:
    """Decoder of a body without an encoding."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take received bytes; all bytes of an earlier call must have been read."""
        self._data = data

    @property
    def has_unread(self) -> bool:
        """Return whether bytes were fed and not read."""
        return bool(self._data)

    def read(self) -> bytes:
        """Return at most 16 KiB; empty when more must arrive first."""
        data, self._data = self._data[:_PIECE_SIZE], self._data[_PIECE_SIZE:]
        return data

    @property
    def complete(self) -> bool:
        """Return whether the encoded data is complete."""
        return True


class GzipDecoder:
    """Decoder of gzip. A body that is not gzip at all is returned unchanged: some proxies set the header by mistake.

    ``read`` raises ``zlib.error`` for corrupted data.
    """

    def __init__(self) -> None:
        self._data = b""
        self._decompressor = zlib.decompressobj(_GZIP_ONLY)
        self._has_unread = False  # in _data, or decompressed already within zlib
        self._detected = False
        self._not_gzip = False

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        self._data += data
        self._has_unread = True

    @property
    def has_unread(self) -> bool:
        """Return whether ``read`` may have something to return before more bytes arrive."""
        return self._has_unread

    def read(self) -> bytes:
        """Return at most 16 KiB of decoded bytes; empty when there are none, or none yet."""
        if not self._detected and not self._detect_format():
            self._has_unread = False
            return b""
        if self._not_gzip:
            data, self._data = self._data[:_PIECE_SIZE], self._data[_PIECE_SIZE:]
            self._has_unread = bool(self._data)
            return data
        for _ in range(_MAX_MEMBERS):
            if self._decompressor.eof and not self._begin_member():
                self._has_unread = False
                return b""
            data = self._decompressor.decompress(self._data, _PIECE_SIZE)
            ended = self._decompressor.eof
            self._data = self._decompressor.unused_data if ended else self._decompressor.unconsumed_tail
            self._has_unread = bool(self._data) or len(data) == _PIECE_SIZE
            if data or not self._has_unread:
                return data
        return b""

    def _begin_member(self) -> bool:
        """Go on to the next member; return False if there is none, or not enough of it to recognise."""
        if not self._data or self._may_become_gzip():
            return False
        if not self._data.startswith(_GZIP):  # padding
            self._data = b""
            return False
        self._decompressor = zlib.decompressobj(_GZIP_ONLY)
        return True

    @property
    def complete(self) -> bool:
        """Return whether the encoded data is complete."""
        return self._not_gzip or not self._detected or self._decompressor.eof

    def _detect_format(self) -> bool:
        if self._may_become_gzip():
            return False
        self._detected = True
        self._not_gzip = not self._data.startswith(_GZIP)
        return True

    def _may_become_gzip(self) -> bool:
        """Check whether more bytes must arrive before these can be recognised."""
        return len(self._data) < len(_GZIP) and _GZIP.startswith(self._data)


class ContentDecoder(Protocol):
    """Interface of both decoders."""

    def feed(self, data: bytes) -> None:
        """Add bytes of the body as they came."""
        ...

    @property
    def has_unread(self) -> bool:
        """Return whether ``read`` may have something to return before more bytes arrive."""
        ...

    def read(self) -> bytes:
        """Return the next decoded bytes, at most 16 KiB; none where all that came is decoded."""
        ...

    @property
    def complete(self) -> bool:
        """Return whether the body ended where its encoding says."""
        ...


def make_content_decoder(content_encoding: str) -> ContentDecoder | None:
    """Return a decoder for this ``Content-Encoding``; None for an encoding that was not requested."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return IdentityDecoder()
        case "gzip" | "x-gzip":
            return GzipDecoder()
        case _:
            return None
