"""Exceptions of httpx as failures. An exception's message is never kept: some repeat a whole header, key and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from unified_llm._backends.http.deadline_socket import OversizedHeadError
from unified_llm._core.outcome import Failure

if TYPE_CHECKING:
    from unified_llm._backends.http.deadline_socket import DeadlineSocket

HTTP_ERRORS: Final = (httpx.TransportError, httpx.InvalidURL, OSError)
"""Exceptions that HTTP code raises while it communicates with a server."""

SETUP_ERRORS: Final = (OSError, ValueError, RuntimeError, ImportError)
"""Exceptions from preparing a connection: certificates that cannot be read, a proxy that cannot be used."""


def failure_from_error(error: Exception, sock: DeadlineSocket) -> Failure:
    """Return the failure for an exception that was raised on this connection."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return Failure(sock.failure_kind, detail=sock.detail)
        case httpx.TimeoutException():
            return Failure("timeout")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.RemoteProtocolError() if isinstance(error.__cause__, OversizedHeadError):
            return Failure("oversized", detail="More than 256 KiB came before the head of the response.")
        case httpx.ProxyError():
            return Failure("connect", detail="The proxy refused the connection.")
        case _:
            return Failure("connection")


def failure_from_setup_error(error: Exception) -> Failure:
    """Return the failure of a connection that could not be prepared."""
    if isinstance(error, OSError):
        return Failure("tls", detail=f"The certificates cannot be read: {error}")
    return Failure("connect", detail=f"The environment's proxy cannot be used ({type(error).__name__}).")
