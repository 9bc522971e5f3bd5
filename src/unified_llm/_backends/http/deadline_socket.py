"""A socket with a deadline: the part that sync and async connections share.

httpcore takes one timeout for each read of a body. Here every operation reads its deadline from its
``DeadlineSocket``, and the exchange moves that deadline as it proceeds. So one deadline bounds a whole upload, all
addresses of a host together, and a body that arrives a few bytes at a time. An operation whose deadline has passed
still takes the bytes that are available without waiting.

::

    start_connecting                       adopt                                        drop
          |-- addresses, one after another --|-- TLS handshake --|-- request, response --|
          |<------- connect_timeout, and no later than until --->|
          |<------------------- until, which the exchange moves with each step --------->|
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import httpcore

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TIMEOUT: Final = 1e6  # seconds; sockets and selectors refuse infinity


class DeadlineSocket:
    """One connection, and the owner of its socket.

    ``drop`` closes the socket at once, from any thread, with or without a running loop, and sends nothing. It is the
    only way to close one, since it also works in a forked child and after the event loop was closed.

    Attributes:
        now: The clock of the deadlines.
        until: The deadline of the current operation, an instant of ``now``.
        connect_timeout: Seconds that making the connection may take, within ``until``.
        received: Bytes received since the exchange set it to zero, decrypted where there is TLS.
        failure_kind: Why connecting failed.
        handshakes: TLS handshakes that were begun: with an https proxy first, then with the server.
        detail: The system's message for that failure; it contains no secret.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.until = 0.0
        self.connect_timeout = 0.0
        self.received = 0
        self.failure_kind: Literal["connect", "tls"] = "connect"
        self.detail: str | None = None
        self.handshakes = 0
        self._connect_deadline = 0.0
        self._socket: socket.socket | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    def __del__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Close the socket, if there is one."""
        owned, self._socket = self._socket, None
        if owned is not None:
            owned.close()
        if self._finalizer is not None:
            self._finalizer.detach()

    @property
    def raw_socket(self) -> socket.socket:
        """The system's socket.

        Raises:
            OSError: The socket was closed, or not connected yet.
        """
        if self._socket is None:
            raise OSError("closed")
        return self._socket

    def readable(self) -> bool:
        """Return whether an idle connection has received something: its end, or data that no request asked for."""
        if self._socket is None:
            return True
        if sys.platform == "win32":
            return bool(select.select([self._socket], [], [], 0)[0])
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def seconds_left(self) -> float:
        """Return the seconds until the deadline; 0.0 when it has passed."""
        return min(max(0.0, self.until - self.now()), _MAX_TIMEOUT)

    def start_connecting(self) -> None:
        """Set the connect deadline; forget the reason of an earlier failure."""
        self._connect_deadline = min(self.until, self.now() + self.connect_timeout)
        self.failure_kind, self.detail, self.handshakes = "connect", None, 0

    def seconds_per_address(self, addresses: int) -> float:
        """Divide the time that is left by ``addresses``, so that one unresponsive address does not use up all of it."""
        return min(max(0.001, (self._connect_deadline - self.now()) / addresses), _MAX_TIMEOUT)

    def adopt(self, new_socket: socket.socket) -> None:
        """Take ownership of a connected socket."""
        with suppress(OSError):  # not every kind of socket has this option
            new_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = new_socket
        # In a garbage cycle the socket may be finalized before its owner, and then warns that it was not closed. A
        # reference from the finalizer keeps it out of the cycle.
        self._finalizer = weakref.finalize(self, new_socket.close)
        self._finalizer.atexit = False

    def connect_error(self, error: Exception | None) -> Exception:
        """Return the exception to raise when no address could be reached; record why."""
        if isinstance(error, TimeoutError):
            self.detail = "no connection in time"
            return httpcore.ConnectTimeout()
        self.detail = "no such name"
        if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
            self.detail = os.strerror(error.errno) if error.errno else str(error)
        return httpcore.ConnectError()

    def cap_to_connect_deadline(self) -> float:
        """Cap the deadline of a TLS handshake at the connect deadline; return the old one."""
        self.handshakes += 1
        until, self.until = self.until, min(self.until, self._connect_deadline)
        return until

    def handshake_error(self, error: Exception) -> Exception:
        """Close the socket; return the exception to raise when the TLS handshake failed; record why."""
        self.drop()
        if isinstance(error, httpcore.TimeoutException):
            self.detail = "no TLS handshake in time"
            return httpcore.ConnectTimeout()
        if isinstance(error, (httpcore.NetworkError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            self.detail = "closed during the TLS handshake"
        else:
            self.failure_kind, self.detail = "tls", str(error)
        return httpcore.ConnectError()
