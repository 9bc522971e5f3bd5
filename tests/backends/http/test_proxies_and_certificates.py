from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.support.echo_format import target_at
from unified_llm._backends.http import pool, proxies_and_certificates
from unified_llm._backends.http.request import Endpoint, parse_endpoint

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
