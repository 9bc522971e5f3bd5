from __future__ import annotations

import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.each import each
from tests.support.echo_format import target_at
from unified_llm._backends.http import errors, pool, proxies_and_certificates
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.request import Endpoint, parse_endpoint
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.proxy import Proxy

CERTIFICATE = str(Path(__file__).parents[2] / "support" / "localhost.pem")


def at(url: str) -> Endpoint:
    endpoint = parse_endpoint(url)
    assert endpoint is not None
    return endpoint


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_a_context_is_made_once() -> None:
    assert proxies_and_certificates.load_ssl_context(verify=True) is proxies_and_certificates.load_ssl_context(
        verify=True
    )
    assert proxies_and_certificates.load_ssl_context(verify=True) is not proxies_and_certificates.load_ssl_context(
        verify=False
    )


def test_certificates_are_checked_unless_the_user_says_no() -> None:
    assert proxies_and_certificates.load_ssl_context(verify=True).verify_mode is ssl.CERT_REQUIRED
    assert proxies_and_certificates.load_ssl_context(verify=True).check_hostname
    assert proxies_and_certificates.load_ssl_context(verify=False).verify_mode is ssl.CERT_NONE


def test_a_context_of_the_users_own_is_used_as_it_is() -> None:
    own = ssl.create_default_context()
    assert proxies_and_certificates.load_ssl_context(own) is own
    assert pool.route_to(at("https://a.test"), target_at("", verify=own)).verify is own


def test_a_bundle_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    assert len(proxies_and_certificates.load_ssl_context(CERTIFICATE).get_ca_certs()) == 1
    assert proxies_and_certificates.load_ssl_context(str(tmp_path)).get_ca_certs() == []
    assert pool.route_to(at("https://a.test"), target_at("", verify=Path(CERTIFICATE))).verify == CERTIFICATE


def test_a_device_or_a_pipe_is_no_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OpenSSL would read it without end."""
    os.mkfifo(pipe := tmp_path / "pipe")
    for path in (str(pipe), "/dev/zero"):
        with pytest.raises(OSError, match="a device or a pipe"):
            proxies_and_certificates.load_ssl_context(path)
        monkeypatch.setenv("SSL_CERT_FILE", path)
        with pytest.raises(OSError, match="a device or a pipe"):
            proxies_and_certificates.load_ssl_context(verify=True)


def test_the_environments_bundle_is_read_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = proxies_and_certificates.load_ssl_context(verify=True)
    monkeypatch.setenv("SSL_CERT_FILE", CERTIFICATE)
    assert len(proxies_and_certificates.load_ssl_context(verify=True).get_ca_certs()) == 1
    assert proxies_and_certificates.load_ssl_context(verify=True) is not before


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://api.test.com", {}, None),
        ("https://api.test.com", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api.test.com", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://api.test.com", {"ALL_PROXY": "http://u:CANARY@p:2"}, "http://u:CANARY@p:2"),
        ("https://api.test.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "test.com"}, None),
        ("https://api.test.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://api.test.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "est.com"}, "http://p:1"),
        ("https://api.test.com", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://api.test.com", {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, None),
        ("https://localhost:8000", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://127.0.0.1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://[::1]:8000", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://ollama", {"HTTPS_PROXY": "http://p:1"}, None),
    ],
)
def test_proxies_are_for_https_to_public_hosts(
    url: str, environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxies_and_certificates.find_proxy(at(url))
    assert (proxy.url.value if proxy else None) == expected
    assert "CANARY" not in repr(proxy)


def test_plain_http_has_one_route_whatever_the_trust() -> None:
    assert pool.route_to(at("http://a.test"), target_at("", verify=False)).verify is True


# A proxy and a client certificate of the target's own

OWN = Proxy("http://user:CANARY@proxy.test:3128")


@each(
    "url",
    (
        "https://api.test.com",
        "https://localhost",
        "http://10.0.0.1:8000",
        "http://127.0.0.1:8000",
        "http://ollama:11434",
    ),
)
def test_a_proxy_of_its_own_holds_for_any_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.test:1")
    monkeypatch.setenv("NO_PROXY", "*")
    assert pool.route_to(at(url), target_at("", proxy=OWN)).proxy is OWN
    assert pool.route_to(at(url), target_at("", proxy=False)).proxy is None


def test_connections_with_other_certificates_or_proxies_are_other_routes() -> None:
    certificate = ClientCertificate(CERTIFICATE)
    settings: list[dict[str, Any]] = [
        {}, {"proxy": OWN}, {"client_certificate": certificate}, {"proxy": OWN, "client_certificate": certificate},
        {"verify": "system"}, {"proxy": Proxy("http://other:CANARY@proxy.test:3128")},
    ]  # fmt: skip
    routes = {pool.route_to(at("https://a.test"), target_at("", **fields)) for fields in settings}
    assert len(routes) == len(settings)
    assert "CANARY" not in repr(routes)


@each("made, kind", ((OWN, "ForwardHTTPConnection"), (None, "HTTPConnection")))
def test_plain_http_is_forwarded_by_a_proxy(made: Proxy | None, kind: str) -> None:
    route = pool.route_to(at("http://a.test"), target_at("", proxy=made))
    assert route.is_forwarded is (made is not None)
    assert pool.tunnel_of(route) is None
    assert type(pool.make_connection(route, SyncDeadlineSocket(time.monotonic))).__name__ == kind
    assert type(pool.make_async_connection(route, AsyncDeadlineSocket(time.monotonic))).__name__ == f"Async{kind}"


def test_an_https_proxy_is_checked_as_the_server_is_and_never_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, seen = Proxy("https://proxy.test:443"), list[tuple[Any, ...]]()
    load = proxies_and_certificates.load_ssl_context

    def record(*given: Any) -> ssl.SSLContext:
        seen.append(given)
        return load(*given)

    monkeypatch.setattr(proxies_and_certificates, "load_ssl_context", record)
    for url in ("http://a.test", "https://a.test"):
        for verify in (True, False, CERTIFICATE):
            target = target_at("", proxy=proxy, verify=verify, client_certificate=ClientCertificate(CERTIFICATE))
            pool.make_connection(pool.route_to(at(url), target), SyncDeadlineSocket(time.monotonic))
    by_proxy = [given for given in seen if len(given) == 1]
    assert by_proxy == [(True,), (True,), (CERTIFICATE,)] * 2  # and is shown no client certificate
    assert [given[0] for given in seen if len(given) == 2] == [True, False, CERTIFICATE]


def renew(path: Path, text: str) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.rename(path)


def test_files_that_changed_are_read_again_once_they_fit_together(tmp_path: Path) -> None:
    text, other_key = Path(CERTIFICATE).read_text(), (Path(CERTIFICATE).parent / "other_key.pem").read_text()
    certificate, key, bundle = (tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt"))
    for path in (certificate, key, bundle):
        path.write_text(text)

    def load() -> ssl.SSLContext:
        return proxies_and_certificates.load_ssl_context(str(bundle), ClientCertificate(str(certificate), str(key)))

    first = load()
    assert load() is first
    renew(key, other_key)
    assert load() is first
    renew(key, text)
    second = load()
    assert second is not first
    renew(bundle, text + text)
    third = load()
    assert third is not second
    bundle.unlink()
    assert load() is third


def test_a_certificate_that_cannot_be_read_is_a_failure_of_the_caller(tmp_path: Path) -> None:
    certificate = ClientCertificate(str(tmp_path / "none.pem"))
    route = pool.Route(("https", "a.test", 443), verify=True, proxy=None, certificate=certificate)
    with pytest.raises(errors.SETUP_ERRORS) as caught:
        pool.make_connection(route, SyncDeadlineSocket(time.monotonic))
    failure = errors.failure_from_setup_error(caught.value, route)
    assert (failure.kind, failure.scope) == ("setup", "caller")
    assert (failure.reason or "").startswith("client_cert= cannot be used: ")


def test_a_missing_package_is_named_where_it_was_removed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    route = pool.Route(("https", "a.test", 443), verify="system", proxy=None)
    monkeypatch.setitem(sys.modules, "truststore", None)
    monkeypatch.setattr(proxies_and_certificates, "_contexts", {})
    with pytest.raises(ImportError) as caught:
        pool.load_ssl_context(route)
    failure = errors.failure_from_setup_error(caught.value, route)
    assert (failure.kind, failure.advice) == ("setup", "pip install 'unified-llm[system-certs]'")


# What a proxy that forwards plain HTTP does wrong


@each(
    "problem, kind, scope, words",
    (
        (httpx.ConnectError(""), "connect", "process", "proxy.test:3128 cannot be reached"),
        (httpx.ConnectTimeout(""), "connect", "process", "proxy.test:3128 cannot be reached"),
        (httpx.ReadError(""), "connection", "shared", "proxy.test:3128 closed the connection without an answer"),
        (httpx.RemoteProtocolError(""), "connection", "shared", "proxy.test:3128 closed the connection without"),
        (httpx.ReadTimeout(""), "timeout", "shared", ""),
    ),
)
def test_what_fails_before_plain_http_is_forwarded_names_the_proxy(
    problem: Exception, kind: str, scope: str, words: str
) -> None:
    route = pool.Route(("http", "a.test", 80), verify=True, proxy=OWN)
    failure = errors.failure_from_error(problem, SyncDeadlineSocket(time.monotonic), route)
    assert (failure.kind, failure.scope) == (kind, scope)
    assert words in (failure.reason or "")
    assert "CANARY" not in repr(failure)


def test_a_port_that_speaks_tls_is_no_http_proxy() -> None:
    route, sock = pool.Route(("http", "a.test", 80), verify=True, proxy=OWN), SyncDeadlineSocket(time.monotonic)
    sock.check_first_bytes(b"\x15\x03\x03")
    failure = errors.failure_from_error(httpx.RemoteProtocolError(""), sock, route)
    assert (failure.reason, failure.advice) == (
        "the proxy at proxy.test:3128 speaks TLS", "write https:// in proxy=",
    )  # fmt: skip


NAMED = Proxy("http://p:1", source="HTTPS_PROXY")


@each(
    "proxy, status, words",
    (
        (Proxy("http://proxy.test:3128"), 407, "it wants a user and a password); put them into the URL of proxy="),
        (Proxy("http://***@proxy.test:3128"), 407, "it wants a user and a password); pass proxy= again"),
        (OWN, 407, "it does not take the user and password); check those in proxy=; only Basic"),
        (OWN, 403, "it does not allow this host); ask who runs it, or pass proxy=False"),
        (
            Proxy("http://p:1", source="HTTPS_PROXY"),
            403,
            "it does not allow this host); ask who runs it, or name the host",
        ),
        (
            Proxy("http://p:1", source="HTTPS_PROXY"),
            418,
            "refused (418); check the proxy, which HTTPS_PROXY names",
        ),
    ),
)
def test_a_refusal_says_what_to_do_with_the_setting_that_names_the_proxy(proxy: Proxy, status: int, words: str) -> None:
    route = pool.Route(("https", "a.test", 443), verify=True, proxy=proxy)
    sock = SyncDeadlineSocket(time.monotonic, pool.tunnel_of(route))
    failure = errors.failure_from_error(httpx.ProxyError(f"{status} no"), sock, route)
    assert words in f"{failure.reason}; {failure.advice}"


def test_only_a_proxy_answers_that_it_wants_a_password() -> None:
    forwarded, direct = (pool.Route(("http", "a.test", 80), verify=True, proxy=proxy) for proxy in (OWN, None))
    tunnel = pool.Route(("https", "a.test", 443), verify=True, proxy=OWN)
    assert errors.refusal_by_status(407, forwarded) is not None
    assert [errors.refusal_by_status(status, forwarded) for status in (200, 403, 502)] == [None] * 3
    assert [errors.refusal_by_status(407, route) for route in (direct, tunnel)] == [None, None]
