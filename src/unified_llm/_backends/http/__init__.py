"""All HTTP of this package: the one place that knows httpx, sockets and TLS.

A ``Transport`` makes exchanges. What a server or a network does to one is returned as a ``Failure``, never raised.
Redirects are never followed, cookies never kept, HTTP/1.1 is spoken, and bodies, events and waits are bounded.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from unified_llm._backends.http.exchange_async import Loops
    from unified_llm._backends.http.exchange_sync import BlockingPool
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import AsyncExchange, Exchange
    from unified_llm._core.target import Target

__all__ = ["Transport"]


class Transport:
    """The connections of one client, shared by its threads and event loops.

    It costs nothing until its first exchange. ``close`` is not required: connections that are no longer referred to
    close themselves.

    Args:
        max_connections: How many may be busy at once, for sync code and for each event loop. A call that finds all of
            them busy waits up to five seconds.
        now: A monotonic clock, the one that the exchanges' instants belong to.
    """

    def __init__(self, *, max_connections: int = 1000, now: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._now = max_connections, now
        self._process = os.getpid()
        self._closed = False
        self._blocking: BlockingPool | None = None
        self._loops: Loops | None = None

    def exchange(self, codec: Codec, request: AnyRequest, target: Target) -> Exchange:
        """One attempt, for sync code."""
        from unified_llm._backends.http.exchange_sync import BlockingExchange, BlockingPool

        self._notice_fork()
        pool = self._blocking
        if pool is None:  # two threads may both be first: then one pool serves a single call
            pool = self._blocking = BlockingPool(self._limit, self._now)
            pool.shelf.closed = self._closed
        return BlockingExchange(pool, codec, request, target)

    def aexchange(self, codec: Codec, request: AnyRequest, target: Target) -> AsyncExchange:
        """One attempt, for the running event loop."""
        from unified_llm._backends.http.exchange_async import LoopExchange, Loops

        self._notice_fork()
        loops = self._loops
        if loops is None:
            loops = self._loops = Loops(self._limit, self._now, closed=self._closed)
        return LoopExchange(loops.running(), codec, request, target)

    def close(self) -> None:
        """Close every idle connection, and from now on each busy one when its exchange ends. Never waits."""
        self._closed = True
        self._clear()

    async def aclose(self) -> None:
        """As ``close``; it waits for a turn of the event loop at most."""
        self._closed = True
        if self._loops is not None:
            await self._loops.aclear(closed=True)
        self._clear()

    def _clear(self) -> None:
        if self._blocking is not None:
            self._blocking.shelf.closed = self._closed
            self._blocking.shelf.clear()
        if self._loops is not None:
            self._loops.clear(closed=self._closed)

    def _notice_fork(self) -> None:
        """After a fork the connections are the parent's. Closing a copy of a socket sends nothing."""
        if os.getpid() != self._process:
            self._process = os.getpid()
            self._clear()
            self._blocking = self._loops = None
