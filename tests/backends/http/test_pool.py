from __future__ import annotations

import httpcore
import pytest

from tests.support.scripted_server import Clock
from unified_llm._backends.http import errors, pool
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.request import place


class Held:
    def __init__(self) -> None:
        self.idle_since = 0.0
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def route(host: str = "a", **fields: str) -> pool.Route:
    return pool.Route((fields.get("scheme", "http"), host, 80), verify=True, proxy=fields.get("proxy"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf(clock: Clock) -> pool.Shelf[Held]:
    return pool.Shelf(clock)


def test_the_last_one_put_is_the_first_one_taken(shelf: pool.Shelf[Held]) -> None:
    first, second, other = Held(), Held(), Held()
    shelf.put(route(), first)
    shelf.put(route(), second)
    shelf.put(route("b"), other)
    assert [shelf.take(route()) for _ in range(3)] == [second, first, None]
    assert shelf.take(route("c")) is None
    assert len(shelf) == 1


def test_what_is_too_old_is_dropped_instead_of_taken(shelf: pool.Shelf[Held], clock: Clock) -> None:
    old = Held()
    shelf.put(route(), old)
    clock.time += pool.KEEP_SECONDS + 1
    assert shelf.take(route()) is None
    assert old.dropped


def test_each_put_drops_a_few_of_the_too_old_everywhere(shelf: pool.Shelf[Held], clock: Clock) -> None:
    old = [Held() for _ in range(6)]
    for number, slot in enumerate(old):
        shelf.put(route(str(number % 2)), slot)
    clock.time += pool.KEEP_SECONDS + 1
    shelf.put(route("new"), Held())
    assert sum(slot.dropped for slot in old) == 4
    shelf.put(route("new"), Held())
    assert all(slot.dropped for slot in old)
    assert len(shelf) == 2


def test_beyond_the_bound_nothing_is_kept(shelf: pool.Shelf[Held]) -> None:
    many = [Held() for _ in range(pool.KEEP + 1)]
    kept = [shelf.put(route(str(number % 7)), slot) for number, slot in enumerate(many)]
    assert kept == [True] * pool.KEEP + [False]
    assert [slot.dropped for slot in many] == [False] * pool.KEEP + [True]


def test_a_closed_shelf_is_empty_and_keeps_nothing(shelf: pool.Shelf[Held]) -> None:
    before, after = Held(), Held()
    shelf.put(route(), before)
    shelf.closed = True
    assert shelf.clear() == [before]
    assert not shelf.put(route(), after)
    assert before.dropped
    assert after.dropped
    assert len(shelf) == 0


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        (None, "HTTPConnection"),
        ("http://user:word@proxy.test:3128", "TunnelHTTPConnection"),
        ("https://proxy.test", "TunnelHTTPConnection"),
    ],
)
def test_each_route_has_its_kind_of_connection(clock: Clock, proxy: str | None, kind: str) -> None:
    way = pool.Route(("https", "api.test", 443), verify=True, proxy=proxy)
    assert type(pool.connection(way, SyncDeadlineSocket(clock))).__name__ == kind
    assert type(pool.aconnection(way, AsyncDeadlineSocket(clock))).__name__ == "Async" + kind


@pytest.mark.parametrize("proxy", ["socks5://proxy.test", "ftp://proxy.test"])  # httpx's extra for SOCKS is missing
def test_a_proxy_that_cannot_be_used_is_a_failure_of_the_setup(clock: Clock, proxy: str) -> None:
    way = pool.Route(("https", "api.test", 443), verify=True, proxy=proxy)
    for make in (
        lambda: pool.connection(way, SyncDeadlineSocket(clock)),
        lambda: pool.aconnection(way, AsyncDeadlineSocket(clock)),
    ):
        with pytest.raises(errors.SETUP_FAULTS) as caught:
            make()
        assert errors.setup_failure(caught.value).kind == "connect"


def test_a_place_knows_its_port_and_its_host_header() -> None:
    found = [place(url) for url in ("https://a.test/v1", "http://[::1]:8080", "http://bücher.test")]
    assert [each and (each.origin, each.host) for each in found] == [
        (("https", "a.test", 443), b"a.test"),
        (("http", "::1", 8080), b"[::1]:8080"),
        (("http", "xn--bcher-kva.test", 80), b"xn--bcher-kva.test"),
    ]


def test_httpcore_connections_offer_what_the_slots_ask_of_them(clock: Clock) -> None:
    connection = pool.connection(route(), SyncDeadlineSocket(clock))
    assert isinstance(connection, httpcore.ConnectionInterface)
    assert not connection.is_idle()
