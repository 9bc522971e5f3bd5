"""The async exchange over HTTP, for asyncio. ``exchange_sync`` is the same code, line by line, without ``await``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

import httpx

from unified_llm._backends.http import descriptors, errors, permits, pool
from unified_llm._backends.http.connections_async import AsyncPool, AsyncPooledConnection, end_body
from unified_llm._backends.http.exchange import (
    ERROR_SECONDS,
    HTTPExchange,
    can_be_kept,
    is_shortage,
    is_stale,
    may_have_moved,
)
from unified_llm._backends.http.resolver import RESOLVER
from unified_llm._backends.http.waiter_async import AsyncWaiter
from unified_llm._core.outcome import Done, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unified_llm._backends.http.response import Body, Head
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import AnyEvent
    from unified_llm._core.target import Target


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
        self._reusable = self._ended = False

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
        response = await self._send_when_possible(*prepared, until)
        if isinstance(response, Failure):
            return response
        self._response = response
        if response.head.status < 300:
            return None
        end = await self.read(min(until, self._pool.now() + ERROR_SECONDS))
        return end if isinstance(end, Failure) else Failure("malformed", status=response.head.status)

    async def read(self, until: float) -> AnyEvent:
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
                self._reusable = self._ended = True
                body.finish(incomplete=False)
            else:
                body.feed(data)
        self._reusable = self._reusable or isinstance(event, Done)
        return event

    async def close(self) -> None:
        """Return the permit, and the connection to the pool if it can be reused; else close it."""
        in_use, self._in_use = self._in_use, None
        response, self._response = self._response, None
        moved = False
        if in_use is not None:
            route, connection = in_use
            moved = response is not None and may_have_moved(response.head)
            if response is not None and self._reusable and can_be_kept(response.head):
                connection.release(None if self._ended else response.body_chunks, response.stream)
                if self._pool.idle_connections.put(route, connection):
                    response = None
            else:
                connection.drop()
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()
        if in_use is not None and moved:
            await self._close_route(in_use[0])
        if response is not None:
            # If the garbage collector closes this coroutine, it ends here, and the loop then ends the generator.
            await asyncio.sleep(0)
            await end_body(response.body_chunks)

    async def _send_when_possible(
        self, route: pool.Route, http_request: httpx.Request, until: float
    ) -> _OpenResponse | Failure:
        """Send; where this process may open no more files, wait for a descriptor as for a permit."""
        response = await self._send(route, http_request, until)
        if not is_shortage(response):
            return response
        now, waiter = self._pool.now, AsyncWaiter()
        end = now() + permits.seconds_to_wait(until - now())
        while is_shortage(response) and now() < end:
            with descriptors.waiting(waiter.wake):
                dropped = self._pool.idle_connections.close_all()
                for connection in dropped:
                    await connection.end_body()
                if not dropped:
                    await waiter.wait(min(descriptors.RECHECK, end - now()))
            response = await self._send(route, http_request, until)
        return response

    async def _send(self, route: pool.Route, http_request: httpx.Request, until: float) -> _OpenResponse | Failure:
        """Send over an idle connection, or over a new one if there is none."""
        started = self._pool.now()
        connection = await self._pool.take_idle(route)
        if connection is not None:
            response = await self._send_over(route, connection, http_request, until)
            if isinstance(response, Failure) and is_stale(response, connection.sock, self._pool.now() - started):
                await self._close_route(route)
                return Failure("stale") if self._target.resend else response
            return response
        try:
            connection = AsyncPooledConnection(route, self._pool.now, self._pool.age_clock())
        except errors.SETUP_ERRORS as error:
            return errors.failure_from_setup_error(error, route)
        return await self._send_over(route, connection, http_request, until)

    async def _close_route(self, route: pool.Route) -> None:
        """Close the idle connections of a route; the next one follows a new look-up of its host."""
        RESOLVER.forget(*route.origin[1:])
        for dropped in self._pool.idle_connections.close_route(route):
            await dropped.end_body()

    async def _send_over(
        self, route: pool.Route, connection: AsyncPooledConnection, http_request: httpx.Request, until: float
    ) -> _OpenResponse | Failure:
        self._in_use = (route, connection)
        self._start_on(connection.sock, until)
        try:
            http_response = await connection.handle_async_request(http_request)
        except errors.errors_on(route, connection.sock) as error:
            return errors.failure_from_error(error, connection.sock, route)
        if refusal := errors.refusal_by_status(http_response.status_code, route):
            return refusal
        connection.sock.start_body()
        stream = cast("httpx.AsyncByteStream", http_response.stream)
        return _OpenResponse(*self._open_body(http_response), stream, aiter(stream))


async def _wait_for(permit: permits.Permit, seconds: float) -> bool:
    """Wait until a permit is granted; return False if it is not granted in time."""
    waiter = AsyncWaiter()
    permit.on_granted = waiter.wake
    try:
        while not permit.granted:
            if seconds <= 0:
                return False
            await waiter.wait(min(seconds, permits.RECHECK))
            seconds -= permits.RECHECK
    finally:
        permit.on_granted = None
    return True
