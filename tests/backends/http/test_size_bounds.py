"""Bounds of size and time for servers that always have something to send, over the scripted network."""

from __future__ import annotations

import pytest

from tests.backends.http.test_exchange import run_call
from tests.support.scripted_server import Endless, Network
from tests.support.sync_and_async import Caller, summarize
from unified_llm._backends.http import Transport
from unified_llm._backends.http.deadline_socket import HEAD_LIMIT
from unified_llm._core.outcome import Failure

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n" * 100


def test_interim_responses_without_end_are_oversized(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(Endless(INTERIM))
    (failure,) = run_call(call, transport, network)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == ("oversized", None)
    assert connection.read_bytes == HEAD_LIMIT
    assert network.open == 0


def test_interim_responses_do_not_prolong_the_deadline(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(Endless(INTERIM, seconds=0.1))
    assert summarize(run_call(call, transport, network, seconds=2)) == ["timeout"]
    assert network.clock() == pytest.approx(1002, abs=0.11)


@pytest.mark.parametrize(("seconds", "kind"), [(0.0, "oversized"), (0.1, "timeout")])
def test_a_proxy_that_never_answers_connect_is_given_up(
    call: Caller,
    transport: Transport,
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    *,
    seconds: float,
    kind: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    connection = network.add_connection(Endless(INTERIM, seconds=seconds))
    assert summarize(run_call(call, transport, network, seconds=2, url="https://api.model.test/v1")) == [kind]
    assert connection.sent.startswith(b"CONNECT api.model.test:443")
    assert network.open == 0


def test_the_bound_of_a_head_holds_for_proxy_and_server_together(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    connected = b"HTTP/1.1 200 Connected\r\n\r\n"
    connection = network.add_connection(INTERIM * 10, connected, Endless(INTERIM))
    assert summarize(run_call(call, transport, network, url="https://api.model.test/v1")) == ["oversized"]
    assert connection.read_bytes == HEAD_LIMIT
