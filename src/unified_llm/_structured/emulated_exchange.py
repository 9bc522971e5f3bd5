"""Exchanges whose request and answer are rewritten on the way, because the target lacks what was asked for."""

from __future__ import annotations

from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._structured.emulate import EmulatedOutput


class EmulatedExchange:
    """An attempt for synchronous callers."""

    def __init__(self, inner: Exchange, reader: EmulatedOutput) -> None:
        """``inner`` was made for the rewritten request."""
        self._inner, self._reader = inner, reader

    def open(self, until: float) -> Failure | None:
        """Send the rewritten request."""
        return self._inner.open(until)

    def read(self, until: float) -> Event:
        """The next event that says something."""
        while (event := self._reader.read(self._inner.read(until))) is None:
            pass
        return event

    def close(self) -> None:
        """Give everything back."""
        self._inner.close()


class AsyncEmulatedExchange:
    """An attempt for asynchronous callers."""

    def __init__(self, inner: AsyncExchange, reader: EmulatedOutput) -> None:
        """``inner`` was made for the rewritten request."""
        self._inner, self._reader = inner, reader

    async def open(self, until: float) -> Failure | None:
        """Send the rewritten request."""
        return await self._inner.open(until)

    async def read(self, until: float) -> Event:
        """The next event that says something."""
        while (event := self._reader.read(await self._inner.read(until))) is None:
            pass
        return event

    async def close(self) -> None:
        """Give everything back."""
        await self._inner.close()
