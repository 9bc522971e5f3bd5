"""Calls in a process that may open no more files."""

from __future__ import annotations

import pytest

from tests.backends.http.test_exchange import HI, URL, run_call
from tests.support.echo_format import EchoCodec, chat_request, target_at
from tests.support.scripted_server import Network
from tests.support.sync_and_async import Caller, summarize
from unified_llm._backends.http import Transport, descriptors, permits, pool
from unified_llm._core.outcome import Failure


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "RECHECK", 0.005)


def test_a_call_waits_for_a_descriptor(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI)
    network.shortages = 3
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert network.shortages == 0


def test_it_waits_no_longer_than_for_a_permit(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits, "MAX_WAIT", 0.0)
    network.shortages = 3
    (failure,) = run_call(call, transport, network)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.scope) == ("pool", "process")
    assert (failure.reason or "").startswith("this process has too many open files (ulimit -n is ")


def test_a_wait_whose_time_passes_before_it_begins_is_none(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close_slowly(_: object) -> list[object]:
        network.clock.time += 60
        return []

    monkeypatch.setattr(pool.IdleConnections, "close_all", close_slowly)
    network.shortages = 3
    (failure,) = run_call(call, transport, network)
    assert isinstance(failure, Failure)
    assert failure.kind == "pool"


def test_idle_connections_to_other_servers_make_room(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI, HI)
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    network.shortages = 1
    assert summarize(run_call(call, transport, network, url="http://other.test/v1")) == [("whole", "hi")]
    assert [connection.closed for connection in network.made] == [True, False]


def test_a_connection_that_becomes_idle_is_used(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI, HI)
    first = call.exchange(transport, EchoCodec(), chat_request(), target_at(URL))
    assert first.open(network.clock() + 1) is None
    first.read(network.clock() + 1)
    network.shortages = 5
    looks: list[int] = []

    with descriptors.waiting(lambda: looks.append(1)):
        first.close()
    assert looks == [1]  # whoever waits is woken
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert (network.shortages, len(network.made)) == (5, 1)
