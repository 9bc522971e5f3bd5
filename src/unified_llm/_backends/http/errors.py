"""Exceptions of httpx as failures. An exception's message is never kept: some repeat a whole header, key and all."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import httpcore
import httpx

from unified_llm._backends.http import proxies_and_certificates
from unified_llm._backends.http.connect_failures import NO_DESCRIPTOR, name_address, no_descriptor
from unified_llm._backends.http.deadline_socket import OversizedHeadError
from unified_llm._core.outcome import Failure

if TYPE_CHECKING:
    from unified_llm._backends.http.deadline_socket import DeadlineSocket
    from unified_llm._backends.http.pool import Route
    from unified_llm._core.hidden import Hidden

HTTP_ERRORS: Final = (httpx.TransportError, httpx.InvalidURL, OSError)
"""Exceptions that HTTP code raises while it communicates with a server."""

CONNECT_ERRORS: Final = (httpcore.NetworkError, httpcore.TimeoutException, OversizedHeadError)
"""Exceptions of a ``DeadlineSocket`` that makes a connection."""

SETUP_ERRORS: Final = (OSError, ValueError, RuntimeError, ImportError, httpx.InvalidURL)
"""Exceptions from preparing a connection: certificates that cannot be read, a proxy that cannot be used."""

# How httpcore begins the message where a proxy refuses: the status of an HTTP proxy, or the reply of a SOCKS proxy.
_PROXY_STATUS: Final = re.compile(r"[1-5]\d\d(?!\d)")
_SOCKS_REPLY: Final = "Proxy Server could not connect"

_PROXY_REFUSALS: Final = {
    403: ("it does not allow this host", "ask who runs it, or name the host in NO_PROXY"),
    407: ("it wants a user and a password", "put them into the URL of HTTPS_PROXY"),
}

_OVERSIZED_HEAD: Final = "More than 256 KiB came before the head of the response."


def errors_on(route: Route, sock: DeadlineSocket) -> tuple[type[Exception], ...]:
    """Return the exceptions that HTTP code raises on a connection of this route.

    httpcore passes on whatever its SOCKS library raises, as where the proxy closes the connection.
    """
    return (Exception,) if _has_socks_proxy(route) and sock.before_tunnel else HTTP_ERRORS


def _has_socks_proxy(route: Route) -> bool:
    return route.proxy is not None and route.proxy.value.lower().startswith("socks")


def failure_from_error(error: Exception, sock: DeadlineSocket, route: Route | None = None) -> Failure:
    """Return the failure for an exception that was raised on a connection of this route.

    A proxy that cannot be reached or refuses, and an authority that this machine does not know, concern this process
    alone: others reach the same server by another proxy, and with other certificates. A bundle of the user's own
    concerns this caller alone.
    """
    if route is not None and route.proxy is not None and sock.before_tunnel:
        return _failure_before_tunnel(error, sock, _name(route.proxy))
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            failure = sock.failure or Failure("connect")
            own_bundle = route is not None and route.verify is not True
            return replace(failure, scope="caller") if own_bundle and _is_of_certificates(failure) else failure
        case httpx.TimeoutException():
            return Failure("timeout")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail=_OVERSIZED_HEAD)
        case _:
            return sock.failure or _broken(sock, route)


def _broken(sock: DeadlineSocket, route: Route | None) -> Failure:
    """Return the failure of a connection that broke. A server that expects TLS closes it when it reads plain HTTP."""
    if route is None or route.origin[0] == "https" or sock.received:
        return Failure("connection")
    _, host, port = route.origin
    happened = f"{name_address(host, port)} closed the connection without an answer"
    return Failure("connection", reason=happened, advice="try again, or use https:// if this port speaks TLS")


def _is_of_certificates(failure: Failure) -> bool:
    return failure.kind == "tls" and failure.scope == "process"


def _name(proxy: Hidden[str]) -> str:
    """Return what a message calls a proxy: its host and port, without a password."""
    url = httpx.URL(proxy.value)  # whose repr has no password either
    port = url.port or {"https": 443, "http": 80}.get(url.scheme, 1080)
    return f"the proxy at {name_address(url.host, port)}"


def _failure_before_tunnel(error: Exception, sock: DeadlineSocket, proxy: str) -> Failure:
    """Return the failure of a connection through a proxy that never got as far as the server."""
    advice = "check the proxy, and the variable HTTPS_PROXY that names it"
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
            happened = f"{proxy} cannot be reached: {failure.reason or failure.detail}"
            return replace(failure, scope="process", reason=happened, advice=advice, detail=happened)
        case httpx.TimeoutException():
            happened = f"{proxy} gave no answer in time"
            return replace(local, kind="timeout", unsent=True, reason=happened, detail=happened)
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail=_OVERSIZED_HEAD, scope="process")
        case _:
            happened = f"{proxy} {'does not answer as a proxy does' if sock.received else 'closed the connection'}"
            return replace(local, reason=happened, detail=happened)


def _refusal_of_proxy(message: str, proxy: str) -> Failure:
    """Return the failure where a proxy answers that it makes no connection. One of 5xx cannot reach the server."""
    match_ = _PROXY_STATUS.match(message)
    status = int(match_[0]) if match_ else None
    if message.startswith(_SOCKS_REPLY) or (status is not None and status >= 500):
        happened = f"{proxy} could not reach the server" + (f" ({status})" if status else "")
        advice = "check that the server runs and the address is right"
        return Failure("connect", status=status, reason=happened, advice=advice, detail=happened)
    why, advice = _PROXY_REFUSALS.get(status or 0, ("", "check the proxy, and the variable HTTPS_PROXY that names it"))
    happened = f"{proxy} refused"
    if status is not None:
        happened += f" ({status}: {why})" if why else f" ({status})"
    refusal = Failure("connect", status=status, scope="process", try_again=False)
    return replace(refusal, reason=happened, advice=advice, detail=happened)


def failure_from_setup_error(error: Exception, route: Route) -> Failure:
    """Return the failure of a connection that could not be prepared."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        return no_descriptor(error)
    reason = type(error).__name__  # and not its message, which may repeat a path or a password
    if not isinstance(error, OSError):
        happened, advice = f"the environment's proxy cannot be used ({reason})", "check HTTPS_PROXY"
        if _has_socks_proxy(route) and isinstance(error, (RuntimeError, ImportError)):
            advice = "pip install 'httpx[socks]', which a SOCKS proxy needs"
        return Failure("setup", scope="process", reason=happened, advice=advice, detail=happened)
    if route.verify is True and (setting := proxies_and_certificates.certificates_setting()):
        happened = f"{setting} cannot be read ({reason})"
        advice = "name a bundle of certificates in it, or unset it"
    else:
        happened, advice = f"the certificates of verify_ssl= cannot be read ({reason})", "check the path"
    return Failure("setup", scope="caller", reason=happened, advice=advice, detail=happened)
