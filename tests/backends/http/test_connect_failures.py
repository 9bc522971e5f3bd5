"""What is said where no connection can be made, and whom it concerns."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.each import each
from unified_llm._backends.http import connect_failures

_Words = tuple[str, str, str]  # whom it concerns, what happened, what to do


def ssl_error(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1000)")
    error.reason = reason
    return error


def refused_certificate(code: int, message: str = "no") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error


@each(
    ("error", "words"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            ("process", "the name api.internal cannot be looked up", "check base_url= and the DNS of this machine"),
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            ("process", "the name api.internal cannot be looked up now", "check the network and the DNS"),
        ),
        (UnicodeError("label too long"), ("process", "the name api.internal cannot be looked up", "check base_url=")),
        (OSError(errno.EMFILE, "Too many open files"), ("process", "this process has too many open files", "raise")),
    ],
)
def test_a_look_up(error: Exception, words: _Words) -> None:
    failure = connect_failures.look_up_failed("api.internal", error)
    assert failure.kind == ("pool" if isinstance(error, OSError) and error.errno == errno.EMFILE else "connect")
    check(failure, words)


@each(
    ("code", "kind", "words"),
    [
        (
            errno.ENETUNREACH,
            "connect",
            ("process", "this machine has no route to api:80 (Network", "check its network"),
        ),
        (errno.EHOSTUNREACH, "connect", ("process", "this machine has no route to api:80 (No route", "check its")),
        (errno.EADDRNOTAVAIL, "connect", ("process", "this machine has no free port, or no address", "make fewer")),
        (errno.ENOBUFS, "connect", ("process", "this machine has no memory for another connection", "make fewer")),
        (errno.EPERM, "connect", ("process", "this machine allows no connection to api:80", "check its firewall")),
        (errno.EMFILE, "pool", ("process", "this process has too many open files (ulimit -n is ", "raise the limit")),
        (errno.ENFILE, "pool", ("process", "this process has too many open files", "raise the limit")),
        (errno.ECONNREFUSED, "connect", ("shared", "", "")),
        (errno.ECONNRESET, "connect", ("shared", "", "")),
    ],
)
def test_a_connection(code: int, kind: str, words: _Words) -> None:
    failure = connect_failures.connect_failed("api", 80, OSError(code, "x"))
    assert failure.kind == kind
    check(failure, words)


@each(
    "make",
    [
        lambda: connect_failures.look_up_timed_out("api", 5.0),
        lambda: connect_failures.connect_timed_out("api", 80, 5.0),
        lambda: connect_failures.handshake_timed_out("api", 80, 4.9987),
    ],
)
def test_each_limit_that_passes_is_a_timeout_of_a_request_that_was_not_sent(make: Callable[[], Any]) -> None:
    failure = make()
    assert (failure.kind, failure.unsent) == ("timeout", True)
    assert failure.reason.endswith("within 5 s")


@each(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", ("shared", "api:443 does not speak TLS", "use http:// in base_url=")),
        ("RECORD_LAYER_FAILURE", ("shared", "api:443 does not speak TLS", "use http:// in base_url=")),
        ("UNSUPPORTED_PROTOCOL", ("shared", "this machine has no common TLS version with api:443", "enable TLS 1.2")),
        ("TLSV1_ALERT_PROTOCOL_VERSION", ("shared", "this machine has no common TLS version", "enable TLS 1.2")),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", ("caller", "api:443 wants a client certificate", "client_cert=")),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", ("shared", "api:443 refused the TLS connection", "client_cert=")),
        ("TLSV1_ALERT_UNKNOWN_CA", ("caller", "api:443 does not accept the client certificate, or", "client_cert=")),
        ("SSLV3_ALERT_BAD_CERTIFICATE", ("caller", "api:443 does not accept the client certificate", "client_cert=")),
        ("TLSV1_ALERT_INTERNAL_ERROR", ("shared", "api:443 refused the TLS connection (alert: internal", ".detail")),
        ("NO_SHARED_CIPHER", ("shared", "the TLS handshake with api:443 failed", ".detail")),
    ],
)
def test_a_tls_handshake(reason: str, words: _Words) -> None:
    check(connect_failures.handshake_failed("api", 443, ssl_error(reason), None), words)


def test_a_name_that_no_certificate_can_have() -> None:
    failure = connect_failures.handshake_failed("-api", 443, ValueError("server_hostname cannot start with -"), None)
    check(failure, ("shared", "the TLS handshake with -api:443 failed", ".detail"))


@pytest.mark.parametrize("reason", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_INTERNAL_ERROR"])
def test_an_alert_after_the_handshake(reason: str) -> None:
    failure = connect_failures.alert_received("api", 443, ssl_error(reason))
    assert failure is not None
    assert failure.kind == "tls"
    assert connect_failures.alert_received("api", 443, ssl_error("DECRYPTION_FAILED")) is None


CERTIFICATE = {
    "notAfter": "Jan  1 00:00:00 2020 GMT",
    "notBefore": "Jan  1 00:00:00 2099 GMT",
    "subjectAltName": (("DNS", "other.example"), ("DNS", "b.example")),
}


@each(
    ("code", "certificate", "words"),
    [
        (10, CERTIFICATE, ("shared", "the certificate of api:443 expired on Jan  1 00:00:00 2020 GMT", "renew it")),
        (10, None, ("shared", "the certificate of api:443 expired", "check the clock")),
        (9, CERTIFICATE, ("shared", "the certificate of api:443 is not valid yet (from Jan  1 00", "check the clock")),
        (62, CERTIFICATE, ("shared", "the certificate of api:443 is for other.example, b.example", "check the host")),
        (64, None, ("shared", "the certificate of api:443 is for another name", "check the host in base_url=")),
        (18, None, ("process", "the certificate of api:443 is signed by an authority that this", "verify_ssl=")),
        (20, None, ("process", "the certificate of api:443 is signed by an authority that this", "SSL_CERT_FILE")),
        (23, None, ("shared", "the certificate of api:443 was refused (revoked)", ".detail")),
    ],
)
def test_a_certificate(code: int, certificate: Any, words: _Words) -> None:
    error = refused_certificate(code, "revoked" if code == 23 else "no")
    check(connect_failures.handshake_failed("api", 443, error, certificate), words)


def test_variables_of_other_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/corporate.pem")
    failure = connect_failures.handshake_failed("api", 443, refused_certificate(20), None)
    assert (failure.advice or "").endswith("name it in SSL_CERT_FILE (REQUESTS_CA_BUNDLE is not read)")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/corporate.pem")
    failure = connect_failures.handshake_failed("api", 443, refused_certificate(20), None)
    assert "(REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE are not read)" in (failure.advice or "")
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")
    failure = connect_failures.handshake_failed("api", 443, refused_certificate(20), None)
    assert "not read" not in (failure.advice or "")


def test_plain_http_to_a_tls_port() -> None:
    check(connect_failures.speaks_tls("api", 443), ("shared", "api:443 speaks TLS", "use https:// in base_url="))


def check(failure: Any, words: _Words) -> None:
    scope, reason, advice = words
    assert failure.scope == scope
    assert (failure.reason or "").startswith(reason)
    assert advice in (failure.advice or "")


def test_an_ipv6_address_is_told_from_its_port() -> None:
    assert connect_failures.connect_timed_out("2001:db8::1", 80, 5.0).reason == (
        "no connection to [2001:db8::1]:80 within 5 s"
    )
