"""The sync exchange over HTTP. ``exchange_async`` is the same code, line by line, with ``await``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import httpx

from unified_llm._backends.http import descriptors, errors, permits, pool
from unified_llm._backends.http.connections_sync import SyncPool, SyncPooledConnection
from unified_llm._backends.http.exchange import (
    ERROR_SECONDS,
    HTTPExchange,
    can_be_kept,
    is_shortage,
    is_stale,
    may_have_moved,
)
from unified_llm._backends.http.resolver import RESOLVER
from unified_llm._backends.http.waiter_sync import SyncWaiter
from unified_llm._core.outcome import Done, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unified_llm._backends.http.response import Body, Head
    from unified_llm._core.codec import AnyRequest, Codec
    from unified_llm._core.exchange import AnyEvent
    from unified_llm._core.target import Target


class _OpenResponse(NamedTuple):
    """A response whose head has arrived."""

    head: Head
    body: Body
    stream: httpx.SyncByteStream
    body_chunks: Iterator[bytes]


class SyncHTTPExchange(HTTPExchange):
    """One attempt over HTTP, for threads."""

    def __init__(self, connections: SyncPool, codec: Codec, call_request: AnyRequest, target: Target) -> None:
        super().__init__(codec, call_request, target)
        self._pool = connections
        self._permit: permits.Permit | None = None
        self._in_use: tuple[pool.Route, SyncPooledConnection] | None = None
        self._response: _OpenResponse | None = None
        self._reusable = False

    def open(self, until: float) -> Failure | None:
        """Send the request; return None once the target has accepted it.

        Raises:
            ValidationError: The codec cannot write the request.
        """
        prepared = self._prepare_request()
        if isinstance(prepared, Failure):
            return prepared
        self._permit = permit = self._pool.permits.request(prepared[0].origin)
        if not (permit.granted or _wait_for(permit, permits.seconds_to_wait(until - self._pool.now()))):
            return Failure("pool")
        response = self._send_when_possible(*prepared, until)
        if isinstance(response, Failure):
            return response
        self._response = response
        if response.head.status < 300:
            return None
        end = self.read(min(until, self._pool.now() + ERROR_SECONDS))
        return end if isinstance(end, Failure) else Failure("malformed", status=response.head.status)

    def read(self, until: float) -> AnyEvent:
        """Return the next chunk, the end, or a failure."""
        if self._response is None or self._in_use is None:
            return Failure("connection")  # not opened, or opening failed
        _, body, _, body_chunks = self._response
        self._in_use[1].sock.until = until
        while (event := body.next_event()) is None:
            if self._pool.now() >= until:
                return body.on_timeout()
            if body.has_unread:
                body.decode()
                continue
            try:
                data = next(body_chunks, None)
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

    def close(self) -> None:
        """Return the permit, and the connection to the pool if it can be reused; else close it."""
        in_use, self._in_use = self._in_use, None
        response, self._response = self._response, None
        if in_use is not None:
            route, connection = in_use
            if response is not None and self._reusable and can_be_kept(response.head):
                connection.release(response.body_chunks, response.stream)
                self._pool.idle_connections.put(route, connection)
            else:
                connection.drop()
            if response is not None and may_have_moved(response.head):
                self._close_route(route)
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()

    def _send_when_possible(
        self, route: pool.Route, http_request: httpx.Request, until: float
    ) -> _OpenResponse | Failure:
        """Send; where this process may open no more files, wait for a descriptor as for a permit."""
        response = self._send(route, http_request, until)
        if not is_shortage(response):
            return response
        now, waiter = self._pool.now, SyncWaiter()
        end = now() + permits.seconds_to_wait(until - now())
        while is_shortage(response) and now() < end:
            with descriptors.waiting(waiter.wake):
                if not self._pool.idle_connections.close_all():
                    waiter.wait(min(descriptors.RECHECK, end - now()))
            response = self._send(route, http_request, until)
        return response

    def _send(self, route: pool.Route, http_request: httpx.Request, until: float) -> _OpenResponse | Failure:
        """Send over an idle connection, or over a new one if there is none."""
        started = self._pool.now()
        connection = self._pool.take_idle(route)
        if connection is not None:
            response = self._send_over(route, connection, http_request, until)
            if isinstance(response, Failure) and is_stale(response, connection.sock, self._pool.now() - started):
                self._close_route(route)
                return Failure("stale") if self._target.resend else response
            return response
        try:
            connection = SyncPooledConnection(route, self._pool.now, self._pool.age_clock())
        except errors.SETUP_ERRORS as error:
            return errors.failure_from_setup_error(error, route)
        return self._send_over(route, connection, http_request, until)

    def _close_route(self, route: pool.Route) -> None:
        """Close the idle connections of a route; the next one follows a new look-up of its host."""
        self._pool.idle_connections.close_route(route)
        RESOLVER.forget(*route.origin[1:])

    def _send_over(
        self, route: pool.Route, connection: SyncPooledConnection, http_request: httpx.Request, until: float
    ) -> _OpenResponse | Failure:
        self._in_use = (route, connection)
        self._start_on(connection.sock, until)
        try:
            http_response = connection.handle_request(http_request)
        except errors.errors_on(route, connection.sock) as error:
            return errors.failure_from_error(error, connection.sock, route)
        if refusal := errors.refusal_by_status(http_response.status_code, route):
            return refusal
        connection.sock.start_body()
        stream = cast("httpx.SyncByteStream", http_response.stream)
        return _OpenResponse(*self._open_body(http_response), stream, iter(stream))


def _wait_for(permit: permits.Permit, seconds: float) -> bool:
    """Wait until a permit is granted; return False if it is not granted in time."""
    waiter = SyncWaiter()
    permit.on_granted = waiter.wake
    try:
        while not permit.granted:
            if seconds <= 0:
                return False
            waiter.wait(min(seconds, permits.RECHECK))
            seconds -= permits.RECHECK
    finally:
        permit.on_granted = None
    return True
