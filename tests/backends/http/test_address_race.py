"""Happy eyeballs (RFC 8305): the order of addresses, the instants at which they are tried, and who wins."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from unified_llm._backends.http.address_race import DELAY, SLOW_FOR, AddressRace, SlowAddresses

SIX, FOUR = socket.AF_INET6, socket.AF_INET


def make_address(family: int, host: str) -> Any:
    return (family, socket.SOCK_STREAM, 0, "", (host, 443))


def six(number: int) -> Any:
    return make_address(SIX, f"2001:db8::{number}")


def four(number: int) -> Any:
    return make_address(FOUR, f"192.0.2.{number}")


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def slow(clock: list[float]) -> SlowAddresses:
    return SlowAddresses(lambda: clock[0])


class Race:
    """A race whose sockets are never connected."""

    def __init__(self, slow: SlowAddresses, *addresses: Any) -> None:
        self.race = AddressRace(addresses, slow)
        self.sockets: dict[str, socket.socket] = {}

    def begin(self, now: float) -> list[str]:
        begun = {address[0]: made for made, address in self.race.begin_due(now)}
        self.sockets.update(begun)
        return list(begun)


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Make Unix sockets in place of all others: there is no network here."""
    made: list[socket.socket] = []
    real = socket.socket

    def make(*_: object) -> socket.socket:
        made.append(real(socket.AF_UNIX))
        return made[-1]

    monkeypatch.setattr(socket, "socket", make)
    yield made
    for each in made:
        each.close()


def test_families_alternate_in_the_order_of_the_system(slow: SlowAddresses) -> None:
    addresses = [six(1), six(2), six(3), four(1), four(2)]
    assert slow.sort(addresses) == [six(1), four(1), six(2), four(2), six(3)]
    assert slow.sort([four(1), four(2), six(1)]) == [four(1), six(1), four(2)]


def test_the_next_address_is_tried_after_a_quarter_of_a_second(slow: SlowAddresses) -> None:
    race = Race(slow, four(1), four(2), four(3))
    assert race.begin(1000.0) == ["192.0.2.1"]
    assert race.race.seconds_to_next(1000.0) == DELAY
    assert race.begin(1000.0 + DELAY / 2) == []
    assert race.begin(1000.0 + DELAY) == ["192.0.2.2"]
    assert race.begin(1000.0 + 2 * DELAY) == ["192.0.2.3"]
    assert race.race.seconds_to_next(1001.0) == float("inf")
    race.race.close()


def test_the_next_address_is_tried_at_once_where_one_fails(slow: SlowAddresses) -> None:
    race = Race(slow, four(1), four(2))
    race.begin(1000.0)
    race.race.lose(race.sockets["192.0.2.1"], ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    assert race.begin(1000.0) == ["192.0.2.2"]
    assert race.sockets["192.0.2.1"].fileno() == -1
    race.race.lose(race.sockets["192.0.2.2"], OSError(errno.ENETUNREACH, "unreachable"))
    assert isinstance(race.race.error, ConnectionRefusedError)  # which says more about the host than no route


def test_addresses_that_lost_come_last_for_ten_minutes(slow: SlowAddresses, clock: list[float]) -> None:
    addresses = [six(1), four(1), six(2), four(2)]
    race = Race(slow, *addresses)
    race.begin(1000.0)
    race.begin(1000.0 + DELAY)
    winner = race.race.win(race.sockets["192.0.2.1"])
    assert winner.fileno() > 0
    race.race.close()
    assert slow.sort(addresses) == [four(1), six(2), four(2), six(1)]  # what was not tried is not slow
    clock[0] += SLOW_FOR + 1
    assert slow.sort(addresses) == [six(1), four(1), six(2), four(2)]


def test_an_address_that_had_less_time_than_the_winner_is_not_slow(slow: SlowAddresses) -> None:
    addresses = [six(1), four(1), six(2)]
    race = Race(slow, *addresses)
    for number in range(3):
        race.begin(1000.0 + number * DELAY)
    race.race.win(race.sockets["192.0.2.1"])
    race.race.close()
    assert slow.sort(addresses) == [four(1), six(2), six(1)]


def test_an_address_that_wins_is_not_slow_any_more(slow: SlowAddresses) -> None:
    slow.add(four(1))
    race = Race(slow, four(1))
    race.begin(1000.0)
    race.race.win(race.sockets["192.0.2.1"])
    assert slow.sort([four(1), four(2)]) == [four(1), four(2)]


def test_what_still_connects_is_closed_in_the_end(slow: SlowAddresses, families: list[socket.socket]) -> None:
    race = Race(slow, four(1), four(2))
    race.begin(1000.0)
    race.begin(1001.0)
    race.race.close()
    assert [each.fileno() for each in families] == [-1, -1]


def test_an_address_for_which_there_is_no_socket_is_passed_over(
    slow: SlowAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket

    def make(family: int, *_: object) -> socket.socket:
        if family == SIX:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")
        return real()

    monkeypatch.setattr(socket, "socket", make)
    race = Race(slow, six(1), four(1))
    assert race.begin(1000.0) == ["192.0.2.1"]
    race.race.close()
    lost = Race(slow, six(1))
    assert lost.begin(1000.0) == []
    assert not lost.race.alone
    assert lost.race.error is not None
    assert lost.race.error.errno == errno.EAFNOSUPPORT
