"""Connections that are made before the first call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.scripted_server import Network
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, register_provider
from unified_llm._backends.http.connections_async import AsyncPooledConnection
from unified_llm._backends.http.connections_sync import SyncPooledConnection
from unified_llm._backends.http.deadline_socket import OversizedHeadError
from unified_llm._client.backends import Backends
from unified_llm._core import runtime
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm.types import LLMResponse

BODY = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
SILENT = 0.0  # nothing is there to be read before the request


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


@pytest.fixture(params=["sync", "async"])
def warmed(request: pytest.FixtureRequest) -> Callable[[LLMClient], tuple[dict[str, str], str | None]]:
    """Warm a client up and make a call; return what is wrong, and the answer."""

    def run(client: LLMClient, *, then: bool = True) -> tuple[dict[str, str], str | None]:
        if request.param == "sync":
            problems = client.warm()
            return problems, client.generate("x").content if then else None

        async def arun() -> tuple[dict[str, str], str | None]:
            found = await client.awarm()
            return found, (await client.agenerate("x")).content if then else None

        return asyncio.run(arun())

    return run


def make(base_url: str = "http://127.0.0.1:8000", **fields: Any) -> LLMClient:
    return LLMClient("openai-compatible/m", base_url=base_url, api_key="sk-test", max_retries=0, **fields)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_first_call_uses_the_connection_that_was_made_in_advance(
    network: Network, warmed: Any, scheme: str
) -> None:
    network.add_connection(SILENT, ANSWER)
    assert warmed(make(f"{scheme}://127.0.0.1:8000")) == ({}, "hi")
    assert (len(network.made), network.made[0].requests) == (1, 1)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_one_that_ended_meanwhile_is_not_used(network: Network, warmed: Any, first: bytes) -> None:
    network.add_connection(first)
    network.add_connection(ANSWER)
    assert warmed(make()) == ({}, "hi")
    assert (network.made[0].closed, network.made[0].requests, network.made[1].requests) == (True, 0, 1)


def test_what_is_wrong_is_said_and_counts_for_nothing(network: Network, warmed: Any) -> None:
    problems, _ = warmed(make(), then=False)
    assert list(problems) == ["openai-compatible/m"]
    assert problems["openai-compatible/m"].startswith("openai-compatible/m: no connection to 127.0.0.1")
    network.add_connection(ANSWER)
    assert make().generate("x").attempts[0].outcome == "ok"


def test_a_handshake_without_end_is_told(network: Network, warmed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OversizedHeadError

    for connection in (SyncPooledConnection, AsyncPooledConnection):
        monkeypatch.setattr(connection, "connect_in_advance", fail)
    problems, _ = warmed(make(), then=False)
    assert list(problems) == ["openai-compatible/m"]


def test_certificates_that_cannot_be_read_are_named(network: Network, warmed: Any) -> None:
    problems, _ = warmed(make("https://127.0.0.1:8000", verify_ssl="/no/such.pem"), then=False)
    assert "the certificates of verify_ssl= cannot be read" in problems["openai-compatible/m"]


def test_targets_at_one_server_share_a_connection(network: Network, warmed: Any) -> None:
    network.add_connection(SILENT, ANSWER)
    second = {"model": "openai-compatible/other", "base_url": "http://127.0.0.1:8000", "api_key": "sk-test"}
    assert warmed(make(fallbacks=[second])) == ({}, "hi")
    assert len(network.made) == 1


def test_through_a_proxy_nothing_is_connected(network: Network, warmed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    assert warmed(make("https://model.example"), then=False) == ({}, None)
    assert network.made == []


def test_the_certificates_that_a_proxy_needs_are_read_all_the_same(
    network: Network, warmed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    problems, _ = warmed(make("https://model.example"), then=False)
    assert "SSL_CERT_FILE=/no/such.pem cannot be read" in problems["openai-compatible/m"]


def test_a_server_that_is_silent_leaves_time_for_the_next(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def connect(_: object, target: Target, until: float) -> Failure | None:
        given.append(until - network.clock())
        network.clock.time = until
        return Failure("timeout")

    monkeypatch.setattr(Backends, "connect_in_advance", connect)
    fallbacks = [
        {"model": "openai-compatible/m", "base_url": f"http://127.0.0.1:{port}", "api_key": "sk-test"}
        for port in (8001, 8002)
    ]
    with runtime.use(replace(runtime.current(), now=network.clock)):
        assert len(make(fallbacks=fallbacks).warm(timeout=9)) == 3
    assert given == [3.0, 3.0, 3.0]


class Echo:
    def generate(self, request: object) -> LLMResponse:
        return LLMResponse(content="hi")


def test_objects_and_scripted_targets_need_no_connection(network: Network, warmed: Any) -> None:
    register_provider("echo-of-warm", Echo())
    assert warmed(LLMClient("echo-of-warm/m")) == ({}, "hi")
    with ScriptedTargets({"openai/gpt-5-mini": [say("hi")]}).running():
        assert warmed(LLMClient("openai/gpt-5-mini", api_key="sk-test")) == ({}, "hi")
    assert network.made == []
