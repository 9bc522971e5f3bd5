"""The connections of sync code. ``connections_async`` is the same for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore
import httpx

from unified_llm._backends.http import errors, permits, pool
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._core.outcome import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class SyncPooledConnection(httpx.HTTPTransport):
    """One connection that carries one request after another.

    It is an httpx transport, so that tools that record or replace httpx's traffic (vcrpy, respx, pytest-httpx) work
    with ours.
    """

    def __init__(self, route: pool.Route, now: Callable[[], float], made_at: float) -> None:
        # httpx's own __init__ would create a pool of many connections; this has a single one.
        self.sock = SyncDeadlineSocket(now, pool.tunnel_of(route))
        self.http_connection = pool.make_connection(route, self.sock)
        self._pool = self.http_connection  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self.made_at = self.idle_since = made_at
        self._unread: tuple[Iterator[bytes], httpx.SyncByteStream] | None = None
        self._ready: httpcore.NetworkStream | None = None

    def connect_in_advance(self, route: pool.Route, until: float, connect_timeout: float) -> None:
        """Connect before there is a request.

        Raises:
            httpcore.NetworkError, httpcore.TimeoutException, OversizedHeadError: It failed; the socket says why.
        """
        _, host, port = route.origin
        self.sock.start_request(until, connect_timeout)
        stream = self.sock.connect_tcp(host, port)
        if (ssl_context := pool.load_ssl_context(route)) is not None:
            stream = stream.start_tls(ssl_context, host)
        self._ready = self.sock.ready = stream

    def drop(self) -> None:
        """Close the connection at once."""
        self._unread = None
        self.sock.drop()

    def release(self, body_chunks: Iterator[bytes], stream: httpx.SyncByteStream) -> None:
        """Keep the unread end of a body, which may not have arrived yet, for ``make_reusable`` to read."""
        self._unread = (body_chunks, stream)

    def make_reusable(self) -> bool:
        """Read the end of the last body, without waiting; return whether the connection can carry another request."""
        unread, self._unread = self._unread, None
        ready, self._ready = self._ready, None
        self.sock.start_leftovers()
        try:
            if ready is not None:
                return _is_silent(ready)
            if unread is not None:
                body_chunks, stream = unread
                for _ in range(pool.MAX_UNREAD_CHUNKS):
                    if next(body_chunks, None) is None:
                        break
                else:
                    return False
                stream.close()
            return pool.can_carry_another_request(self.http_connection)
        except errors.HTTP_ERRORS:
            return False


class SyncPool:
    """The connections of all threads."""

    def __init__(self, max_connections: int, now: Callable[[], float]) -> None:
        self.now, self.age_clock = now, pool.age_clock(now)
        self.idle_connections: pool.IdleConnections[SyncPooledConnection] = pool.IdleConnections(self.age_clock)
        self.permits = permits.Permits(max_connections)

    def take_idle(self, route: pool.Route) -> SyncPooledConnection | None:
        """Return an idle connection that can carry a request, or None if a new one is needed."""
        while (connection := self.idle_connections.take(route)) is not None:
            if connection.make_reusable():
                return connection
            connection.drop()
        return None

    def connect_in_advance(self, route: pool.Route, until: float, connect_timeout: float) -> Failure | None:
        """Keep a new connection for the first request to come, unless it is through a proxy; return why that failed."""
        try:
            connection = SyncPooledConnection(route, self.now, self.age_clock())
        except errors.SETUP_ERRORS as error:
            return errors.failure_from_setup_error(error, route)
        if route.proxy is not None:
            return None
        try:
            connection.connect_in_advance(route, until, connect_timeout)
        except errors.CONNECT_ERRORS:
            return connection.sock.failure or Failure("connect")
        self.idle_connections.put(route, connection)
        return None


def _is_silent(stream: httpcore.NetworkStream) -> bool:
    """Return whether a server has sent nothing but what belongs to TLS, and has not closed the connection."""
    try:
        stream.read(1)
    except httpcore.ReadTimeout:
        return True
    except httpcore.NetworkError:
        pass
    return False
