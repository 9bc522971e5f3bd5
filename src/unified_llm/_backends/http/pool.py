"""Idle connections, and the creation of connections.

Each route has a stack of idle connections; each of them is a single httpcore connection. httpcore's own pool scans all
of its connections for each request, so that each of a hundred concurrent calls costs far more than a single one; a
stack has no such scan.

Rule for locks: there are none here, and none may be added. The garbage collector can close an exchange, and so call
``put``, in a thread that already holds any lock. Every step is therefore one atomic operation of a deque or a
dictionary (``append``, ``pop``, ``popleft``, ``setdefault``), a loop runs over a copy, and an ``IndexError`` means
that another thread took the connection first.
"""

from __future__ import annotations

import ssl
import sys
import time
from base64 import b64encode
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

import httpcore
import httpx

from unified_llm._backends.http import descriptors, proxies_and_certificates
from unified_llm._backends.http.deadline_socket import Tunnel
from unified_llm._backends.http.request import parse_endpoint
from unified_llm._core.hidden import HiddenBytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
    from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
    from unified_llm._backends.http.request import Endpoint
    from unified_llm._core.client_certificate import ClientCertificate
    from unified_llm._core.proxy import Proxy
    from unified_llm._core.target import Target

MAX_IDLE_SECONDS: Final = 45.0
"""Seconds to keep an idle connection. Many servers close theirs after 60 or 75 seconds; a connection that was closed
earlier is detected, since it is readable."""

MAX_AGE: Final = 300.0
"""Seconds after which a connection carries no new request, however busy it is: so names that move are followed."""

MAX_IDLE: Final = 100
"""The most idle connections that are kept, over all routes."""

MAX_UNREAD_CHUNKS: Final = 8
"""Chunks of a body after its last event that are read to save a connection; the end of a stream has no more."""

_MAX_SWEPT: Final = 4  # expired connections closed by one ``put``, so that no call has to close all of them


class Route(NamedTuple):
    """Key of the pool: connections of the same route are interchangeable."""

    origin: tuple[str, str, int]
    verify: proxies_and_certificates.Verify
    proxy: Proxy | None
    certificate: ClientCertificate | None = None

    @property
    def is_forwarded(self) -> bool:
        """Return whether a proxy reads the request and sends its own: without TLS there is no tunnel through it."""
        return self.proxy is not None and self.origin[0] == "http"


def tunnel_of(route: Route) -> Tunnel | None:
    """Return the tunnel of a route through a proxy, or None."""
    if route.proxy is None or route.is_forwarded:
        return None
    return Tunnel(int(route.proxy.scheme == "https"), *route.origin[1:])


def route_to(endpoint: Endpoint, target: Target) -> Route:
    """Return the route to a target: through its own proxy whatever its address is, else through the environment's."""
    proxy = proxies_and_certificates.find_proxy(endpoint) if target.proxy is None else target.proxy or None
    verify = target.verify if isinstance(target.verify, bool) else _as_verify(target.verify)
    if endpoint.origin[0] == "https":
        return Route(endpoint.origin, verify, proxy, target.client_certificate)
    with_tls = proxy is not None and proxy.scheme == "https"
    return Route(endpoint.origin, verify if with_tls else True, proxy)


def route_in_advance(target: Target) -> Route | None:
    """Return the route on which to connect before there is a request; None where there is none."""
    endpoint = parse_endpoint(target.base_url) if target.base_url else None
    return route_to(endpoint, target) if endpoint is not None else None


def _as_verify(verify: object) -> proxies_and_certificates.Verify:
    return verify if isinstance(verify, ssl.SSLContext) else str(verify)


class PooledConnection(Protocol):
    """Interface of the connections in ``IdleConnections``; both instants are of their clock."""

    made_at: float
    idle_since: float

    def drop(self) -> None:
        """Close the connection at once."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=PooledConnection)
FactoryT = TypeVar("FactoryT", httpcore.ConnectionPool, httpcore.AsyncConnectionPool)


def age_clock(now: Callable[[], float]) -> Callable[[], float]:
    """Return the clock of the ages of connections: ``now``, or what goes on while this machine sleeps if that does not.

    Linux has ``CLOCK_BOOTTIME`` for that; on macOS it is ``CLOCK_MONOTONIC``, and Python's own clock is another one
    (https://docs.python.org/3/library/time.html#time.CLOCK_BOOTTIME, ``clock_gettime(3)``).
    """
    names = ("CLOCK_MONOTONIC",) if sys.platform == "darwin" else ("CLOCK_BOOTTIME",)
    clock = next((getattr(time, name) for name in names if hasattr(time, name)), None)
    return partial(time.clock_gettime, clock) if now is time.monotonic and clock is not None else now


class IdleConnections(Generic[ConnectionT]):
    """Idle connections by route, last in, first out: where few are needed, the others expire."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._stacks: dict[Route, deque[ConnectionT]] = {}
        self.closed = False

    def take(self, route: Route) -> ConnectionT | None:
        """Remove and return the most recently used connection of a route, or None; the caller checks that it works."""
        stack = self._stacks.get(route)
        if stack is None:
            return None
        now = self._now()
        while True:
            try:
                connection = stack.pop()
            except IndexError:
                self._remove_if_empty(route, stack)
                return None
            if now - connection.idle_since <= MAX_IDLE_SECONDS and now - connection.made_at <= MAX_AGE:
                return connection
            connection.drop()

    def put(self, route: Route, connection: ConnectionT) -> bool:
        """Keep a connection for the next call and close a few expired ones; return False if it was closed instead."""
        if self.closed or len(self) >= MAX_IDLE:
            connection.drop()
            return False
        connection.idle_since = self._now()
        self._stacks.setdefault(route, deque()).append(connection)
        descriptors.note_freed()
        self._sweep(connection.idle_since - MAX_IDLE_SECONDS)
        return True

    def close_route(self, route: Route) -> list[ConnectionT]:
        """Close the idle connections of a route; return them."""
        dropped: list[ConnectionT] = []
        while (connection := self.take(route)) is not None:
            dropped.append(connection)
            connection.drop()
        return dropped

    def __len__(self) -> int:
        return sum(len(stack) for stack in list(self._stacks.values()))

    def close_all(self) -> list[ConnectionT]:
        """Close all connections; return them."""
        dropped: list[ConnectionT] = []
        for stack in list(self._stacks.values()):
            while stack:
                try:
                    dropped.append(stack.popleft())
                except IndexError:
                    break
                dropped[-1].drop()
        return dropped

    def close_expired(self) -> None:
        """Close those that have been idle for too long."""
        self._sweep(self._now() - MAX_IDLE_SECONDS, MAX_IDLE)

    def _sweep(self, oldest: float, left: int = _MAX_SWEPT) -> None:
        for route, stack in list(self._stacks.items()):
            try:
                while left and stack[0].idle_since < oldest:
                    stack.popleft().drop()
                    left -= 1
            except IndexError:
                self._remove_if_empty(route, stack)

    def _remove_if_empty(self, route: Route, stack: deque[ConnectionT]) -> None:
        # A connection that another thread puts there at this moment is lost, and so closes itself.
        if not stack and self._stacks.get(route) is stack:
            self._stacks.pop(route, None)


def make_connection(route: Route, sock: SyncDeadlineSocket) -> httpcore.ConnectionInterface:
    """Create an httpcore connection, which connects ``sock`` when it is first used.

    Raises:
        OSError, ssl.SSLError: A bundle of certificates cannot be read.
        ValueError, RuntimeError: The proxy's URL is invalid, or it is a SOCKS proxy and httpx's extra is missing.
    """
    kinds = httpcore.ConnectionPool, httpcore.HTTPProxy, httpcore.SOCKSProxy
    return _make_factory(kinds, route, network_backend=sock).create_connection(_to_origin(route))


def make_async_connection(route: Route, sock: AsyncDeadlineSocket) -> httpcore.AsyncConnectionInterface:
    """Create an async connection; see ``make_connection``."""
    kinds = httpcore.AsyncConnectionPool, httpcore.AsyncHTTPProxy, httpcore.AsyncSOCKSProxy
    return _make_factory(kinds, route, network_backend=sock).create_connection(_to_origin(route))


def can_carry_another_request(connection: httpcore.ConnectionInterface | httpcore.AsyncConnectionInterface) -> bool:
    """Return whether a connection is idle, open, and has received nothing after the end of its last response.

    Bytes that came in one piece with that end are in no socket any more: httpcore would read them as the response to
    the next request, so that a server that answers twice, or sends more than its length says, would shift all answers.
    """
    if not connection.is_idle() or connection.has_expired():
        return False
    inner: Any = connection
    while inner is not None and not hasattr(inner, "_h11_state"):  # a tunnel contains another connection
        inner = getattr(inner, "_connection", None)
    # There is no public way to the parser and what it has received.
    return inner is not None and not inner._h11_state.trailing_data[0]  # noqa: SLF001


def _make_factory(
    kinds: tuple[type[FactoryT], type[FactoryT], type[FactoryT]], route: Route, **arguments: Any
) -> FactoryT:
    """Create a factory of connections: of the first kind without a proxy, of the second or third through one."""
    direct, through_http, through_socks = kinds
    arguments["ssl_context"] = load_ssl_context(route)
    if route.proxy is None:
        return direct(**arguments)
    proxy = httpx.Proxy(route.proxy.url.value)
    arguments["proxy_url"] = str(proxy.url)
    credentials = [HiddenBytes(text) for text in proxy.raw_auth or ()]  # httpcore keeps them in variables
    if proxy.url.scheme.startswith("socks"):
        arguments["proxy_auth"] = credentials or None
        return through_socks(**arguments)
    headers = [(name.encode(), HiddenBytes(text.encode())) for name, text in route.proxy.headers.value]
    if credentials:
        headers.append((b"Proxy-Authorization", HiddenBytes(b"Basic " + b64encode(b":".join(credentials)))))
    arguments["proxy_headers"] = headers
    # A server that nobody checks is no reason to show a password to any proxy.
    verify = route.verify or True
    is_tls = proxy.url.scheme == "https"
    arguments["proxy_ssl_context"] = proxies_and_certificates.load_ssl_context(verify) if is_tls else None
    return through_http(**arguments)


def load_ssl_context(route: Route) -> ssl.SSLContext | None:
    """Return the SSL context of a route; None where the server has no TLS."""
    if route.origin[0] != "https":
        return None
    return proxies_and_certificates.load_ssl_context(route.verify, route.certificate)


def _to_origin(route: Route) -> httpcore.Origin:
    scheme, host, port = route.origin
    return httpcore.Origin(scheme.encode(), host.encode(), port)
