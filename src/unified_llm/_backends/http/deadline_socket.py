"""What the connections of both colours have in common: a socket, and the instants by which things must be done.

httpcore takes one timeout for all reads of a body. Here every operation asks its ``DeadlineSocket`` for the instant, and the
exchange moves that instant as it goes along: it bounds a whole upload, all addresses of a host together, and a body
that drips. An operation whose instant has passed still takes what is there without waiting.
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

_LONG: Final = 1e6  # seconds; sockets and selectors refuse infinity


class DeadlineSocket:
    """One connection, and the owner of its socket.

    ``drop`` closes it at once, from any thread, with or without a running loop, and sends nothing. So ends every
    connection that is not kept, in a forked child and under a closed event loop too; there is no graceful way.

    Attributes:
        now: The clock of the instants.
        until: The instant by which whatever goes on must be done.
        connect: Seconds that making the connection may take, within ``until``.
        received: Bytes that came since the exchange set it to zero, decrypted where there is TLS.
        fault: Why connecting failed.
        detail: The system's words for that; they hold no secret.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.until = 0.0
        self.connect = 0.0
        self.received = 0
        self.fault: Literal["connect", "tls"] = "connect"
        self.detail: str | None = None
        self._connect_until = 0.0
        self._socket: socket.socket | None = None
        self._forgotten: weakref.finalize[..., Any] | None = None

    def __del__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Close the socket, if there is one."""
        owned, self._socket = self._socket, None
        if owned is not None:
            owned.close()
        if self._forgotten is not None:
            self._forgotten.detach()

    @property
    def sock(self) -> socket.socket:
        """The socket.

        Raises:
            OSError: It was closed.
        """
        if self._socket is None:
            raise OSError("closed")
        return self._socket

    def readable(self) -> bool:
        """Whether something has arrived on an idle connection: its end, or what nobody asked for."""
        if self._socket is None:
            return True
        if sys.platform == "win32":
            return bool(select.select([self._socket], [], [], 0)[0])
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def left(self) -> float:
        """Seconds until the instant; 0.0 when it has passed."""
        return min(max(0.0, self.until - self.now()), _LONG)

    def begin(self) -> None:
        """A connection is about to be made."""
        self._connect_until = min(self.until, self.now() + self.connect)
        self.fault, self.detail = "connect", None

    def share(self, addresses: int) -> float:
        """Seconds for the next of so many addresses, so that one black hole does not take all the time."""
        return min(max(0.001, (self._connect_until - self.now()) / addresses), _LONG)

    def keep(self, made: socket.socket) -> None:
        """The connection was made on this socket."""
        with suppress(OSError):  # not every kind of socket has such delays
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = made
        # In a cycle of garbage the socket may be finalized before its owner, and complain that nobody closed it. Held
        # by this it is no part of the cycle.
        self._forgotten = weakref.finalize(self, made.close)
        self._forgotten.atexit = False

    def unreachable(self, problem: Exception | None) -> Exception:
        """What to raise when no address could be reached, and why."""
        if isinstance(problem, TimeoutError):
            self.detail = "no connection in time"
            return httpcore.ConnectTimeout()
        self.detail = "no such name"
        if isinstance(problem, OSError) and not isinstance(problem, socket.gaierror):
            self.detail = os.strerror(problem.errno) if problem.errno else str(problem)
        return httpcore.ConnectError()

    def hurry(self) -> float:
        """Hold what follows to the time for connecting. Returns the instant to put back afterwards."""
        until, self.until = self.until, min(self.until, self._connect_until)
        return until

    def unshaken(self, problem: Exception) -> Exception:
        """What to raise when the TLS handshake failed, and why."""
        self.drop()
        if isinstance(problem, httpcore.TimeoutException):
            self.detail = "no TLS handshake in time"
            return httpcore.ConnectTimeout()
        if isinstance(problem, (httpcore.NetworkError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            self.detail = "closed during the TLS handshake"
        else:
            self.fault, self.detail = "tls", str(problem)
        return httpcore.ConnectError()
