"""Exchange wrappers that send an emulated request and convert its response."""

from __future__ import annotations

from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._structured.emulate import EmulatedOutput


class EmulatedExchange:
    """One attempt for sync callers.

    Args:
        inner: The exchange, created for the rewritten request.
        output: Converts its events.
    """

    def __init__(self, inner: Exchange, output: EmulatedOutput) -> None:
        self._inner, self._output = inner, output

    def open(self, until: float) -> Failure | None:
        """Send the rewritten request."""
        return self._inner.open(until)

    def read(self, until: float) -> Event:
        """Return the next event that is not empty after conversion."""
        while (event := self._output.read(self._inner.read(until))) is None:
            pass
        return event

    def close(self) -> None:
        """Release all resources."""
        self._inner.close()


class AsyncEmulatedExchange:
    """One attempt for async callers; arguments as for ``EmulatedExchange``."""

    def __init__(self, inner: AsyncExchange, output: EmulatedOutput) -> None:
        self._inner, self._output = inner, output

    async def open(self, until: float) -> Failure | None:
        """Send the rewritten request."""
        return await self._inner.open(until)

    async def read(self, until: float) -> Event:
        """Return the next event that is not empty after conversion."""
        while (event := self._output.read(await self._inner.read(until))) is None:
            pass
        return event

    async def close(self) -> None:
        """Release all resources."""
        await self._inner.close()
