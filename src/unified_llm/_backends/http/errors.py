"""Exceptions of httpx as failures. An exception's message is never kept: some repeat a whole header, key and all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httpx

from unified_llm._backends.http.deadline_socket import OversizedHeadError
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
# How OpenSSL describes a chain of which it knows no authority. (An expired certificate is the server's own fault.)
_UNKNOWN_AUTHORITY: Final = re.compile("local issuer|self[- ]signed|first certificate")

_OVERSIZED_HEAD: Final = "More than 256 KiB came before the head of the response."


def failure_from_error(error: Exception, sock: DeadlineSocket, route: Route | None = None) -> Failure:
    """Return the failure for an exception that was raised on a connection of this route.

    A proxy that cannot be reached or refuses, and certificates of the user's own that know nothing of the server's,
    are local: other processes reach the same server by another proxy, and with other certificates.
    """
    if route is not None and route.proxy is not None and sock.handshakes <= is_encrypted(route.proxy.value):
        return _failure_before_tunnel(error, sock)
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            own = route is not None and route.verify is not True and _UNKNOWN_AUTHORITY.search(sock.detail or "")
            return Failure(sock.failure_kind, detail=sock.detail, local=sock.failure_kind == "tls" and bool(own))
        case httpx.TimeoutException():
            return Failure("timeout")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail=_OVERSIZED_HEAD)
        case httpx.ProxyError():
            return Failure("connect", detail="The proxy refused the connection.")
        case _:
            return Failure("connection")


def _failure_before_tunnel(error: Exception, sock: DeadlineSocket) -> Failure:
    """Return the failure of a connection through a proxy that never got as far as the server."""
    match error:
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.ProxyError():
            reached = str(error).startswith(_PROXY_WORKS)
            detail = "The proxy could not reach the server." if reached else "The proxy refused the connection."
            return Failure("connect", detail=detail, local=not reached)
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return Failure(sock.failure_kind, detail=f"The proxy cannot be reached: {sock.detail}.", local=True)
        case httpx.TimeoutException():
            return Failure("timeout", detail="The proxy gave no answer in time.", local=True)
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail=_OVERSIZED_HEAD, local=True)
        case _:
            return Failure("connect", detail="The proxy gave no answer.", local=True)


def failure_from_setup_error(error: Exception) -> Failure:
    """Return the failure of a connection that could not be prepared."""
    reason = type(error).__name__  # and not its message, which may repeat a path or a password
    if isinstance(error, OSError):
        return Failure("setup", detail=f"The certificates of verify_ssl= cannot be read ({reason}).")
    return Failure("setup", detail=f"The environment's proxy cannot be used ({reason}).")
