"""Exchanges whose key is fetched when they are opened, and once more where the server refuses it.

The request is then sent again with the new key, if that is another one, within the time of the same attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from unified_llm._backends.keys.fetch import Fetched, TakenKey, aget_key, get_key
from unified_llm._core.exchange import AnyEvent, AsyncExchange, Exchange
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import current
from unified_llm._core.target import Target

_log = logging.getLogger("unified_llm")

ExchangeT = TypeVar("ExchangeT", Exchange, AsyncExchange)


class _Keyed(Generic[ExchangeT]):
    """Base of the sync and the async exchange.

    Args:
        source: The callable that returns the key.
        make: Makes the exchange with a target that has its key.
        target: The target, without a key.
    """

    def __init__(self, source: KeyCallable, make: Callable[[Target], ExchangeT], target: Target) -> None:
        self._source, self._target = source, target
        self._make: Callable[[Target], ExchangeT] = make
        self._inner: ExchangeT | None = None
        self._taken: TakenKey | None = None
        self._may_send_again = True

    def _next(self, key: Fetched, refusal: Failure | None = None) -> ExchangeT | Failure:
        """Return the exchange that sends a key; a failure where there is none, or the one that was refused."""
        if isinstance(key, Failure):
            return key
        if refusal is not None and self._taken is not None:
            if key == self._taken.key:
                return refusal
            text = "%s: its API key was refused; the request is sent again with a new one"
            _log.info(text, self._target.name, extra={"target": self._target.name, "status": refusal.status})
        self._taken = TakenKey(key, current().now())
        return self._make(self._target.with_key(key))

    def _was_refused(self, event: Failure) -> bool:
        """Return whether the first key was refused, before anything else came."""
        may, self._may_send_again = self._may_send_again, False
        return may and self._taken is not None and event.kind == "auth"


class KeyedExchange(_Keyed[Exchange]):
    """One attempt with a key that is fetched, for sync callers."""

    def open(self, until: float) -> Failure | None:
        """Fetch the key, and send the request."""
        failure = self._send(self._next(get_key(self._source, until)), until)
        return self._send_again(failure, until) if failure is not None and self._was_refused(failure) else failure

    def read(self, until: float) -> AnyEvent:
        """Return the next event."""
        if self._inner is None:
            return Failure("connection")  # not opened, or opening failed
        event = self._inner.read(until)
        if isinstance(event, Failure) and self._was_refused(event):
            return self._send_again(event, until) or self._inner.read(until)
        self._may_send_again = False
        return event

    def close(self) -> None:
        """Give everything back."""
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def _send_again(self, refusal: Failure, until: float) -> Failure | None:
        following = self._next(get_key(self._source, until, self._taken), refusal)
        if not isinstance(following, Failure):
            self.close()
        return self._send(following, until)

    def _send(self, inner: Exchange | Failure, until: float) -> Failure | None:
        if isinstance(inner, Failure):
            return inner
        self._inner = inner
        return inner.open(until)


class AsyncKeyedExchange(_Keyed[AsyncExchange]):
    """The same for async callers."""

    async def open(self, until: float) -> Failure | None:
        """Fetch the key, and send the request."""
        failure = await self._send(self._next(await aget_key(self._source, until)), until)
        return await self._send_again(failure, until) if failure is not None and self._was_refused(failure) else failure

    async def read(self, until: float) -> AnyEvent:
        """Return the next event."""
        if self._inner is None:
            return Failure("connection")  # not opened, or opening failed
        event = await self._inner.read(until)
        if isinstance(event, Failure) and self._was_refused(event):
            return await self._send_again(event, until) or await self._inner.read(until)
        self._may_send_again = False
        return event

    async def close(self) -> None:
        """Give everything back."""
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.close()

    async def _send_again(self, refusal: Failure, until: float) -> Failure | None:
        following = self._next(await aget_key(self._source, until, self._taken), refusal)
        if not isinstance(following, Failure):
            await self.close()
        return await self._send(following, until)

    async def _send(self, inner: AsyncExchange | Failure, until: float) -> Failure | None:
        if isinstance(inner, Failure):
            return inner
        self._inner = inner
        return await inner.open(until)
