"""Proxies and client certificates of a target, over real sockets: a proxy that wants a password, servers with TLS that
demand a certificate; sync, async and streamed, and through the adapters."""

from __future__ import annotations

import asyncio
import pickle
import shutil
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.certificates import Authority
from integration_tests.support.connect_proxy import ConnectProxy
from integration_tests.support.fault_responses import FIRST, answer, streamed
from integration_tests.support.fault_server import Close, FaultServer, Send
from unified_llm import LLMClient, health_snapshot, reset_health
from unified_llm.exceptions import ConfigurationError, ConnectionError, LLMError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

LOGIN = "user:CANARY p@ss/word"
QUOTED = "user:CANARY%20p%40ss%2Fword"
KEY = "sk-test-CANARY-networks"


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    reset_health()
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "other")


def make(server: FaultServer, **fields: Any) -> dict[str, Any]:
    return {
        "model": "openai-compatible/m",
        "api_key": KEY,
        "base_url": f"{server.url}/v1",
        "retry_delay": 0.0,
        **fields,
    }


def stream(fields: dict[str, Any]) -> str:
    return "".join(chunk.content for chunk in LLMClient(**fields).stream("x"))


async def astream(fields: dict[str, Any]) -> str:
    return "".join([chunk.content async for chunk in LLMClient(**fields).astream("x")])


async def achat_stream(fields: dict[str, Any]) -> str:
    return "".join([str(chunk.content) async for chunk in ChatUnified(**fields).astream("x")])


# How to ask; the streamed ones are last.
WHOLE: dict[str, Callable[[dict[str, Any]], str]] = {
    "generate": lambda fields: LLMClient(**fields).generate("x").content,
    "agenerate": lambda fields: asyncio.run(LLMClient(**fields).agenerate("x")).content,
    "langchain": lambda fields: str(ChatUnified(**fields).invoke("x").content),
    "llama-index": lambda fields: UnifiedLLM(**fields).complete("x").text,
}
STREAMED: dict[str, Callable[[dict[str, Any]], str]] = {
    "stream": stream,
    "astream": lambda fields: asyncio.run(astream(fields)),
    "langchain stream": lambda fields: asyncio.run(achat_stream(fields)),
}
WAYS = {**WHOLE, **STREAMED}


def responding(way: str, tls: ssl.SSLContext | None = None) -> FaultServer:
    return FaultServer([Send(streamed() if way in STREAMED else answer())], tls=tls)


@pytest.fixture(params=["http", "https"])
def proxy(request: pytest.FixtureRequest, authority: Authority) -> Iterator[ConnectProxy]:
    with ConnectProxy(LOGIN, authority.server() if request.param == "https" else None) as running:
        running.address = f"{request.param}://{QUOTED}@{running.address}"
        yield running


@pytest.mark.parametrize("way", WAYS)
def test_a_server_with_tls_is_reached_through_a_tunnel(way: str, proxy: ConnectProxy, authority: Authority) -> None:
    with responding(way, authority.server()) as server:
        fields = make(server, proxy=proxy.address, verify_ssl=authority.bundle)
        assert WAYS[way](fields) == FIRST
        assert proxy.seen == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"]
        assert [name for name in server.requests[0].headers if "proxy" in name] == []


@pytest.mark.parametrize("way", WAYS)
def test_a_plain_server_is_asked_by_the_proxy(way: str, proxy: ConnectProxy, authority: Authority) -> None:
    with responding(way) as server:
        fields = make(server, proxy=proxy.address, verify_ssl=authority.bundle)
        assert WAYS[way](fields) == FIRST
        assert proxy.seen == [f"POST http://127.0.0.1:{server.port}/v1/chat/completions HTTP/1.1"]
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_through_a_proxy_is_used_again(authority: Authority, *, tls: bool) -> None:
    with ConnectProxy() as proxy, responding("generate", authority.server() if tls else None) as server:
        client = LLMClient(**make(server, proxy=proxy.address, verify_ssl=authority.bundle))
        assert [client.generate("x").content for _ in range(3)] == [FIRST] * 3
        assert (server.accepted, len(server.requests)) == (1, 3)


def test_a_list_of_models_takes_the_same_way() -> None:
    with ConnectProxy() as proxy, FaultServer([Send(answer())]) as server:
        client = LLMClient(**make(server, proxy=proxy.address))
        with pytest.raises(LLMError):  # an answer of a chat is no list
            client.list_models()
        assert proxy.seen[0].startswith("GET http://127.0.0.1:")


def test_the_variables_are_overridden_by_a_proxy_and_by_none(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ConnectProxy() as own, ConnectProxy() as other, responding("generate", authority.server()) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{other.address}")
        monkeypatch.setenv("NO_PROXY", "*")
        LLMClient(**make(server, proxy=own.address, verify_ssl=authority.bundle)).generate("x")
        LLMClient(**make(server, proxy=False, verify_ssl=authority.bundle)).generate("x")
        assert (len(own.seen), len(other.seen), len(server.requests)) == (1, 0, 2)


# What is given as proxy=, and what is said of it.
REFUSALS: dict[str, tuple[Callable[[ConnectProxy], str], str]] = {
    "no password": (
        lambda proxy: proxy.address,
        "refused (407: it wants a user and a password); put them into the URL",
    ),
    "a wrong one": (
        lambda proxy: f"http://user:CANARY@{proxy.address}",
        "refused (407: it does not take the user and password); check those in proxy=; only Basic",
    ),
}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "astream"])
@pytest.mark.parametrize("title", REFUSALS)
def test_a_proxy_that_wants_another_password_says_so(title: str, way: str, authority: Authority, *, tls: bool) -> None:
    address, words = REFUSALS[title]
    with ConnectProxy(LOGIN) as proxy, responding(way, authority.server() if tls else None) as server:
        with pytest.raises(ConnectionError) as caught:
            WAYS[way](make(server, proxy=address(proxy), verify_ssl=authority.bundle))
        message = str(caught.value)
        assert f"the proxy at 127.0.0.1:{proxy.port} {words}" in message
        assert len(caught.value.attempts) == 1
        assert server.requests == []
        assert "CANARY" not in f"{message} {caught.value.detail} {health_snapshot()}"


@pytest.mark.parametrize("way", ["generate", "agenerate"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_is_not_there_is_named_and_takes_the_server_from_nobody(
    way: str, authority: Authority, *, tls: bool
) -> None:
    with ConnectProxy() as proxy:
        gone = proxy.address
    with responding(way, authority.server() if tls else None) as server:
        fields = make(server, verify_ssl=authority.bundle)
        for _ in range(4):
            with pytest.raises(
                ConnectionError, match=f"the proxy at {gone} cannot be reached.*check the proxy, which proxy= names"
            ):
                WAYS[way]({**fields, "proxy": gone, "max_retries": 1})
        assert WAYS[way](fields) == FIRST
        states = {row["state"] for row in health_snapshot()}
        assert states == {"open", "closed"}


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_closes_is_named(authority: Authority, *, tls: bool) -> None:
    with FaultServer([Close()]) as proxy, responding("generate", authority.server() if tls else None) as server:
        client = LLMClient(**make(server, proxy=proxy.url, max_retries=0))
        words = rf"the proxy at 127\.0\.0\.1:{proxy.port} closed the connection"
        with pytest.raises(ConnectionError, match=words):
            client.generate("x")


def test_a_pickled_copy_says_that_the_password_was_left_out() -> None:
    with ConnectProxy(LOGIN) as proxy, responding("generate") as server:
        chat = ChatUnified(**make(server, proxy=f"http://{QUOTED}@{proxy.address}"))
        assert chat.invoke("x").content == FIRST
        loaded = pickle.loads(pickle.dumps(chat))  # noqa: S301
        loaded.api_key = KEY
        with pytest.raises(LLMError, match="pass proxy= again: pickles and dumps leave user and password out"):
            loaded.invoke("x")


# Client certificates

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_demands_a_certificate_is_shown_it(
    way: str, version: ssl.TLSVersion, authority: Authority, other: Authority
) -> None:
    certificate = (*other.issue("client", password="CANARY"), "CANARY")
    with responding(way, authority.server(wants=other, version=version)) as server:
        assert WAYS[way](make(server, verify_ssl=authority.bundle, client_cert=certificate)) == FIRST


def test_it_is_shown_through_a_proxy_and_not_to_the_proxy(authority: Authority, other: Authority) -> None:
    tls = authority.server(wants=other)
    with ConnectProxy(tls=authority.server(wants=authority)) as proxy, responding("generate", tls) as server:
        fields = make(server, verify_ssl=authority.bundle, client_cert=other.issue("client"))
        with pytest.raises(LLMError, match=f"127.0.0.1:{proxy.port}"):
            LLMClient(**fields, proxy=f"https://{proxy.address}", max_retries=0).generate("x")
    with ConnectProxy(tls=authority.server()) as proxy, responding("generate", tls) as server:
        fields = make(server, verify_ssl=authority.bundle, client_cert=other.issue("client"))
        assert LLMClient(**fields, proxy=f"https://{proxy.address}").generate("x").content == FIRST


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "astream"])
def test_a_server_that_does_not_get_its_certificate_is_an_error_of_the_caller(
    way: str, version: ssl.TLSVersion, authority: Authority, other: Authority
) -> None:
    with responding(way, authority.server(wants=other, version=version)) as server:
        fields = make(server, verify_ssl=authority.bundle)
        for certificate, words in ((None, "client certificate"), (authority.issue("stranger"), "unknown ca")):
            for _ in range(3):
                with pytest.raises(ConfigurationError) as caught:
                    WAYS[way]({**fields, "client_cert": certificate})
                assert words in str(caught.value)
                assert "client_cert=" in str(caught.value)
        right = {**fields, "client_cert": other.issue("client")}
        assert WAYS[way](right) == FIRST  # no breaker is open


def test_one_that_expired_is_refused_when_the_client_is_made(other: Authority) -> None:
    with FaultServer() as server, pytest.raises(ConfigurationError, match=r"expired on .* GMT: renew it"):
        LLMClient(**make(server, client_cert=other.issue("old", days=-1)))


def test_files_that_were_renewed_are_read_again(authority: Authority, other: Authority, tmp_path: Path) -> None:
    paths = str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")

    def renew(issued: tuple[str, str], *places: int) -> None:
        for place in places:
            fresh = tmp_path / "fresh"
            shutil.copy(issued[place], fresh)
            fresh.rename(paths[place])

    renew(authority.issue("stranger"), 0, 1)
    with responding("generate", authority.server(wants=other)) as server:
        client = LLMClient(**make(server, verify_ssl=authority.bundle, client_cert=paths))
        with pytest.raises(ConfigurationError, match="unknown ca"):
            client.generate("x")
        issued = other.issue("client")
        renew(issued, 0)
        with pytest.raises(ConfigurationError, match="unknown ca"):  # the old pair: the new key is not there yet
            client.generate("x")
        renew(issued, 1)
        assert client.generate("x").content == FIRST
        Path(paths[0]).unlink()
        assert client.generate("x").content == FIRST


# The certificates of the operating system


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's store is not to be changed by a test")
@pytest.mark.parametrize("way", ["generate", "agenerate"])
def test_what_the_operating_system_trusts_is_trusted(
    way: str, authority: Authority, other: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with responding(way, authority.server(wants=other)) as server:
        fields = make(server, verify_ssl="system", client_cert=other.issue("client"))
        with pytest.raises(ConfigurationError, match="signed by an authority that this machine does not know"):
            WAYS[way](fields)
        reset_health()
        monkeypatch.setenv("SSL_CERT_FILE", authority.bundle)  # which OpenSSL takes for the system's
        assert WAYS[way](fields) == FIRST
