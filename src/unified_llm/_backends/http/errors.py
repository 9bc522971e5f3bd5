"""What HTTP code raises, as kinds of failure. Nothing of an exception is kept: some repeat a whole header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from unified_llm._core.outcome import Failure

if TYPE_CHECKING:
    from unified_llm._backends.http.deadline_socket import DeadlineSocket

FAULTS: Final = (httpx.TransportError, httpx.InvalidURL, OSError)
"""What can come out of HTTP code while it talks to a server."""

SETUP_FAULTS: Final = (OSError, ValueError, RuntimeError, ImportError)
"""What can come out of making a connection ready: certificates that cannot be read, a proxy that cannot be used."""


def failure(problem: Exception, wire: DeadlineSocket) -> Failure:
    """The failure that an exception on this connection stands for."""
    match problem:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return Failure(wire.fault, detail=wire.detail)
        case httpx.TimeoutException():
            return Failure("timeout")
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure("unsendable")
        case httpx.ProxyError():
            return Failure("connect", detail="The proxy refused.")
        case _:
            return Failure("connection")


def setup_failure(problem: Exception) -> Failure:
    """The failure of a connection that could not even be prepared."""
    if isinstance(problem, OSError):
        return Failure("tls", detail=f"The certificates cannot be read: {problem}")
    return Failure("connect", detail=f"The environment's proxy cannot be used ({type(problem).__name__}).")
