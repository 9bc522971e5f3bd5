"""Look-ups of host names, with a resolver that a test holds back, and its own clock."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import httpcore
import pytest

from tests.support.sync_and_async import Mode
from unified_llm._backends.http import resolver
from unified_llm._backends.http.connect_failures import UNKNOWN_NAME
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.resolver import FRESH, HANGING, PATIENCE, USABLE, LookUp, Resolver


class NameServer:
    """Stands in for ``socket.getaddrinfo``: names are known, unknown, or held back until the end of the test."""

    def __init__(self) -> None:
        self.known: dict[str, str | Exception] = {}
        self.asked: list[str] = []
        self.hanging: set[str] = set()
        self.released = threading.Event()

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if host in self.hanging:
            self.released.wait(20)
        result = self.known.get(host, socket.gaierror(socket.EAI_NONAME, "unknown"))
        if isinstance(result, Exception):
            raise result
        family = socket.AF_UNIX if "/" in result else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 0, "", result if "/" in result else (result, port))] if result else []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    made = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.released.set()


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def resolving(clock: list[float]) -> Resolver:
    return Resolver(lambda: clock[0])


def ended(look_up: LookUp) -> LookUp:
    """Wait for the thread of a look-up."""
    done = threading.Event()
    look_up.call_when_done(done.set)
    assert done.wait(60)
    return look_up


def address(look_up: LookUp) -> str:
    result = look_up.result()
    assert isinstance(result, list)
    return str(result[0][4][0])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "2001:db8::7"])
def test_an_address_is_not_looked_up(names: NameServer, resolving: Resolver, host: str) -> None:
    look_up = resolving.look_up(host, 443)
    assert look_up.done
    assert address(look_up) == host
    assert names.asked == []


def test_a_zone_is_left_to_the_system(names: NameServer, resolving: Resolver) -> None:
    names.known["fe80::1%eth0"] = "fe80::1"
    assert address(ended(resolving.look_up("fe80::1%eth0", 80))) == "fe80::1"


def test_all_who_need_a_host_share_one_look_up(names: NameServer, resolving: Resolver) -> None:
    names.hanging.add("slow.test")
    names.known["slow.test"] = "10.0.0.1"
    look_ups = [resolving.look_up("slow.test", 443) for _ in range(20)]
    names.released.set()
    assert {address(ended(look_up)) for look_up in look_ups} == {"10.0.0.1"}
    assert names.asked == ["slow.test"]


def test_a_look_up_that_hangs_is_not_waited_for_by_those_who_come_later(
    names: NameServer, resolving: Resolver, clock: list[float]
) -> None:
    names.hanging.add("a.test")
    hanging = resolving.look_up("a.test", 443)
    clock[0] += HANGING - 0.1
    assert resolving.look_up("a.test", 443) is hanging
    names.hanging.clear()
    names.known["a.test"] = "10.0.0.2"
    clock[0] += 0.2
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.2"
    assert not hanging.done
    names.known["a.test"] = "10.0.0.1"
    names.released.set()
    assert address(ended(hanging)) == "10.0.0.1"
    assert address(resolving.look_up("a.test", 443)) == "10.0.0.2"  # which is newer, though it came first


def test_of_one_host_few_look_ups_hang(names: NameServer, resolving: Resolver, clock: list[float]) -> None:
    names.hanging.add("a.test")
    look_ups = set()
    for _ in range(20):
        look_ups.add(resolving.look_up("a.test", 443))
        clock[0] += HANGING
    assert len(look_ups) == 4


def test_hosts_that_hang_hold_up_no_other(names: NameServer, resolving: Resolver) -> None:
    names.hanging.update(f"{number}.test" for number in range(40))
    names.known["good.test"] = "10.0.0.2"
    hanging = [resolving.look_up(f"{number}.test", 443) for number in range(40)]
    assert address(ended(resolving.look_up("good.test", 443))) == "10.0.0.2"
    assert not any(look_up.done for look_up in hanging)


def test_the_number_of_threads_is_bounded_and_those_who_wait_get_their_turn(
    names: NameServer, resolving: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "_MAX_THREADS", 2)
    names.hanging.update({"a.test", "b.test"})
    names.known.update({"a.test": "10.0.0.1", "b.test": "10.0.0.2", "c.test": "10.0.0.3"})
    before = threading.active_count()
    look_ups = [resolving.look_up(f"{name}.test", 443) for name in "abc"]
    assert threading.active_count() <= before + 2
    assert not look_ups[2].done
    names.released.set()
    assert [address(ended(look_up)) for look_up in look_ups] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_a_result_is_used_for_some_seconds(names: NameServer, resolving: Resolver, clock: list[float]) -> None:
    names.known["a.test"] = "10.0.0.1"
    ended(resolving.look_up("a.test", 443))
    names.known["a.test"] = "10.0.0.2"
    clock[0] += FRESH - 0.1
    assert address(resolving.look_up("a.test", 443)) == "10.0.0.1"
    clock[0] += 0.2
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.2"
    assert len(names.asked) == 2


def test_a_host_that_may_have_moved_is_looked_up_anew(names: NameServer, resolving: Resolver) -> None:
    names.known["a.test"] = "10.0.0.1"
    ended(resolving.look_up("a.test", 443))
    names.known["a.test"] = "10.0.0.2"
    resolving.forget("a.test", 443)
    resolving.forget("never-seen.test", 443)
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.2"


@pytest.mark.parametrize("problem", [socket.gaierror(socket.EAI_AGAIN, "later"), OSError(errno.EIO, "broken")])
def test_while_names_cannot_be_looked_up_the_last_good_result_is_used(
    names: NameServer, resolving: Resolver, clock: list[float], problem: OSError
) -> None:
    names.known["a.test"] = "10.0.0.1"
    ended(resolving.look_up("a.test", 443))
    names.known["a.test"] = problem
    clock[0] += USABLE - 1
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.1"
    clock[0] += 2
    assert ended(resolving.look_up("a.test", 443)).result() is problem


def test_a_slow_look_up_is_waited_for_once_where_there_is_a_usable_result(
    names: NameServer, resolving: Resolver, clock: list[float]
) -> None:
    names.hanging.add("a.test")
    assert resolving.patience_with(resolving.look_up("a.test", 443)) == float("inf")
    names.hanging.clear()
    names.known["b.test"] = "10.0.0.1"
    ended(resolving.look_up("b.test", 443))
    clock[0] += FRESH
    names.hanging.add("b.test")
    assert resolving.patience_with(resolving.look_up("b.test", 443)) == PATIENCE
    clock[0] += 2 * PATIENCE
    assert resolving.patience_with(resolving.look_up("b.test", 443)) == 0.0


@pytest.mark.parametrize("code", sorted(UNKNOWN_NAME))
def test_a_name_that_is_gone_is_gone(names: NameServer, resolving: Resolver, clock: list[float], code: int) -> None:
    names.known["a.test"] = "10.0.0.1"
    ended(resolving.look_up("a.test", 443))
    clock[0] += FRESH
    names.known["a.test"] = socket.gaierror(code, "gone")
    assert isinstance(ended(resolving.look_up("a.test", 443)).result(), socket.gaierror)


def test_a_failure_is_not_remembered(names: NameServer, resolving: Resolver) -> None:
    assert isinstance(ended(resolving.look_up("a.test", 443)).result(), socket.gaierror)
    names.known["a.test"] = "10.0.0.1"
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.1"


def test_a_name_without_addresses_is_unknown(names: NameServer, resolving: Resolver) -> None:
    names.known["a.test"] = ""
    assert isinstance(ended(resolving.look_up("a.test", 443)).result(), socket.gaierror)


def test_a_program_that_replaces_the_look_up_gets_no_result_of_the_old_one(
    names: NameServer, resolving: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.known["a.test"] = "10.0.0.1"
    ended(resolving.look_up("a.test", 443))
    other = NameServer()
    other.known["a.test"] = "10.0.0.9"
    monkeypatch.setattr(socket, "getaddrinfo", other)
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.9"


def test_where_no_thread_can_be_started_the_caller_looks_up(
    names: NameServer, resolving: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    names.known["a.test"] = "10.0.0.1"
    look_up = resolving.look_up("a.test", 443)
    assert look_up.done
    assert address(look_up) == "10.0.0.1"


class Interruption(BaseException):
    """As ``gevent.Timeout`` is one, and ``SystemExit``."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_up_whose_thread_ends_early_has_failed(
    resolving: Resolver, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> list[Any]:
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(resolver, "_MAX_THREADS", 1)
        patch.setattr(socket, "getaddrinfo", interrupt)
        assert isinstance(ended(resolving.look_up("a.test", 443)).result(), OSError)
        names.known["a.test"] = "10.0.0.1"
        patch.setattr(socket, "getaddrinfo", names)
        assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.1"
    for thread in threading.enumerate():  # what the first one raises is this test's
        if thread.name == "unified-llm-look-up":
            thread.join(60)


def test_a_shortage_of_files_is_told_from_a_name_that_is_unknown(
    names: NameServer, resolving: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    result = ended(resolving.look_up("a.test", 443)).result()
    assert isinstance(result, OSError)
    assert result.errno == errno.EMFILE


def test_a_forked_child_starts_its_own_look_ups(names: NameServer, resolving: Resolver) -> None:
    names.hanging.add("a.test")
    resolving.look_up("a.test", 443)
    resolving.reset()
    names.hanging.clear()
    names.known["a.test"] = "10.0.0.1"
    assert address(ended(resolving.look_up("a.test", 443))) == "10.0.0.1"


# What a connection makes of it


def connect(mode: Mode, seconds: float, host: str = "slow.test") -> Any:
    """Begin a connection that may take so long; return its socket object after it has failed."""
    if mode == "sync":
        sync_sock = SyncDeadlineSocket(time.monotonic)
        sync_sock.until, sync_sock.connect_timeout = time.monotonic() + seconds, 5.0
        with pytest.raises((httpcore.ConnectTimeout, httpcore.ConnectError)):
            sync_sock.connect_tcp(host, 80)
        return sync_sock
    sock = AsyncDeadlineSocket(time.monotonic)
    sock.until, sock.connect_timeout = time.monotonic() + seconds, 5.0

    async def fail() -> None:
        with pytest.raises((httpcore.ConnectTimeout, httpcore.ConnectError)):
            await sock.connect_tcp(host, 80)

    asyncio.run(fail())
    return sock


def test_a_look_up_without_end_is_a_timeout_of_this_process(names: NameServer, mode: Mode) -> None:
    names.hanging.add("slow.test")
    failure = connect(mode, 0.05).failure
    assert (failure.kind, failure.scope, failure.unsent) == ("timeout", "process", True)
    assert failure.reason == "the name slow.test could not be looked up within 0.05 s"


def test_a_look_up_without_end_keeps_no_event_loop_alive(names: NameServer) -> None:
    names.hanging.add("slow.test")
    loop = asyncio.new_event_loop()
    alive = weakref.ref(loop)
    sock = AsyncDeadlineSocket(time.monotonic)
    sock.until, sock.connect_timeout = time.monotonic() + 0.01, 5.0
    with pytest.raises(httpcore.ConnectTimeout):
        loop.run_until_complete(sock.connect_tcp("slow.test", 80))
    loop.close()
    del loop
    gc.collect()
    assert alive() is None


def test_a_slow_look_up_is_replaced_by_the_last_good_result(
    names: NameServer, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    made = Resolver(lambda: clock[0])
    for module in ("sync", "async"):
        monkeypatch.setattr(f"unified_llm._backends.http.deadline_socket_{module}.RESOLVER", made)
    monkeypatch.setattr(resolver, "PATIENCE", 0.01)
    names.known["slow.test"] = "/nobody/listens"
    ended(made.look_up("slow.test", 80))
    clock[0] += FRESH
    names.hanging.add("slow.test")
    failure = connect(mode, 5.0).failure
    assert failure.kind == "connect"  # which is the failure of the address


def waker(woken: list[int]) -> Callable[[], None]:
    return lambda: woken.append(1)


def test_who_begins_to_wait_too_late_is_woken_at_once(resolving: Resolver) -> None:
    woken: list[int] = []
    resolving.look_up("127.0.0.1", 80).call_when_done(waker(woken))
    assert woken
