"""All HTTP of this package: the only code that uses httpx, sockets and TLS.

A ``Transport`` makes exchanges. Errors of the server or the network are returned as a ``Failure``, never raised.
The protocol is HTTP/1.1; redirects are never followed, cookies never kept, and bodies, events and waits are bounded.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from unified_llm._backends.http.connections_async import AsyncPools
    from unified_llm._backends.http.connections_sync import SyncPool
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import AsyncExchange, Exchange
    from unified_llm._core.outcome import Failure
    from unified_llm._core.target import Target

__all__ = ["Transport"]


class Transport:
    """The connections of one client, shared by its threads and event loops.

    Nothing is imported or allocated before the first exchange. ``close`` is not required: connections that are no
    longer referenced close themselves.

    Args:
        max_connections: How many may be busy at the same time with one origin (scheme, host and port), for sync code
            and for each event loop: a server that hangs takes no connection from another. A call that finds all of them
            busy waits up to five seconds.
        now: A monotonic clock; the exchanges' deadlines are instants of this clock.
    """

    def __init__(self, *, max_connections: int = 1000, now: Callable[[], float] = time.monotonic) -> None:
        self._max_connections, self._now = max_connections, now
        self._process_id = os.getpid()
        self._closed = False
        self._sync_pool: SyncPool | None = None
        self._async_pools: AsyncPools | None = None
        # Classes that are imported with the first pool.
        self._make_exchange: Callable[..., Exchange]
        self._make_aexchange: Callable[..., AsyncExchange]

    def exchange(self, codec: Codec, call_request: AnyRequest, target: Target) -> Exchange:
        """Create one attempt for sync code."""
        sync_pool = self._find_sync_pool()
        return self._make_exchange(sync_pool, codec, call_request, target)

    def aexchange(self, codec: Codec, call_request: AnyRequest, target: Target) -> AsyncExchange:
        """Create one attempt for the running event loop."""
        loop_pool = self._find_async_pools().for_running_loop()
        return self._make_aexchange(loop_pool, codec, call_request, target)

    def connect_in_advance(self, target: Target, until: float) -> Failure | None:
        """Make a connection for the first request of sync code; return why that failed.

        Certificates and proxy settings are read in any case; through a proxy no connection is made.
        """
        from unified_llm._backends.http.pool import route_in_advance

        sync_pool, route = self._find_sync_pool(), route_in_advance(target)
        return sync_pool.connect_in_advance(route, until, target.timing.connect) if route else None

    async def aconnect_in_advance(self, target: Target, until: float) -> Failure | None:
        """Do the same as ``connect_in_advance``, for the running event loop."""
        from unified_llm._backends.http.pool import route_in_advance

        loop_pool, route = self._find_async_pools().for_running_loop(), route_in_advance(target)
        return await loop_pool.connect_in_advance(route, until, target.timing.connect) if route else None

    def close(self) -> None:
        """Close every idle connection now, and each busy one when its exchange ends. Never waits."""
        self._closed = True
        self._close_idle()

    async def aclose(self) -> None:
        """Close as ``close`` does; wait for one turn of the event loop at most."""
        self._closed = True
        if self._async_pools is not None:
            await self._async_pools.aclose_idle(closed=True)
        self._close_idle()

    async def end_loop(self) -> None:
        """Close the idle connections of the running event loop alone, which is about to be closed."""
        if self._async_pools is not None:
            await self._async_pools.end_loop()

    def _close_idle(self) -> None:
        if self._sync_pool is not None:
            self._sync_pool.idle_connections.closed = self._closed
            self._sync_pool.idle_connections.close_all()
        if self._async_pools is not None:
            self._async_pools.close_idle(closed=self._closed)

    def _find_sync_pool(self) -> SyncPool:
        self._reset_after_fork()
        return self._sync_pool or self._make_sync_pool()

    def _make_sync_pool(self) -> SyncPool:
        from unified_llm._backends.http.connections_sync import SyncPool
        from unified_llm._backends.http.exchange_sync import SyncHTTPExchange

        self._make_exchange = SyncHTTPExchange
        if (pool := self._sync_pool) is None:
            pool = SyncPool(self._max_connections, self._now)
            pool.idle_connections.closed = self._closed
            self._sync_pool = pool
        return pool

    def _find_async_pools(self) -> AsyncPools:
        self._reset_after_fork()
        return self._async_pools or self._make_async_pools()

    def _make_async_pools(self) -> AsyncPools:
        from unified_llm._backends.http.connections_async import AsyncPools
        from unified_llm._backends.http.exchange_async import AsyncHTTPExchange

        self._make_aexchange = AsyncHTTPExchange
        if (pools := self._async_pools) is None:
            pools = self._async_pools = AsyncPools(self._max_connections, self._now, closed=self._closed)
        return pools

    def _reset_after_fork(self) -> None:
        """Drop all connections in a forked child: they belong to the parent. Closing a copied socket sends nothing."""
        if os.getpid() != self._process_id:
            self._process_id = os.getpid()
            self._close_idle()
            self._sync_pool = self._async_pools = None
