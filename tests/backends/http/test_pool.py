from __future__ import annotations

import httpcore
import pytest

from tests.support.scripted_server import Clock
from unified_llm._backends.http import errors, pool
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.request import parse_endpoint
from unified_llm._core.proxy import Proxy


class FakeConnection:
    def __init__(self) -> None:
        self.made_at = self.idle_since = 1000.0  # the clock's first instant
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def route(host: str = "a", **fields: str) -> pool.Route:
    return pool.Route((fields.get("scheme", "http"), host, 80), verify=True, proxy=None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def idle(clock: Clock) -> pool.IdleConnections[FakeConnection]:
    return pool.IdleConnections(clock)


def test_the_last_one_put_is_the_first_one_taken(idle: pool.IdleConnections[FakeConnection]) -> None:
    first, second, other = FakeConnection(), FakeConnection(), FakeConnection()
    idle.put(route(), first)
    idle.put(route(), second)
    idle.put(route("b"), other)
    assert [idle.take(route()) for _ in range(3)] == [second, first, None]
    assert idle.take(route("c")) is None
    assert len(idle) == 1


def test_what_is_too_old_is_dropped_instead_of_taken(idle: pool.IdleConnections[FakeConnection], clock: Clock) -> None:
    old = FakeConnection()
    idle.put(route(), old)
    clock.time += pool.MAX_IDLE_SECONDS + 1
    assert idle.take(route()) is None
    assert old.dropped


def test_each_put_drops_a_few_of_the_too_old_everywhere(
    idle: pool.IdleConnections[FakeConnection], clock: Clock
) -> None:
    old = [FakeConnection() for _ in range(6)]
    for number, connection in enumerate(old):
        idle.put(route(str(number % 2)), connection)
    clock.time += pool.MAX_IDLE_SECONDS + 1
    idle.put(route("new"), FakeConnection())
    assert sum(connection.dropped for connection in old) == 4
    idle.put(route("new"), FakeConnection())
    assert all(connection.dropped for connection in old)
    assert len(idle) == 2


def test_beyond_the_bound_nothing_is_kept(idle: pool.IdleConnections[FakeConnection]) -> None:
    many = [FakeConnection() for _ in range(pool.MAX_IDLE + 1)]
    kept = [idle.put(route(str(number % 7)), connection) for number, connection in enumerate(many)]
    assert kept == [True] * pool.MAX_IDLE + [False]
    assert [connection.dropped for connection in many] == [False] * pool.MAX_IDLE + [True]


def test_a_closed_pool_is_empty_and_keeps_nothing(idle: pool.IdleConnections[FakeConnection]) -> None:
    before, after = FakeConnection(), FakeConnection()
    idle.put(route(), before)
    idle.closed = True
    assert idle.close_all() == [before]
    assert not idle.put(route(), after)
    assert before.dropped
    assert after.dropped
    assert len(idle) == 0


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        (None, "HTTPConnection"),
        ("http://user:word@proxy.test:3128", "TunnelHTTPConnection"),
        ("https://proxy.test", "TunnelHTTPConnection"),
    ],
)
def test_each_route_has_its_kind_of_connection(clock: Clock, proxy: str | None, kind: str) -> None:
    route_by_proxy = pool.Route(("https", "api.test", 443), verify=True, proxy=Proxy(proxy) if proxy else None)
    assert type(pool.make_connection(route_by_proxy, SyncDeadlineSocket(clock))).__name__ == kind
    assert type(pool.make_async_connection(route_by_proxy, AsyncDeadlineSocket(clock))).__name__ == "Async" + kind


@pytest.mark.parametrize(
    "proxy", ["socks5://proxy.test", "ftp://proxy.test", "http://[::1"]
)  # httpx's extra for SOCKS is missing
def test_a_proxy_that_cannot_be_used_is_a_failure_of_the_setup(clock: Clock, proxy: str) -> None:
    route_by_proxy = pool.Route(("https", "api.test", 443), verify=True, proxy=Proxy(proxy) if proxy else None)
    for make in (
        lambda: pool.make_connection(route_by_proxy, SyncDeadlineSocket(clock)),
        lambda: pool.make_async_connection(route_by_proxy, AsyncDeadlineSocket(clock)),
    ):
        with pytest.raises(errors.SETUP_ERRORS) as caught:
            make()
        failure = errors.failure_from_setup_error(caught.value, route_by_proxy)
        assert failure.kind == "setup"
        assert ("httpx[socks]" in (failure.advice or "")) is proxy.startswith("socks")


def test_an_endpoint_has_its_port_and_its_host_header() -> None:
    endpoints = [parse_endpoint(url) for url in ("https://a.test/v1", "http://[::1]:8080", "http://bücher.test")]
    assert [endpoint and (endpoint.origin, endpoint.host) for endpoint in endpoints] == [
        (("https", "a.test", 443), b"a.test"),
        (("http", "::1", 8080), b"[::1]:8080"),
        (("http", "xn--bcher-kva.test", 80), b"xn--bcher-kva.test"),
    ]


def test_httpcore_connections_offer_what_pooled_connections_need(clock: Clock) -> None:
    connection = pool.make_connection(route(), SyncDeadlineSocket(clock))
    assert isinstance(connection, httpcore.ConnectionInterface)
    assert not connection.is_idle()


@pytest.mark.thorough
def test_routes_do_not_accumulate(idle: pool.IdleConnections[FakeConnection], clock: Clock) -> None:
    for number in range(100_000):
        assert idle.put(route(f"{number}.test"), FakeConnection())
        connection = idle.take(route(f"{number}.test"))
        assert connection
        connection.drop()
    assert len(idle._stacks) <= 2
    for number in range(1000):
        idle.put(route(f"{number}.test"), FakeConnection())
        clock.time += 1
    assert len(idle._stacks) <= 100
