"""Exceptions of httpx as failures. An exception's message is never kept: some repeat a whole header, key and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from unified_llm._backends.http.proxies_and_certificates import is_encrypted
from unified_llm._core.outcome import Failure

if TYPE_CHECKING:
    from unified_llm._backends.http.deadline_socket import DeadlineSocket
    from unified_llm._backends.http.pool import Route

HTTP_ERRORS: Final = (httpx.TransportError, httpx.InvalidURL, OSError)
"""Exceptions that HTTP code raises while it communicates with a server."""

SETUP_ERRORS: Final = (OSError, ValueError, RuntimeError, ImportError, httpx.InvalidURL)
"""Exceptions from preparing a connection: certificates that cannot be read, a proxy that cannot be used."""

# How httpcore begins the message where a proxy works and reports that it cannot reach the server: a status of 5xx, or
# the reply of a SOCKS proxy.
_PROXY_WORKS: Final = ("5", "Proxy Server could not connect")


def failure_from_error(error: Exception, sock: DeadlineSocket, route: Route) -> Failure:
    """Return the failure for an exception that was raised on a connection of this route.

    A proxy that cannot be reached or refuses, and certificates of the user's own that do not fit, are this process's
    setup: other processes reach the same server by another proxy, and with other certificates.
    """
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return Failure("unsendable")
    if route.proxy is not None and sock.handshakes <= is_encrypted(route.proxy):
        if isinstance(error, httpx.ProxyError) and str(error).startswith(_PROXY_WORKS):
            return Failure("connect", detail="The proxy could not reach the server.")
        return Failure("setup", detail="The proxy that this machine's environment names cannot be reached or refuses.")
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            if sock.failure_kind == "tls" and route.verify is not True and "CERTIFICATE_VERIFY" in (sock.detail or ""):
                return Failure("setup", detail="The certificates of verify_ssl= do not fit the server's.")
            return Failure(sock.failure_kind, detail=sock.detail)
        case httpx.TimeoutException():
            return Failure("timeout")
        case _:
            return Failure("connection")


def failure_from_setup_error(error: Exception) -> Failure:
    """Return the failure of a connection that could not be prepared; to try again at once would change nothing."""
    reason = type(error).__name__  # and not its message, which may repeat a path or a password
    if isinstance(error, OSError):
        return Failure("setup", detail=f"The certificates of verify_ssl= cannot be read ({reason}).", try_again=False)
    return Failure("setup", detail=f"The environment's proxy cannot be used ({reason}).", try_again=False)
