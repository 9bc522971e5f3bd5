"""Exchanges of chats that convert events: JSON that was requested by prompt, stop sequences applied here."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol, cast

from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Failure


class Converter(Protocol):
    """Converts the events of one attempt."""

    def convert(self, event: Event) -> Sequence[Event]:
        """Return what is passed on for one event: nothing, one event, or several."""
        ...


class _Converted:
    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self._pending: deque[Event] = deque()

    def _on_open(self, failure: Failure | None) -> Failure | None:
        if failure is None:
            return None
        last = self._converter.convert(failure)[-1]
        return last if isinstance(last, Failure) else failure


class ConvertedExchange(_Converted):
    """An exchange for sync callers that passes on what a converter makes of the events of another.

    Args:
        inner: The other exchange.
        converter: Converts its events. Used for one attempt.
    """

    def __init__(self, inner: Exchange, converter: Converter) -> None:
        super().__init__(converter)
        self._inner = inner

    def open(self, until: float) -> Failure | None:
        """Send the request."""
        return self._on_open(self._inner.open(until))

    def read(self, until: float) -> Event:
        """Return the next event that is passed on."""
        pending = self._pending
        while not pending:
            pending.extend(self._converter.convert(cast("Event", self._inner.read(until))))
        return pending.popleft()

    def close(self) -> None:
        """Release all resources."""
        self._inner.close()


class AsyncConvertedExchange(_Converted):
    """The same for async callers; arguments as for ``ConvertedExchange``."""

    def __init__(self, inner: AsyncExchange, converter: Converter) -> None:
        super().__init__(converter)
        self._inner = inner

    async def open(self, until: float) -> Failure | None:
        """Send the request."""
        return self._on_open(await self._inner.open(until))

    async def read(self, until: float) -> Event:
        """Return the next event that is passed on."""
        pending = self._pending
        while not pending:
            pending.extend(self._converter.convert(cast("Event", await self._inner.read(until))))
        return pending.popleft()

    async def close(self) -> None:
        """Release all resources."""
        await self._inner.close()
