"""Iteration over the steps of a call, sync and async: the part that all streams share."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

from unified_llm._backends.objects.finalize import finish_without_loop
from unified_llm._client.drivers import AsyncDriver, Driver, Step
from unified_llm._client.stream_misuse import AsyncOnly, SyncOnly

ChunkT = TypeVar("ChunkT")


class StepReader(Generic[ChunkT]):
    """Base of what reads the steps of a call: a chunk, the end, a failure."""

    _over: bool = False

    @abstractmethod
    def _check_unread(self) -> None:
        """Refuse a second reading."""

    @abstractmethod
    def _read(self, step: Step) -> ChunkT | None:
        """Return the chunk of a step; None where the stream ends without one."""


class SyncSteps(StepReader[ChunkT], SyncOnly):
    """Chunks for sync callers. Nothing is sent before the first chunk is asked for."""

    _driver: Driver

    def __iter__(self) -> Self:
        """Return itself: a stream is read once.

        Raises:
            ValidationError: It was read, or closed.
        """
        self._check_unread()
        return self

    def __next__(self) -> ChunkT:
        """Return the next chunk.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        if self._over:
            raise StopIteration
        try:
            step = self._driver.advance()
        except BaseException:
            self._over = True
            raise
        chunk = self._read(step)
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Stop, and give the connection back."""
        self._over = True
        self._driver.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Give the connection of a forgotten stream back."""
        if driver := getattr(self, "_driver", None):
            driver.close()


class AsyncSteps(StepReader[ChunkT], AsyncOnly):
    """Chunks for async callers. Nothing is sent before the first chunk is asked for."""

    _driver: AsyncDriver

    def __aiter__(self) -> Self:
        """Return itself: a stream is read once.

        Raises:
            ValidationError: It was read, or closed.
        """
        self._check_unread()
        return self

    async def __anext__(self) -> ChunkT:
        """Return the next chunk.

        Raises:
            StreamInterruptedError: The stream broke after its first chunk.
            LLMError: No target answered.
        """
        if self._over:
            raise StopAsyncIteration
        try:
            step = await self._driver.advance()
        except BaseException:
            self._over = True
            raise
        chunk = self._read(step)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Stop, and give the connection back."""
        self._over = True
        await self._driver.close()

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __del__(self) -> None:
        """Give the connection of a forgotten stream back, without waiting."""
        if driver := getattr(self, "_driver", None):
            finish_without_loop(driver.close)
