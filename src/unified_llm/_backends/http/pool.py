"""Idle connections, and how to make one.

A stack of connections for each route, each of them one httpcore connection by itself. httpcore's own pool looks through
all of its connections for every request, so that a hundred calls at once cost far more each than one; a stack does not.
There are no locks: a deque's ``append`` and ``pop`` are atomic, and a connection may be given back by the garbage
collector of a thread that holds any lock.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeVar

import httpcore
import httpx

from unified_llm._backends.http import proxies_and_certificates

if TYPE_CHECKING:
    from collections.abc import Callable

    from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
    from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
    from unified_llm._backends.http.request import Endpoint
    from unified_llm._core.target import Target

KEEP_SECONDS: Final = 45.0
"""How long an idle connection is kept. Many servers close theirs after 60 or 75 seconds; those that do so earlier are
noticed, since a closed connection is readable."""

KEEP: Final = 100
"""How many idle connections are kept, over all routes."""

WAIT_SECONDS: Final = 5.0
"""How long a call waits when ``max_connections`` are busy."""

NOT_WAITING: Final = float("-inf")
"""An instant that has passed whatever the clock says: take what is there."""

REST: Final = 8
"""Pieces of a body after its last event that are read to save a connection; more is not the end of a stream."""

_SWEEP: Final = 4  # expired connections closed on one occasion, so that no call pays for all


class Route(NamedTuple):
    """Connections of one route are interchangeable."""

    origin: tuple[str, str, int]
    verify: proxies_and_certificates.Verify
    proxy: str | None


def route(place: Endpoint, target: Target) -> Route:
    """The route to a target."""
    if place.origin[0] == "http":
        return Route(place.origin, verify=True, proxy=None)
    verify = target.verify
    return Route(
        place.origin, verify if isinstance(verify, bool) else _plain(verify), proxies_and_certificates.proxy_for(place)
    )


def _plain(verify: object) -> proxies_and_certificates.Verify:
    return verify if isinstance(verify, ssl.SSLContext) else str(verify)


class Idle(Protocol):
    """What a shelf holds."""

    idle_since: float

    def drop(self) -> None:
        """Close at once."""
        ...


S = TypeVar("S", bound=Idle)


class Shelf(Generic[S]):
    """Idle connections: the one given back last is taken first, so that few stay in use when few are needed."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._stacks: dict[Route, deque[S]] = {}
        self.closed = False

    def take(self, route: Route) -> S | None:
        """The youngest connection to there, if there is one; whether it still works is for the caller to see."""
        stack = self._stacks.get(route)
        if stack is None:
            return None
        horizon = self._now() - KEEP_SECONDS
        while True:
            try:
                slot = stack.pop()
            except IndexError:
                return None
            if slot.idle_since >= horizon:
                return slot
            slot.drop()

    def put(self, route: Route, slot: S) -> bool:
        """Keep a connection for the next call, and close a few that have waited too long. False if it was not kept."""
        if self.closed or len(self) >= KEEP:
            slot.drop()
            return False
        slot.idle_since = self._now()
        self._stacks.setdefault(route, deque()).append(slot)
        self._sweep(slot.idle_since - KEEP_SECONDS)
        return True

    def __len__(self) -> int:
        return sum(len(stack) for stack in list(self._stacks.values()))

    def clear(self) -> list[S]:
        """Close them all; returns what they were."""
        dropped: list[S] = []
        for stack in list(self._stacks.values()):
            while stack:
                try:
                    dropped.append(stack.popleft())
                except IndexError:
                    break
                dropped[-1].drop()
        return dropped

    def _sweep(self, horizon: float) -> None:
        left = _SWEEP
        for stack in list(self._stacks.values()):
            try:
                while left and stack[0].idle_since < horizon:
                    stack.popleft().drop()
                    left -= 1
            except IndexError:
                continue


def connection(route: Route, wire: SyncDeadlineSocket) -> httpcore.ConnectionInterface:
    """A connection that will be made on this wire when it is first used.

    Raises:
        OSError, ssl.SSLError: A bundle of certificates cannot be read.
        ValueError, RuntimeError: The proxy's URL is wrong, or it is a SOCKS proxy and httpx's extra is missing.
    """
    return _factory(route, wire).create_connection(_origin(route))


def _factory(route: Route, wire: SyncDeadlineSocket) -> httpcore.ConnectionPool:
    secure = _context(route)
    if route.proxy is None:
        return httpcore.ConnectionPool(ssl_context=secure, network_backend=wire)
    proxy = httpx.Proxy(route.proxy)
    if proxy.url.scheme.startswith("socks"):
        return httpcore.SOCKSProxy(str(proxy.url), proxy_auth=proxy.raw_auth, ssl_context=secure, network_backend=wire)
    return httpcore.HTTPProxy(
        str(proxy.url),
        proxy_auth=proxy.raw_auth,
        ssl_context=secure,
        proxy_ssl_context=proxies_and_certificates.context(verify=True) if proxy.url.scheme == "https" else None,
        network_backend=wire,
    )


def aconnection(route: Route, wire: AsyncDeadlineSocket) -> httpcore.AsyncConnectionInterface:
    """As ``connection``, for async."""
    return _afactory(route, wire).create_connection(_origin(route))


def _afactory(route: Route, wire: AsyncDeadlineSocket) -> httpcore.AsyncConnectionPool:
    secure = _context(route)
    if route.proxy is None:
        return httpcore.AsyncConnectionPool(ssl_context=secure, network_backend=wire)
    proxy = httpx.Proxy(route.proxy)
    if proxy.url.scheme.startswith("socks"):
        return httpcore.AsyncSOCKSProxy(
            str(proxy.url), proxy_auth=proxy.raw_auth, ssl_context=secure, network_backend=wire
        )
    return httpcore.AsyncHTTPProxy(
        str(proxy.url),
        proxy_auth=proxy.raw_auth,
        ssl_context=secure,
        proxy_ssl_context=proxies_and_certificates.context(verify=True) if proxy.url.scheme == "https" else None,
        network_backend=wire,
    )


def _context(route: Route) -> ssl.SSLContext | None:
    return proxies_and_certificates.context(route.verify) if route.origin[0] == "https" else None


def _origin(route: Route) -> httpcore.Origin:
    scheme, host, port = route.origin
    return httpcore.Origin(scheme.encode(), host.encode(), port)
