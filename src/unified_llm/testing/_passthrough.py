"""Real attempts on targets that are up, during an outage.

They use separate connections, which the outage closes at its end, and the time that they take is real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unified_llm._client.backends import in_process_model
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AnyEvent, AsyncExchange, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.fork_safe import make_lock
from unified_llm.testing._clock import Clock

if TYPE_CHECKING:
    from unified_llm._backends.http import Transport


class Passthrough:
    """Makes attempts as without an outage. Connections are made when they are needed.

    Args:
        outer: The runtime outside of the outage.
        clock: The clock of the outage, ahead of that of the runtime.
    """

    def __init__(self, outer: Runtime, clock: Clock) -> None:
        self._outer = outer
        self._clock = clock
        self._lock = make_lock()
        self._http: Transport | None = None

    def exchange(self, request: AnyRequest, target: Target) -> Exchange:
        """Create an attempt for sync callers."""
        if make := self._outer.exchange:
            return PassthroughExchange(make(request, target), self._clock)
        if (model := in_process_model(target)) is not None:  # it reads the clock of the outage itself
            exchange: Exchange = model.exchange(request)
            return exchange
        return PassthroughExchange(self._transport.exchange(codec_for(target.format), request, target), self._clock)

    def aexchange(self, request: AnyRequest, target: Target) -> AsyncExchange:
        """Create an attempt for async callers."""
        if make := self._outer.aexchange:
            return AsyncPassthroughExchange(make(request, target), self._clock)
        if (model := in_process_model(target)) is not None:
            exchange: AsyncExchange = model.aexchange(request)
            return exchange
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

                self._http = Transport(now=self._outer.now)
            return self._http


class _RealDeadline:
    """Converts deadlines from the clock of an outage to the real clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: float | None = None
        self._ahead = 0.0

    def convert(self, until: float) -> float:
        """Convert a deadline; repeated with the same one, return the same, even if the clock was advanced since."""
        if until != self._until:
            self._until, self._ahead = until, self._clock.ahead
        return until - self._ahead


class PassthroughExchange:
    """An attempt that uses the real clock."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._deadline = _RealDeadline(clock)

    def open(self, until: float) -> Failure | None:
        """Open the exchange with the real deadline."""
        return self._exchange.open(self._deadline.convert(until))

    def read(self, until: float) -> AnyEvent:
        """Read the exchange with the real deadline."""
        return self._exchange.read(self._deadline.convert(until))

    def close(self) -> None:
        """Close the exchange."""
        self._exchange.close()


class AsyncPassthroughExchange:
    """As ``PassthroughExchange``, for async callers."""

    def __init__(self, exchange: AsyncExchange, clock: Clock) -> None:
        self._exchange = exchange
        self._deadline = _RealDeadline(clock)

    async def open(self, until: float) -> Failure | None:
        """Open the exchange with the real deadline."""
        return await self._exchange.open(self._deadline.convert(until))

    async def read(self, until: float) -> AnyEvent:
        """Read the exchange with the real deadline."""
        return await self._exchange.read(self._deadline.convert(until))

    async def close(self) -> None:
        """Close the exchange."""
        await self._exchange.close()
