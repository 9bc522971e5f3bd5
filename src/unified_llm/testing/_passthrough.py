"""Attempts on targets that run for real, in the middle of an outage.

They get connections of their own, which the outage closes at its end, and the time that they take is real.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from unified_llm._client.backends import in_process_model
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm._formats.make_codec import codec_for
from unified_llm.testing._clock import Clock

if TYPE_CHECKING:
    from unified_llm._backends.http import Transport


class Passthrough:
    """Makes attempts as they would be made without an outage.

    Args:
        below: The runtime before the outage.
        clock: The clock of the outage, ahead of that of the runtime.
    """

    def __init__(self, below: Runtime, clock: Clock) -> None:
        """Nothing is connected before it is needed."""
        self._below = below
        self._clock = clock
        self._lock = threading.Lock()
        self._http: Transport | None = None

    def exchange(self, request: AnyRequest, target: Target) -> Exchange:
        """An attempt for synchronous callers."""
        if make := self._below.exchange:
            return PassthroughExchange(make(request, target), self._clock)
        if (model := in_process_model(target)) is not None:  # it reads the clock of the outage itself
            inside: Exchange = model.exchange(request)
            return inside
        return PassthroughExchange(self._transport.exchange(codec_for(target.format), request, target), self._clock)

    def aexchange(self, request: AnyRequest, target: Target) -> AsyncExchange:
        """An attempt for asynchronous callers."""
        if make := self._below.aexchange:
            return AsyncPassthroughExchange(make(request, target), self._clock)
        if (model := in_process_model(target)) is not None:
            inside: AsyncExchange = model.aexchange(request)
            return inside
        return AsyncPassthroughExchange(
            self._transport.aexchange(codec_for(target.format), request, target), self._clock
        )

    def close(self) -> None:
        """Close every connection."""
        if self._http is not None:
            self._http.close()

    @property
    def _transport(self) -> Transport:
        with self._lock:
            if self._http is None:
                from unified_llm._backends.http import Transport

                self._http = Transport(now=self._below.now)
            return self._http


class _Below:
    """Tells the instants of an outage's clock by the clock below it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: float | None = None
        self._ahead = 0.0

    def instant(self, until: float) -> float:
        """An instant that was said before stays where it was, however far others have put the clock forward since."""
        if until != self._said:
            self._said, self._ahead = until, self._clock.ahead
        return until - self._ahead


class PassthroughExchange:
    """An attempt on a target that knows nothing of an outage's clock."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        """Nothing happens before ``open``."""
        self._exchange = exchange
        self._below = _Below(clock)

    def open(self, until: float) -> Failure | None:
        """As the exchange does."""
        return self._exchange.open(self._below.instant(until))

    def read(self, until: float) -> Event:
        """As the exchange does."""
        return self._exchange.read(self._below.instant(until))

    def close(self) -> None:
        """As the exchange does."""
        self._exchange.close()


class AsyncPassthroughExchange:
    """The same for asynchronous callers."""

    def __init__(self, exchange: AsyncExchange, clock: Clock) -> None:
        """Nothing happens before ``open``."""
        self._exchange = exchange
        self._below = _Below(clock)

    async def open(self, until: float) -> Failure | None:
        """As the exchange does."""
        return await self._exchange.open(self._below.instant(until))

    async def read(self, until: float) -> Event:
        """As the exchange does."""
        return await self._exchange.read(self._below.instant(until))

    async def close(self) -> None:
        """As the exchange does."""
        await self._exchange.close()
