"""The async exchange over HTTP, for asyncio. ``exchange_sync`` is the same code, line by line, without ``await``.

A connection belongs to the event loop that made it, so each loop has a pool of its own::

    Transport
      |-- SyncPool                           all threads
      `-- AsyncPools
            |-- loop A --> AsyncPool         Permits, IdleConnections
            |-- loop B --> AsyncPool
            `-- loop C (closed)              its idle connections are closed at the next look-up of another loop

The map holds weak references to loops, and a pool does not keep a reference to its loop for long.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

import httpx

from unified_llm._backends.http import errors, permits, pool
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.exchange import ERROR_SECONDS, HTTPExchange, is_stale
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.fork_safe import make_lock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from unified_llm._backends.http.response import Body, Head
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import Event
    from unified_llm._core.target import Target

_MAX_BUFFERED_CHUNKS: Final = 256  # a server that sends chunks of one byte could make thousands from one read


class AsyncPooledConnection(httpx.AsyncHTTPTransport):
    """One connection that carries one request after another; see ``SyncPooledConnection``."""

    def __init__(self, route: pool.Route, now: Callable[[], float]) -> None:
        # httpx's own __init__ would create a pool of many connections; this has a single one.
        self.sock = AsyncDeadlineSocket(now)
        self.http_connection = pool.make_async_connection(route, self.sock)
        self._pool = self.http_connection  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self.idle_since = 0.0
        self._unread: tuple[AsyncIterator[bytes], httpx.AsyncByteStream] | None = None

    def drop(self) -> None:
        """Close the connection at once, with or without a running loop."""
        self.sock.drop()

    def release(self, body_chunks: AsyncIterator[bytes], stream: httpx.AsyncByteStream) -> None:
        """Keep the unread end of a body, which may not have arrived yet, for ``make_reusable`` to read."""
        self._unread = (body_chunks, stream)

    async def end_body(self) -> None:
        """End an unread body after ``drop``, here rather than in a task that the event loop would create for it."""
        unread, self._unread = self._unread, None
        if unread is not None:
            await _end_body(unread[0])

    async def make_reusable(self) -> bool:
        """Read the end of the last body, without waiting; return whether the connection can carry another request."""
        self.sock.start_leftovers()
        try:
            if self._unread is not None:
                body_chunks, stream = self._unread
                for _ in range(pool.MAX_UNREAD_CHUNKS):
                    if await anext(body_chunks, None) is None:
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
        self.now = now
        self.idle_connections: pool.IdleConnections[AsyncPooledConnection] = pool.IdleConnections(now)
        self.permits = permits.Permits(max_connections)

    def exchange(self, codec: Codec, call_request: AnyRequest, target: Target) -> AsyncHTTPExchange:
        """Create one attempt."""
        return AsyncHTTPExchange(self, codec, call_request, target)

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


class AsyncPools:
    """The pools of all event loops, one each.

    ``_lock`` guards the look-up and insertion in ``for_running_loop``, which threads with loops of their own run at the
    same time; it is never held across an ``await``. ``close_idle`` needs no lock: it iterates over a copy.
    """

    def __init__(self, max_connections: int, now: Callable[[], float], *, closed: bool) -> None:
        self._max_connections, self._now, self._closed = max_connections, now, closed
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncPool] = WeakKeyDictionary()
        self._lock = make_lock()

    def for_running_loop(self) -> AsyncPool:
        """Return the pool of the running loop; create it if there is none."""
        loop = asyncio.get_running_loop()
        with self._lock:
            loop_pool = self._pools.get(loop)
            if loop_pool is None or len(self._pools) > 1:
                self._sweep()
            if loop_pool is None:
                loop_pool = self._pools[loop] = AsyncPool(self._max_connections, self._now)
                loop_pool.idle_connections.closed = self._closed
        return loop_pool

    def close_idle(self, *, closed: bool) -> None:
        """Close all idle connections; if ``closed``, keep none from now on."""
        self._closed = closed
        for loop_pool in list(self._pools.values()):
            loop_pool.idle_connections.closed = closed
            loop_pool.idle_connections.close_all()

    async def aclose_idle(self, *, closed: bool) -> None:
        """Close as ``close_idle`` does; also end the unread bodies of the running loop."""
        loop_pool = self._pools.get(asyncio.get_running_loop())
        dropped = loop_pool.idle_connections.close_all() if loop_pool else []
        self.close_idle(closed=closed)
        for connection in dropped:
            await connection.end_body()

    def _sweep(self) -> None:
        for loop in list(self._pools):
            if loop.is_closed():
                self._pools.pop(loop).idle_connections.close_all()


class _OpenResponse(NamedTuple):
    """A response whose head has arrived."""

    head: Head
    body: Body
    stream: httpx.AsyncByteStream
    body_chunks: AsyncIterator[bytes]


class AsyncHTTPExchange(HTTPExchange):
    """One attempt over HTTP, for asyncio."""

    def __init__(self, connections: AsyncPool, codec: Codec, call_request: AnyRequest, target: Target) -> None:
        super().__init__(codec, call_request, target)
        self._pool = connections
        self._permit: permits.Permit | None = None
        self._in_use: tuple[pool.Route, AsyncPooledConnection] | None = None
        self._response: _OpenResponse | None = None
        self._reusable = False

    async def open(self, until: float) -> Failure | None:
        """Send the request; return None once the target has accepted it.

        Raises:
            ValidationError: The codec cannot write the request.
        """
        prepared = self._prepare_request()
        if isinstance(prepared, Failure):
            return prepared
        self._permit = permit = self._pool.permits.request(prepared[0].origin)
        if not (permit.granted or await _wait_for(permit, permits.seconds_to_wait(until - self._pool.now()))):
            return Failure("pool")
        response = await self._send(*prepared, until)
        if isinstance(response, Failure):
            return response
        self._response = response
        if response.head.status < 300:
            return None
        end = await self.read(min(until, self._pool.now() + ERROR_SECONDS))
        return end if isinstance(end, Failure) else Failure("malformed", status=response.head.status)

    async def read(self, until: float) -> Event:
        """Return the next chunk, the end, or a failure."""
        if self._response is None or self._in_use is None:
            return Failure("connection")  # not opened, or opening failed
        _, body, _, body_chunks = self._response
        self._in_use[1].sock.until = until
        while (event := body.next_event()) is None:
            if self._pool.now() >= until:
                return body.on_timeout()
            if body.is_turn_over():
                await asyncio.sleep(0)
            if body.has_unread:
                body.decode()
                continue
            try:
                data = await anext(body_chunks, None)
            except httpx.TimeoutException:
                return body.on_timeout()
            except errors.HTTP_ERRORS:
                body.finish(incomplete=True)
                continue
            if data is None:
                self._reusable = True
                body.finish(incomplete=False)
            else:
                body.feed(data)
        self._reusable = self._reusable or isinstance(event, Done)
        return event

    async def close(self) -> None:
        """Return the permit, and the connection to the pool if it can be reused; else close it."""
        in_use, self._in_use = self._in_use, None
        response, self._response = self._response, None
        if in_use is not None:
            route, connection = in_use
            if response is not None and self._reusable and response.head.persistent:
                connection.release(response.body_chunks, response.stream)
                if self._pool.idle_connections.put(route, connection):
                    response = None
            else:
                connection.drop()
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()
        if response is not None:
            # If the garbage collector closes this coroutine, it ends here, and the loop then ends the generator.
            await asyncio.sleep(0)
            await _end_body(response.body_chunks)

    async def _send(self, route: pool.Route, http_request: httpx.Request, until: float) -> _OpenResponse | Failure:
        """Send over an idle connection, or over a new one if there is none."""
        started = self._pool.now()
        connection = await self._pool.take_idle(route)
        if connection is not None:
            response = await self._send_over(route, connection, http_request, until)
            if isinstance(response, Failure) and is_stale(response, connection.sock, self._pool.now() - started):
                for dropped in self._pool.idle_connections.close_route(route):
                    await dropped.end_body()
                return Failure("stale") if self._target.resend else response
            return response
        try:
            connection = AsyncPooledConnection(route, self._pool.now)
        except errors.SETUP_ERRORS as error:
            return errors.failure_from_setup_error(error)
        return await self._send_over(route, connection, http_request, until)

    async def _send_over(
        self, route: pool.Route, connection: AsyncPooledConnection, http_request: httpx.Request, until: float
    ) -> _OpenResponse | Failure:
        self._in_use = (route, connection)
        self._start_on(connection.sock, until)
        try:
            http_response = await connection.handle_async_request(http_request)
        except errors.HTTP_ERRORS as error:
            return errors.failure_from_error(error, connection.sock, route)
        connection.sock.start_body()
        stream = cast("httpx.AsyncByteStream", http_response.stream)
        return _OpenResponse(*self._open_body(http_response), stream, aiter(stream))


async def _wait_for(permit: permits.Permit, seconds: float) -> bool:
    """Wait until a permit is granted; return False if it is not granted in time."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(woken.set)

    permit.on_granted = wake
    try:
        while not permit.granted:
            if seconds <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, permits.RECHECK)):
                    await woken.wait()
            seconds -= permits.RECHECK
    finally:
        permit.on_granted = None
    return True


async def _end_body(body_chunks: AsyncIterator[bytes]) -> None:
    """Exhaust a body's generator here; the event loop would otherwise end it at some later time, perhaps too late.

    Its connection is closed, so it fails as soon as it has returned the chunks that it had read. Nothing else remains
    to be done: if the task is cancelled here, the cancellation ends the generator.
    """
    with suppress(*errors.HTTP_ERRORS, RuntimeError):
        for _ in range(_MAX_BUFFERED_CHUNKS):
            if await anext(body_chunks, None) is None:
                return
