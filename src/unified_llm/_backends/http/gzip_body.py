"""Decoders of Content-Encoding that return bounded chunks: half a megabyte of gzip can expand to 500 megabytes."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

_CHUNK_SIZE: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS


class IdentityDecoder:
    """Decoder of a body without an encoding."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take received bytes; all bytes of an earlier call must have been read."""
        self._data = data

    def read(self) -> bytes:
        """Return all bytes that are available; empty when more must arrive first."""
        data, self._data = self._data, b""
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
        self._detected = False
        self._not_gzip = False

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        self._data += data

    def read(self) -> bytes:
        """Return at most 64 KiB of decoded bytes; empty when more must arrive first."""
        if not self._detected and not self._detect_format():
            return b""
        if self._not_gzip:
            data, self._data = self._data, b""
            return data
        while self._data:
            if self._decompressor.eof:  # another member, or padding
                if self._may_become_gzip():
                    break
                if not self._data.startswith(_GZIP):
                    self._data = b""
                    break
                self._decompressor = zlib.decompressobj(_GZIP_ONLY)
            data = self._decompressor.decompress(self._data, _CHUNK_SIZE)
            self._data = (
                self._decompressor.unused_data if self._decompressor.eof else self._decompressor.unconsumed_tail
            )
            if data:
                return data
        return self._decompressor.decompress(b"", _CHUNK_SIZE) if not self._decompressor.eof else b""

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

    def read(self) -> bytes:
        """Return the next decoded bytes; none where all that came is decoded."""
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
