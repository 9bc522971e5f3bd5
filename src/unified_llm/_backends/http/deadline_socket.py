"""A socket with a deadline: the part that sync and async connections share.

httpcore takes one timeout for each read of a body. Here every operation reads its deadline from its
``DeadlineSocket``, and the exchange moves that deadline as it proceeds. So one deadline bounds a whole upload, all
addresses of a host together, and a body that arrives a few bytes at a time.

::

    start_connecting                       adopt                                        drop
          |-- addresses, one after another --|-- TLS handshake --|-- request, response --|
          |<------- connect_timeout, and no later than until --->|
          |<------------------- until, which the exchange moves with each step --------->|

A read whose deadline has passed fails, even if bytes are available: httpcore reads in loops of its own (for the final
head after interim responses, for a TLS record with data), which a server that always has bytes ready never lets end.
For the same reason the bytes of a phase are limited::

    start_request                     start_body                    start_leftovers
          |-- proxy, TLS, interim heads --|-- body, until its end ------|-- the unread end of a body
          |   HEAD: 256 KiB               |   BODY: no limit here       |   LEFTOVERS: 64 KiB, never waits
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import weakref
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Literal, assert_never

import httpcore

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TIMEOUT: Final = 1e6  # seconds; sockets and selectors refuse infinity

HEAD_LIMIT: Final = 256 * 1024
"""Most bytes received before the final head of a response: of proxies, TLS handshakes, interim responses, the head."""

_LEFTOVER_LIMIT: Final = 64 * 1024
_LARGEST_COPY: Final = 64 * 1024
_HEAD_READ_SIZE: Final = 16 * 1024  # so that no read of a head, all of which is parsed at once, takes long


class OversizedHeadError(httpcore.RemoteProtocolError):
    """The server sent more than ``HEAD_LIMIT`` bytes before the final head of its response."""


class WriteBuffer:
    """Data that httpcore has written and that is not sent yet.

    It is kept until httpcore's last write of a request, which is empty. So a head is sent with its body, in one packet,
    and no variable of httpcore has either of them while a stream waits for the socket.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[memoryview] = []

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self._parts)

    def add(self, data: bytes) -> None:
        """Add data at the end."""
        self._parts.append(memoryview(data))

    def take(self) -> list[memoryview]:
        """Remove and return what to send: in one piece, unless a copy would be large."""
        parts, self._parts = self._parts, []
        return [memoryview(b"".join(parts))] if sum(map(len, parts)) <= _LARGEST_COPY else parts


class Phase(Enum):
    """Part of a response that a socket receives; see the diagram above."""

    HEAD = auto()
    BODY = auto()
    LEFTOVERS = auto()


class DeadlineSocket:
    """One connection, and the owner of its socket.

    ``drop`` closes the socket at once, from any thread, with or without a running loop, and sends nothing. It is the
    only way to close one, since it also works in a forked child and after the event loop was closed.

    Attributes:
        now: The clock of the deadlines.
        until: The deadline of the current operation, an instant of ``now``.
        connect_timeout: Seconds that making the connection may take, within ``until``.
        received: Bytes of the response, decrypted where there is TLS.
        phase: What is being received.
        failure_kind: Why connecting failed.
        handshakes: TLS handshakes that were begun: with an https proxy first, then with the server.
        detail: The system's message for that failure; it contains no secret.
    """

    # For ``drop``, which also runs if the constructor was interrupted.
    _socket: socket.socket | None = None
    _finalizer: weakref.finalize[..., Any] | None = None

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.until = 0.0
        self.connect_timeout = 0.0
        self.received = 0
        self.phase = Phase.HEAD
        self._received_in_phase = 0  # with the bytes of TLS
        self.failure_kind: Literal["connect", "tls"] = "connect"
        self.detail: str | None = None
        self.handshakes = 0
        self._connect_deadline = 0.0

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

    def start_request(self, until: float, connect_timeout: float) -> None:
        """Begin a request: connect if there is no connection yet, and receive a head."""
        self.until, self.connect_timeout, self.received = until, connect_timeout, 0
        self._start(Phase.HEAD)

    def start_body(self) -> None:
        """Go on to the body, whose size is limited where it is decoded."""
        self._start(Phase.BODY)

    def start_leftovers(self) -> None:
        """Go on to the unread end of a body, of which only the available bytes are read."""
        self._start(Phase.LEFTOVERS)

    def _start(self, phase: Phase) -> None:
        self.phase, self._received_in_phase = phase, 0

    def size_of_read(self, max_bytes: int) -> int:
        """Return how many bytes the next read of the socket may take, at most ``max_bytes``.

        Raises:
            httpcore.ReadTimeout: The deadline has passed.
            OversizedHeadError: The head is too long.
            httpcore.ReadError: The end of a body is too long.
        """
        match self.phase:
            case Phase.LEFTOVERS:
                if self._received_in_phase >= _LEFTOVER_LIMIT:
                    raise httpcore.ReadError
                return max_bytes
            case Phase.HEAD:
                self._check_deadline()
                left = HEAD_LIMIT - self._received_in_phase
                if left <= 0:
                    raise OversizedHeadError
                return min(max_bytes, left, _HEAD_READ_SIZE)
            case Phase.BODY:
                self._check_deadline()
                return max_bytes
            case _:
                assert_never(self.phase)

    def _check_deadline(self) -> None:
        if self.now() >= self.until:
            raise httpcore.ReadTimeout

    def count_received(self, size: int) -> None:
        """Count the bytes of a read."""
        self.received += size
        self._received_in_phase += size

    def seconds_left(self) -> float:
        """Return the seconds that an operation may wait; 0.0 when the deadline has passed."""
        if self.phase is Phase.LEFTOVERS:
            return 0.0
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
        if isinstance(error, OversizedHeadError):
            return error
        if isinstance(error, httpcore.TimeoutException):
            self.detail = "no TLS handshake in time"
            return httpcore.ConnectTimeout()
        if isinstance(error, (httpcore.NetworkError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            self.detail = "closed during the TLS handshake"
        else:
            self.failure_kind, self.detail = "tls", str(error)
        return httpcore.ConnectError()
