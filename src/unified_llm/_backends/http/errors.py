"""Exceptions of httpx as failures. An exception's message is never kept: some repeat a whole header, key and all."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import httpcore
import httpx

from unified_llm._backends.http import proxies_and_certificates
from unified_llm._backends.http.client_certificates import ClientCertificateError
from unified_llm._backends.http.connect_failures import NO_DESCRIPTOR, name_address, no_descriptor
from unified_llm._backends.http.deadline_socket import OversizedHeadError
from unified_llm._core.outcome import Failure
from unified_llm._core.proxy import DEFAULT_PORTS

if TYPE_CHECKING:
    from unified_llm._backends.http.deadline_socket import DeadlineSocket
    from unified_llm._backends.http.pool import Route
    from unified_llm._core.proxy import Proxy

HTTP_ERRORS: Final = (httpx.TransportError, httpx.InvalidURL, OSError)
"""Exceptions that HTTP code raises while it communicates with a server."""

CONNECT_ERRORS: Final = (httpcore.NetworkError, httpcore.TimeoutException, OversizedHeadError)
"""Exceptions of a ``DeadlineSocket`` that makes a connection."""

SETUP_ERRORS: Final = (OSError, ValueError, RuntimeError, ImportError, httpx.InvalidURL)
"""Exceptions from preparing a connection: certificates that cannot be read, a proxy that cannot be used."""

# How httpcore begins the message where a proxy refuses: the status of an HTTP proxy, or the reply of a SOCKS proxy.
_PROXY_STATUS: Final = re.compile(r"[1-5]\d\d(?!\d)")
_SOCKS_REPLY: Final = "Proxy Server could not connect"
_SOCKS_LOGIN: Final = ("Invalid username/password", "Requested ")  # and another way to log in was offered

_FORBIDDEN: Final = 403
_NOT_LOGGED_IN: Final = 407

_OVERSIZED_HEAD: Final = "More than 256 KiB came before the head of the response."


def errors_on(route: Route, sock: DeadlineSocket) -> tuple[type[Exception], ...]:
    """Return the exceptions that HTTP code raises on a connection of this route.

    httpcore passes on whatever its SOCKS library raises, as where the proxy closes the connection.
    """
    by_socks = route.proxy is not None and route.proxy.scheme.startswith("socks")
    return (Exception,) if by_socks and (sock.before_tunnel or route.is_forwarded) else HTTP_ERRORS


def failure_from_error(error: Exception, sock: DeadlineSocket, route: Route | None = None) -> Failure:
    """Return the failure for an exception that was raised on a connection of this route.

    A proxy that cannot be reached or refuses, and an authority that this machine does not know, concern this process
    alone: others reach the same server by another proxy, and with other certificates. A bundle of the user's own, or a
    client certificate, concerns this caller alone.
    """
    if route is not None and route.proxy is not None and _is_of_proxy(error, sock, route):
        return _failure_of_proxy(error, sock, route.proxy)
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            failure = sock.failure or Failure("connect")
            return replace(failure, scope="caller") if _is_of_own_certificates(failure, route) else failure
        case httpx.TimeoutException():
            return Failure("timeout")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail=_OVERSIZED_HEAD)
        case _:
            return _broken(sock, route)


def _is_of_proxy(error: Exception, sock: DeadlineSocket, route: Route) -> bool:
    """Return whether what failed is between this machine and its proxy.

    Plain HTTP has no tunnel whose end would tell: there it is what fails before a connection can carry a request.
    """
    if not route.is_forwarded:
        return sock.before_tunnel
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)) or (
        not isinstance(error, HTTP_ERRORS)
    )


def _broken(sock: DeadlineSocket, route: Route | None) -> Failure:
    """Return the failure of a connection that broke. A server that expects TLS closes it when it reads plain HTTP."""
    proxy = route.proxy if route is not None and route.is_forwarded else None
    if sock.failure is not None and proxy is not None:  # it speaks TLS
        happened = f"{_name(proxy)} speaks TLS"
        return replace(sock.failure, scope="process", reason=happened, advice=f"write https:// in {proxy.source}")
    if sock.failure is not None:
        return sock.failure
    if route is None or route.origin[0] == "https" or sock.received:
        return Failure("connection")
    if proxy is not None:
        happened = f"{_name(proxy)} closed the connection without an answer"
        return Failure("connection", reason=happened, advice=f"try again, or {_check(proxy)}")
    _, host, port = route.origin
    happened = f"{name_address(host, port)} closed the connection without an answer"
    return Failure("connection", reason=happened, advice="try again, or use https:// if this port speaks TLS")


def _is_of_own_certificates(failure: Failure, route: Route | None) -> bool:
    if failure.kind != "tls" or route is None:
        return False
    return failure.scope == "process" and route.verify is not True


def _name(proxy: Proxy) -> str:
    """Return what a message calls a proxy: its host and port, without a password."""
    url = httpx.URL(proxy.url.value)  # whose repr has no password either
    port = url.port or DEFAULT_PORTS.get(url.scheme, 1080)
    return f"the proxy at {name_address(url.host, port)}"


def _check(proxy: Proxy) -> str:
    """Say where to look when a proxy does not work."""
    return f"check the proxy, which {proxy.source} names"


def _failure_of_proxy(error: Exception, sock: DeadlineSocket, proxy: Proxy) -> Failure:
    """Return the failure of a connection through a proxy that never got as far as the server."""
    name, advice = _name(proxy), _check(proxy)
    local = Failure("connect", scope="process", advice=advice)
    match error:
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.ProxyError():
            return _refusal_of_proxy(str(error), proxy)
        case httpx.ConnectError() | httpx.ConnectTimeout():
            failure = sock.failure or local
            if failure.kind == "pool":
                return failure
            happened = f"{name} cannot be reached: {failure.reason or failure.detail}"
            return replace(failure, scope="process", reason=happened, advice=advice, detail=happened)
        case httpx.TimeoutException():
            happened = f"{name} gave no answer in time"
            return replace(local, kind="timeout", unsent=True, reason=happened, detail=happened)
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail=_OVERSIZED_HEAD, scope="process")
        case _:
            happened = f"{name} {'does not answer as a proxy does' if sock.received else 'closed the connection'}"
            return replace(local, reason=happened, detail=happened)


def refusal_by_status(status: int, route: Route) -> Failure | None:
    """Return the failure where a response to plain HTTP comes from the proxy, and not from the server."""
    is_refusal = status == _NOT_LOGGED_IN and route.is_forwarded and route.proxy is not None
    return _refusal_of_proxy(str(status), route.proxy) if is_refusal and route.proxy else None


def _refusal_of_proxy(message: str, proxy: Proxy) -> Failure:
    """Return the failure where a proxy answers that it makes no connection. One of 5xx cannot reach the server."""
    match_ = _PROXY_STATUS.match(message)
    status = int(match_[0]) if match_ else None
    happened = _name(proxy)
    if message.startswith(_SOCKS_REPLY) or (status is not None and status >= 500):
        happened += " could not reach the server" + (f" ({status})" if status else "")
        advice = "check that the server runs and the address is right"
        return Failure("connect", status=status, reason=happened, advice=advice, detail=happened)
    why, advice = _explain_refusal(_NOT_LOGGED_IN if message.startswith(_SOCKS_LOGIN) else status, proxy)
    happened += " refused"
    if status is not None:
        happened += f" ({status}: {why})" if why else f" ({status})"
    elif why:
        happened += f" ({why})"
    refusal = Failure("connect", status=status, scope="process", try_again=False)
    return replace(refusal, reason=happened, advice=advice, detail=happened)


def _explain_refusal(status: int | None, proxy: Proxy) -> tuple[str, str]:
    """Return why a proxy refuses, as far as its status says it, and what to do."""
    source = proxy.source
    if status == _FORBIDDEN:
        without = "pass proxy=False" if source.endswith("=") else "name the host in NO_PROXY"
        return "it does not allow this host", f"ask who runs it, or {without}"
    if status != _NOT_LOGGED_IN:
        return "", _check(proxy)
    if proxy.left_out:
        return "it wants a user and a password", "pass proxy= again: pickles and dumps leave user and password out"
    if proxy.has_credentials:
        others = "" if proxy.scheme.startswith("socks") else "; only Basic authentication is known"
        return "it does not take the user and password", f"check those in {source}{others}"
    return "it wants a user and a password", f"put them into the URL of {source}"


def failure_from_setup_error(error: Exception, route: Route) -> Failure:
    """Return the failure of a connection that could not be prepared."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        return no_descriptor(error)
    reason = type(error).__name__  # and not its message, which may repeat a path or a password
    if isinstance(error, ClientCertificateError):
        happened, advice = f"client_cert= cannot be used: {error}", "renew or correct the files: they are read again"
    elif isinstance(error, ImportError) and route.verify == proxies_and_certificates.SYSTEM:
        happened, advice = 'verify_ssl="system" needs an extra', "pip install 'unified-llm[system-certs]'"
        return Failure("setup", scope="process", reason=happened, advice=advice, detail=happened)
    elif not isinstance(error, OSError):
        source = route.proxy.source if route.proxy else "HTTPS_PROXY"
        happened, advice = f"the proxy of {source} cannot be used ({reason})", f"check {source}"
        by_socks = route.proxy is not None and route.proxy.scheme.startswith("socks")
        if by_socks and isinstance(error, (RuntimeError, ImportError)):
            advice = "pip install 'httpx[socks]', which a SOCKS proxy needs"
        return Failure("setup", scope="process", reason=happened, advice=advice, detail=happened)
    elif route.verify is True and (setting := proxies_and_certificates.certificates_setting()):
        happened = f"{setting} cannot be read ({reason})"
        advice = "name a bundle of certificates in it, or unset it"
    else:
        happened, advice = f"the certificates of verify_ssl= cannot be read ({reason})", "check the path"
    return Failure("setup", scope="caller", reason=happened, advice=advice, detail=happened)
