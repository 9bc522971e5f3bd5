"""Failures of making a connection, in words: the look-up of a name, TCP, the TLS handshake.

Each says what happened, to which host, and what to do; whom it concerns (``Failure.scope``) decides who is told. What
shows only that this machine is in trouble (no name server, no route, no free port, no known authority) must not take a
healthy target from the other processes that share its health.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

from unified_llm._backends.http.proxies_and_certificates import unread_variables
from unified_llm._core.outcome import Failure
from unified_llm._lib.show_seconds import show_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of the system where no more files or sockets can be opened."""

_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_NO_MEMORY: Final = frozenset({errno.ENOBUFS, errno.ENOMEM})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})

UNKNOWN_NAME: Final = frozenset(
    number for name in ("EAI_NONAME", "EAI_NODATA") if (number := getattr(socket, name, None)) is not None
)
"""Errors of ``socket.getaddrinfo`` for names that do not exist, or have no address."""

# Codes of OpenSSL's verification (X509_V_ERR_...): https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})
_WRONG_NAME: Final = frozenset({62, 64})

# OpenSSL's reasons, without their prefixes, which differ between its versions.
_NO_TLS: Final = re.compile(
    "WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST|UNKNOWN_PROTOCOL|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG|"
    "BAD_RECORD_TYPE|UNEXPECTED_MESSAGE"
)
_NO_COMMON_VERSION: Final = re.compile("UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|NO_PROTOCOLS_AVAILABLE|UNSUPPORTED_SSL")
_WANTS_CERTIFICATE: Final = re.compile("CERTIFICATE_REQUIRED|PEER_DID_NOT_RETURN_A_CERTIFICATE")
_ALERT: Final = re.compile("ALERT_(.*)")

_SEE_DETAIL: Final = ".detail holds the message of the TLS library"
_OWN_CERTIFICATE: Final = "pass client_cert=(certificate, key)"
# Alerts by which servers refuse the certificate of a client, as no other side of a handshake gets them (RFC 8446, 6.2).
# Some send the first where they were shown none.
_CERTIFICATE_REFUSED: Final = re.compile(
    "BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN)|UNKNOWN_CA|ACCESS_DENIED"
)


def name_address(host: str, port: int) -> str:
    """Return what messages call an address; an IPv6 address has brackets, or its port would look like a part of it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def look_up_failed(host: str, error: Exception) -> Failure:
    """Return the failure where a host name could not be looked up."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR and not isinstance(error, socket.gaierror):
        return no_descriptor(error)
    reason, advice = f"the name {host} cannot be looked up", "check base_url= and the DNS of this machine"
    if isinstance(error, socket.gaierror) and error.errno not in UNKNOWN_NAME:
        reason += " now"
        advice = "check the network and the DNS of this machine"
    detail = error.strerror if isinstance(error, OSError) else "not a valid host name"
    return Failure("connect", scope="process", reason=reason, advice=advice, detail=detail)


def look_up_timed_out(host: str, seconds: float) -> Failure:
    """Return the failure where a look-up has not ended in time."""
    reason = f"the name {host} could not be looked up within {show_seconds(round(seconds, 2))}"
    return _timeout(reason, "check the network and the DNS of this machine", scope="process")


def no_descriptor(error: OSError) -> Failure:
    """Return the failure where this process may open no more files; the exchange waits for a descriptor."""
    return Failure(
        "pool",
        scope="process",
        reason=f"this process has too many open files{_describe_limit()}",
        advice="raise the limit, or make fewer calls at once",
        detail=error.strerror,
    )


def _describe_limit() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return ""
    return f" (ulimit -n is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"


def connect_failed(host: str, port: int, error: Exception) -> Failure:
    """Return the failure where no address of a host could be reached."""
    code = error.errno if isinstance(error, OSError) else None
    if code in NO_DESCRIPTOR and isinstance(error, OSError):
        return no_descriptor(error)
    detail = os.strerror(code) if code else str(error)
    if code in _NO_ROUTE:
        reason, advice = f"this machine has no route to {name_address(host, port)}", "check its network"
    elif code == errno.EADDRNOTAVAIL:
        reason = f"this machine has no free port, or no address, for a connection to {name_address(host, port)}"
        advice = "make fewer calls at once, or check its network where the server has an IPv6 address"
    elif code in _NO_MEMORY:
        reason, advice = "this machine has no memory for another connection", "make fewer calls at once"
    elif code in _FORBIDDEN:
        reason, advice = f"this machine allows no connection to {name_address(host, port)}", "check its firewall"
    else:
        return Failure("connect", detail=detail)
    return Failure("connect", scope="process", reason=f"{reason} ({detail})", advice=advice, detail=detail)


def connect_timed_out(host: str, port: int, seconds: float) -> Failure:
    """Return the failure where no connection was made in time."""
    reason = f"no connection to {name_address(host, port)} within {show_seconds(round(seconds, 2))}"
    return _timeout(reason, "check that the server runs and the address is right, or raise connect_timeout=")


def handshake_timed_out(host: str, port: int, seconds: float) -> Failure:
    """Return the failure where the TLS handshake was not done in time."""
    reason = f"no TLS handshake with {name_address(host, port)} within {show_seconds(round(seconds, 2))}"
    return _timeout(reason, "check that the server runs and the address is right, or raise connect_timeout=")


def handshake_closed(host: str, port: int) -> Failure:
    """Return the failure where the connection was closed during the TLS handshake."""
    return Failure(
        "connect",
        reason=f"{name_address(host, port)} closed the connection during the TLS handshake",
        advice="check that the server runs and the address is right",
        detail="closed during the TLS handshake",
    )


def _timeout(reason: str, advice: str, **fields: Any) -> Failure:
    return Failure("timeout", unsent=True, reason=reason, advice=advice, detail=reason, **fields)


def handshake_failed(host: str, port: int, error: Exception, certificate: Mapping[str, Any] | None) -> Failure:
    """Return the failure where the TLS handshake failed.

    Args:
        host: As it was looked up.
        port: Its port.
        error: What ``ssl`` raised.
        certificate: The server's, in the form of ``ssl.SSLSocket.getpeercert``, if it can be read.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_refused(host, port, error, certificate or {})
    reason = (isinstance(error, ssl.SSLError) and error.reason) or ""
    where, detail = name_address(host, port), str(error)
    if _NO_COMMON_VERSION.search(reason):
        happened = f"this machine has no common TLS version with {where}"
        return Failure("tls", reason=happened, advice="enable TLS 1.2 or newer on the server", detail=detail)
    if _NO_TLS.search(reason):
        happened = f"{where} does not speak TLS"
        return Failure("tls", reason=happened, advice="use http:// in base_url= if it is a plain server", detail=detail)
    if alert := alert_received(host, port, error):
        return alert
    return Failure("tls", reason=f"the TLS handshake with {where} failed", advice=_SEE_DETAIL, detail=detail)


def alert_received(host: str, port: int, error: Exception) -> Failure | None:
    """Return the failure where the server sent a TLS alert, in the handshake or (TLS 1.3) after it; None for others."""
    reason = (isinstance(error, ssl.SSLError) and error.reason) or ""
    alert = _ALERT.search(reason)
    if _WANTS_CERTIFICATE.search(reason):
        happened = f"{name_address(host, port)} wants a client certificate"
        return Failure("tls", scope="caller", reason=happened, advice=_OWN_CERTIFICATE, detail=str(error))
    if alert is None:
        return None
    name = alert[1].lower().replace("_", " ")
    if _CERTIFICATE_REFUSED.search(reason):
        happened = f"{name_address(host, port)} does not accept the client certificate, or wants one (alert: {name})"
        advice = f"check client_cert=, or {_OWN_CERTIFICATE} if it is missing"
        return Failure("tls", scope="caller", reason=happened, advice=advice, detail=str(error))
    happened = f"{name_address(host, port)} refused the TLS connection (alert: {name})"
    advice = f"where it wants a client certificate, {_OWN_CERTIFICATE}" if "handshake" in name else _SEE_DETAIL
    return Failure("tls", reason=happened, advice=advice, detail=str(error))


def _certificate_refused(
    host: str, port: int, error: ssl.SSLCertVerificationError, certificate: Mapping[str, Any]
) -> Failure:
    whose, detail = f"the certificate of {name_address(host, port)}", str(error)
    if error.verify_code in _UNKNOWN_AUTHORITY:
        happened = f"{whose} is signed by an authority that this machine does not know"
        advice = "pass the bundle of your network's authority as verify_ssl=, or name it in SSL_CERT_FILE"
        return Failure("tls", scope="process", reason=happened, advice=advice + _unread_variable(), detail=detail)
    if error.verify_code == _EXPIRED:
        happened = f"{whose} expired{_on(certificate.get('notAfter'))}"
        return Failure("tls", reason=happened, advice="renew it, or check the clock of this machine", detail=detail)
    if error.verify_code == _NOT_YET_VALID:
        happened = f"{whose} is not valid yet{_from(certificate.get('notBefore'))}"
        return Failure("tls", reason=happened, advice="check the clock of this machine", detail=detail)
    if error.verify_code in _WRONG_NAME:
        names = ", ".join(str(value) for _, value in certificate.get("subjectAltName", ())[:3])
        happened = f"{whose} is for {names or 'another name'}"
        return Failure("tls", reason=happened, advice="check the host in base_url=", detail=detail)
    return Failure("tls", reason=f"{whose} was refused ({error.verify_message})", advice=_SEE_DETAIL, detail=detail)


def _on(instant: object) -> str:
    return f" on {instant}" if instant else ""


def _from(instant: object) -> str:
    return f" (from {instant})" if instant else ""


def _unread_variable() -> str:
    unread = unread_variables()
    return f" ({' and '.join(unread)} {'are' if len(unread) > 1 else 'is'} not read)" if unread else ""


def speaks_tls(host: str, port: int) -> Failure:
    """Return the failure where plain HTTP was sent to a port that answers in TLS."""
    happened = f"{name_address(host, port)} speaks TLS"
    return Failure("tls", reason=happened, advice="use https:// in base_url=", detail=happened)
