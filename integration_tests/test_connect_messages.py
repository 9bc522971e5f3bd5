"""What is said where no connection can be made: real sockets, real TLS, sync and async."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from integration_tests.support.fault_cases.connections import EXPIRED, TRUSTED, looked_up
from integration_tests.support.fault_server import Close, FaultServer, Hang, Send, ok
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm.exceptions import LLMError

_Config = dict[str, Any]

ALERT: Final = bytes.fromhex("1503030002020a")  # unexpected message
PLAIN: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


def tls_server(certificate: str = TRUSTED, **settings: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@contextmanager
def serving(
    scheme: str = "https", tls: ssl.SSLContext | None = None, answer: bytes = PLAIN, **config: Any
) -> Iterator[_Config]:
    """A server, and the configuration of a target there; without TLS it gives this answer to whatever it reads."""
    with FaultServer(on_accept=[] if tls else [Send(answer), Hang()], tls=tls) as server:
        yield {"base_url": f"{scheme}://127.0.0.1:{server.port}/v1", **config}


@contextmanager
def behind_a_proxy(*steps: Any, **config: Any) -> Iterator[_Config]:
    """A proxy that does this with each request for a tunnel."""
    with FaultServer(list(steps)) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://user:CANARY@"))
        yield {"base_url": "https://model.example/v1", **config}


@contextmanager
def variables(inner: Any, **values: str) -> Iterator[_Config]:
    """The same with variables of the environment, and without those that this machine has."""
    with pytest.MonkeyPatch.context() as patch, inner as config:
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        for name, value in values.items():
            patch.setenv(name, value)
        yield config


@contextmanager
def unresolved() -> Iterator[_Config]:
    with looked_up():
        yield {"base_url": "https://api.internal/v1"}


@contextmanager
def named_differently() -> Iterator[_Config]:
    with FaultServer([Hang()], tls=tls_server()) as server, looked_up(("127.0.0.1", server.port)):
        yield {"base_url": "https://other.example/v1", "verify_ssl": TRUSTED}


def refusal(status: str) -> Send:
    return Send(ok(b"<html>", status=status, content_type="text/html"))


def old_tls() -> ssl.SSLContext:
    context = tls_server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is tried here is old
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


def with_client_certificate(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = tls_server(maximum_version=version, verify_mode=ssl.CERT_REQUIRED)
    context.load_verify_locations(TRUSTED)
    return context


# What is wrong, parts of the message, and the number of attempts.
CASES: Final[dict[str, tuple[Callable[[], Any], tuple[str, ...], int]]] = {
    "proxy 407": (
        lambda: behind_a_proxy(refusal("407 Proxy Authentication Required")),
        ("the proxy at 127.0.0.1:", "refused (407: it does not take the user and password)", "HTTPS_PROXY"), 1),
    "proxy 403": (
        lambda: behind_a_proxy(refusal("403 Forbidden")),
        ("the proxy at 127.0.0.1:", "refused (403: it does not allow this host)", "NO_PROXY"), 1),
    "proxy 502": (
        lambda: behind_a_proxy(refusal("502 Bad Gateway"), max_retries=0),
        ("the proxy at 127.0.0.1:", "could not reach the server (502)"), 1),
    "proxy that closes": (
        lambda: behind_a_proxy(Close(), max_retries=0), ("the proxy at 127.0.0.1:", "closed the connection"), 1),
    "old TLS": (lambda: serving(tls=old_tls(), verify_ssl=False), ("no common TLS version",), 1),
    "https to a plain port": (serving, ("does not speak TLS", "http://"), 1),
    "certificates that are not there": (
        lambda: variables(serving(tls=tls_server()), SSL_CERT_FILE="/x.pem"),
        ("SSL_CERT_FILE=/x.pem cannot be read",), 1),
    "a variable of another library": (
        lambda: variables(serving(tls=tls_server()), REQUESTS_CA_BUNDLE=TRUSTED),
        ("an authority that this machine does not know", "SSL_CERT_FILE (REQUESTS_CA_BUNDLE is not read)"), 1),
    "expired": (lambda: serving(tls=tls_server(EXPIRED), verify_ssl=EXPIRED), ("expired on ", "renew it"), 1),
    "another host": (named_differently, ("is for localhost", "check the host in base_url="), 1),
    "client certificate, TLS 1.3": (
        lambda: serving(tls=with_client_certificate(ssl.TLSVersion.TLSv1_3), verify_ssl=TRUSTED),
        ("wants a client certificate", "client_cert="), 1),
    "client certificate, TLS 1.2": (
        lambda: serving(tls=with_client_certificate(ssl.TLSVersion.TLSv1_2), verify_ssl=TRUSTED),
        ("client certificate", "client_cert="), 1),
    "http to a TLS port": (
        lambda: serving("http", tls=tls_server(), max_retries=0),
        ("closed the connection without an answer", "https:// if this port speaks TLS"), 1),
    "http to a TLS port that answers": (
        lambda: serving("http", answer=ALERT), ("127.0.0.1:", "speaks TLS; use https:// in base_url="), 1),
    "unknown name": (unresolved, ("the name api.internal cannot be looked up",), 3),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("title", CASES)
def test_a_message_says_what_is_wrong_and_where(title: str, mode: str) -> None:
    setting, parts, attempts = CASES[title]
    reset_health()
    with setting() as config:
        client = LLMClient(LLMConfig(model="openai-compatible/m", api_key="sk-test-CANARY", retry_delay=0.0, **config))
        with pytest.raises(LLMError) as caught:
            client.generate("x") if mode == "sync" else asyncio.run(client.agenerate("x"))
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert len(caught.value.attempts) == attempts
    assert "CANARY" not in f"{message} {caught.value.detail}"
