"""The connections of async code. ``connections_sync`` is the same for threads.

A connection belongs to the event loop that made it, so each loop has a pool of its own::

    Transport
      |-- SyncPool                           all threads
      `-- AsyncPools
            |-- loop A <-> AsyncPool         Permits, IdleConnections
            |-- loop B <-> AsyncPool
            `-- loop C (closed) <-> AsyncPool

All references to loops and to their pools are weak: a loop owns its pool, and a loop that nobody closes is collected
with it. At the next look-up of another loop, the idle connections of a loop that is closed are closed, and those that
have been idle for too long in a loop that does not run.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import httpcore
import httpx

from unified_llm._backends.http import errors, permits, pool
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.loop_local import LoopLocal
from unified_llm._core.outcome import Failure
from unified_llm._lib.fork_safe import make_lock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_MAX_BUFFERED_CHUNKS: Final = 256  # a server that sends chunks of one byte could make thousands from one read


class AsyncPooledConnection(httpx.AsyncHTTPTransport):
    """One connection that carries one request after another; see ``SyncPooledConnection``."""

    def __init__(self, route: pool.Route, now: Callable[[], float], made_at: float) -> None:
        # httpx's own __init__ would create a pool of many connections; this has a single one.
        self.sock = AsyncDeadlineSocket(now, pool.tunnel_of(route))
        self.http_connection = pool.make_async_connection(route, self.sock)
        self._pool = self.http_connection  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self.made_at = self.idle_since = made_at
        self._unread: tuple[AsyncIterator[bytes] | None, httpx.AsyncByteStream] | None = None
        self._ready: httpcore.AsyncNetworkStream | None = None

    async def connect_in_advance(self, route: pool.Route, until: float, connect_timeout: float) -> None:
        """Connect before there is a request.

        Raises:
            httpcore.NetworkError, httpcore.TimeoutException, OversizedHeadError: It failed; the socket says why.
        """
        _, host, port = route.origin
        self.sock.start_request(until, connect_timeout)
        stream = await self.sock.connect_tcp(host, port)
        if (ssl_context := pool.load_ssl_context(route)) is not None:
            stream = await stream.start_tls(ssl_context, host)
        self._ready = self.sock.ready = stream

    def drop(self) -> None:
        """Close the connection at once, with or without a running loop."""
        self.sock.drop()

    def release(self, body_chunks: AsyncIterator[bytes] | None, stream: httpx.AsyncByteStream) -> None:
        """Keep the unread end of a body, which may not have arrived yet, for ``make_reusable`` to read.

        Where the body has ended, ``body_chunks`` is None: an async generator refers to its event loop even then.
        """
        self._unread = (body_chunks, stream)

    async def end_body(self) -> None:
        """End an unread body after ``drop``, here rather than in a task that the event loop would create for it."""
        unread, self._unread = self._unread, None
        if unread is not None and unread[0] is not None:
            await end_body(unread[0])

    async def make_reusable(self) -> bool:
        """Read the end of the last body, without waiting; return whether the connection can carry another request."""
        ready, self._ready = self._ready, None
        self.sock.start_leftovers()
        try:
            if ready is not None:
                return await _is_silent(ready)
            if self._unread is not None:
                body_chunks, stream = self._unread
                for _ in range(pool.MAX_UNREAD_CHUNKS):
                    if body_chunks is None or await anext(body_chunks, None) is None:
                        break
                else:
                    return False
                await stream.aclose()
                self._unread = None
            return pool.can_carry_another_request(self.http_connection)
        except errors.HTTP_ERRORS:
            return False


class AsyncPool:
    """The connections of one event loop."""

    def __init__(self, max_connections: int, now: Callable[[], float]) -> None:
        self.now, self.age_clock = now, pool.age_clock(now)
        self.idle_connections: pool.IdleConnections[AsyncPooledConnection] = pool.IdleConnections(self.age_clock)
        self.permits = permits.Permits(max_connections)

    async def take_idle(self, route: pool.Route) -> AsyncPooledConnection | None:
        """Return an idle connection that can carry a request, or None if a new one is needed."""
        while (connection := self.idle_connections.take(route)) is not None:
            works = False
            try:
                works = await connection.make_reusable()
            finally:
                if not works:
                    connection.drop()
            if works:
                return connection
            await connection.end_body()
        return None

    async def connect_in_advance(self, route: pool.Route, until: float, connect_timeout: float) -> Failure | None:
        """Keep a new connection for the first request to come, unless it is through a proxy; return why that failed."""
        try:
            connection = AsyncPooledConnection(route, self.now, self.age_clock())
        except errors.SETUP_ERRORS as error:
            return errors.failure_from_setup_error(error, route)
        if route.proxy is not None:
            return None
        try:
            await connection.connect_in_advance(route, until, connect_timeout)
        except errors.CONNECT_ERRORS:
            return connection.sock.failure or Failure("connect")
        self.idle_connections.put(route, connection)
        return None


class AsyncPools:
    """The pools of all event loops, one each.

    ``_lock`` guards the look-up and insertion in ``for_running_loop``, which threads with loops of their own run at the
    same time; it is never held across an ``await``. ``close_idle`` needs no lock: it iterates over a copy.
    """

    def __init__(self, max_connections: int, now: Callable[[], float], *, closed: bool) -> None:
        self._max_connections, self._now, self._closed = max_connections, now, closed
        self._pools: LoopLocal[AsyncPool] = LoopLocal()
        self._lock = make_lock()

    def for_running_loop(self) -> AsyncPool:
        """Return the pool of the running loop; create it if there is none."""
        loop = asyncio.get_running_loop()
        with self._lock:
            loop_pool = self._pools.get(loop)
            if loop_pool is None or len(self._pools) > 1:
                self._sweep()
            if loop_pool is None:
                loop_pool = AsyncPool(self._max_connections, self._now)
                self._pools.set(loop, loop_pool)
                loop_pool.idle_connections.closed = self._closed
        return loop_pool

    def close_idle(self, *, closed: bool) -> None:
        """Close all idle connections; if ``closed``, keep none from now on."""
        self._closed = closed
        for _, loop_pool in self._pools.pairs():
            loop_pool.idle_connections.closed = closed
            loop_pool.idle_connections.close_all()

    async def aclose_idle(self, *, closed: bool) -> None:
        """Close as ``close_idle`` does; also end the unread bodies of the running loop."""
        loop_pool = self._pools.get(asyncio.get_running_loop())
        dropped = loop_pool.idle_connections.close_all() if loop_pool else []
        self.close_idle(closed=closed)
        for connection in dropped:
            await connection.end_body()

    async def end_loop(self) -> None:
        """Close the idle connections of the running loop, which is about to be closed."""
        with self._lock:
            loop_pool = self._pools.pop(asyncio.get_running_loop())
        for connection in loop_pool.idle_connections.close_all() if loop_pool else []:
            await connection.end_body()

    def _sweep(self) -> None:
        for loop, loop_pool in self._pools.pairs():
            if loop.is_closed():
                self._pools.pop(loop)
                loop_pool.idle_connections.close_all()
            elif not loop.is_running():
                loop_pool.idle_connections.close_expired()


async def _is_silent(stream: httpcore.AsyncNetworkStream) -> bool:
    """Return whether a server has sent nothing but what belongs to TLS, and has not closed the connection."""
    try:
        await stream.read(1)
    except httpcore.ReadTimeout:
        return True
    except httpcore.NetworkError:
        pass
    return False


async def end_body(body_chunks: AsyncIterator[bytes]) -> None:
    """Exhaust a body's generator here; the event loop would otherwise end it at some later time, perhaps too late.

    Its connection is closed, so it fails as soon as it has returned the chunks that it had read. Nothing else remains
    to be done: if the task is cancelled here, the cancellation ends the generator.
    """
    with suppress(*errors.HTTP_ERRORS, RuntimeError):
        for _ in range(_MAX_BUFFERED_CHUNKS):
            if await anext(body_chunks, None) is None:
                return
