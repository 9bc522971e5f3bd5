"""Exchanges that read what another exchange returns as structured output."""

from __future__ import annotations

from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._structured.attempts import StructuredAttempt


class StructuredExchange:
    """One attempt for sync callers.

    Args:
        inner: The exchange, created for the request of the attempt.
        attempt: Reads its events.
    """

    def __init__(self, inner: Exchange, attempt: StructuredAttempt) -> None:
        self._inner, self._attempt = inner, attempt

    def open(self, until: float) -> Failure | None:
        """Send the request."""
        failure = self._inner.open(until)
        return self._attempt.on_failure(failure) if failure else None

    def read(self, until: float) -> Event:
        """Return the next event that is not empty after conversion."""
        while (event := self._attempt.read(self._inner.read(until))) is None:
            pass
        return event

    def close(self) -> None:
        """Release all resources."""
        self._inner.close()


class AsyncStructuredExchange:
    """One attempt for async callers; arguments as for ``StructuredExchange``."""

    def __init__(self, inner: AsyncExchange, attempt: StructuredAttempt) -> None:
        self._inner, self._attempt = inner, attempt

    async def open(self, until: float) -> Failure | None:
        """Send the request."""
        failure = await self._inner.open(until)
        return self._attempt.on_failure(failure) if failure else None

    async def read(self, until: float) -> Event:
        """Return the next event that is not empty after conversion."""
        while (event := self._attempt.read(await self._inner.read(until))) is None:
            pass
        return event

    async def close(self) -> None:
        """Release all resources."""
        await self._inner.close()
