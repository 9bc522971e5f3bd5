"""Responses that are bytes: the content of a file, speech, a video."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final

from unified_llm._lib.short_repr import count, short_repr

_PART: Final = 64 * 1024


class BinaryContent:
    """The bytes of a response, with the methods of ``HttpxBinaryResponseContent`` in OpenAI's SDK.

    Attributes:
        content: The bytes.
        unified_llm: What served the call (``served_by``, ``used_fallback``, ``attempts``).
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._request_id: str | None = None
        self.unified_llm: Any = None

    @property
    def text(self) -> str:
        """The bytes as UTF-8."""
        return self.content.decode(errors="replace")

    def json(self, **options: Any) -> Any:
        """Parse the bytes as JSON; options are those of ``json.loads``."""
        return json.loads(self.content, **options)

    def read(self) -> bytes:
        """Return the bytes."""
        return self.content

    async def aread(self) -> bytes:
        """Return the bytes."""
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the bytes in parts.

        Args:
            chunk_size: Bytes of each part; None for 64 KiB.
        """
        size = chunk_size or _PART
        return (self.content[start : start + size] for start in range(0, len(self.content), size))

    iter_raw = iter_bytes

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Do the same as ``iter_bytes``, for async callers."""
        for part in self.iter_bytes(chunk_size):
            yield part

    aiter_raw = aiter_bytes

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Yield the text in parts of so many characters; None for all of it at once."""
        text = self.text
        size = chunk_size or max(1, len(text))
        return (text[start : start + size] for start in range(0, len(text), size))

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the text, without their ends."""
        return iter(self.text.splitlines())

    async def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """Do the same as ``iter_text``, for async callers."""
        for part in self.iter_text(chunk_size):
            yield part

    async def aiter_lines(self) -> AsyncIterator[str]:
        """Do the same as ``iter_lines``, for async callers."""
        for line in self.iter_lines():
            yield line

    def write_to_file(self, file: str | PathLike[str]) -> None:
        """Write the bytes to a file, which is replaced.

        Args:
            file: The path.
        """
        Path(file).write_bytes(self.content)

    def stream_to_file(self, file: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Write the bytes to a file; the size of parts has no effect."""
        del chunk_size
        self.write_to_file(file)

    async def astream_to_file(self, file: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Do the same as ``stream_to_file``, in a thread."""
        await asyncio.to_thread(self.stream_to_file, file, chunk_size=chunk_size)

    def close(self) -> None:
        """Do nothing: the connection was given back."""

    async def aclose(self) -> None:
        """Do nothing: the connection was given back."""

    def __repr__(self) -> str:
        """Return how many bytes there are."""
        return short_repr(self, [count(len(self.content), "byte")])
