"""A socket with a deadline: the part that sync and async connections share.

httpcore takes one timeout for each read of a body. Here every operation reads its deadline from its
``DeadlineSocket``, and the exchange moves that deadline as it proceeds. So one deadline bounds a whole upload, and a
body that arrives a few bytes at a time. Within it each step of making a connection has ``connect_timeout``::

    start_step          start_step        adopt             start_step                              drop
        |-- look-up ---------|-- addresses --|-- proxy's tunnel --|-- TLS handshake --|-- request, response --|
        |<- connect_timeout >|<------------->|<------------------>|<----------------->|
        |<------------------------------ until, which the exchange moves with each step --------------------->|

A read whose deadline has passed fails, even if bytes are available: httpcore reads in loops of its own (for the final
head after interim responses, for a TLS record with data), which a server that always has bytes ready never lets end.
For the same reason the bytes of a phase are limited::

    start_request                     start_body                    start_leftovers
          |-- proxy, TLS, interim heads --|-- body, until its end ------|-- the unread end of a body
          |   HEAD: 256 KiB               |   BODY: no limit here       |   LEFTOVERS: 64 KiB, never waits
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

import httpcore

from unified_llm._backends.http import connect_failures, descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from unified_llm._backends.http.resolver import LookUp
    from unified_llm._core.outcome import Failure

_MAX_TIMEOUT: Final = 1e6  # seconds; sockets and selectors refuse infinity

HEAD_LIMIT: Final = 256 * 1024
"""Most bytes received before the final head of a response: of proxies, TLS handshakes, interim responses, the head."""

_OPTIONS: Final[Mapping[str, tuple[int, int]]] = {
    "TCP_NODELAY": (socket.IPPROTO_TCP, 1),
    # Gateways forget a connection on which nothing is sent for some minutes, as while a model reasons. Of a dead one,
    # the system then tells within about a minute.
    "SO_KEEPALIVE": (socket.SOL_SOCKET, 1),
    "TCP_KEEPIDLE": (socket.IPPROTO_TCP, 45),  # seconds
    "TCP_KEEPALIVE": (socket.IPPROTO_TCP, 45),  # the same on macOS
    "TCP_KEEPINTVL": (socket.IPPROTO_TCP, 10),
    "TCP_KEEPCNT": (socket.IPPROTO_TCP, 3),
}

_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Option of Linux: for how long sent bytes may remain unacknowledged (RFC 5482). They may not remain unread either, see
``_UNREAD_UPLOAD``. It takes the place of ``TCP_KEEPCNT``: with a short one, a single keep-alive packet that is lost
ends a connection. So it is longer in a long wait for an answer, once the request must have been acknowledged."""

_UNACKNOWLEDGED: Final = 20_000  # milliseconds
_KEPT_ALIVE: Final = 75_000  # milliseconds: those of TCP_KEEPIDLE, and three times TCP_KEEPINTVL

ACKNOWLEDGED: Final = 25.0
"""Seconds after which a request that was sent has been acknowledged, or the system has closed its connection: somewhat
more than ``TCP_USER_TIMEOUT``, less than the first keep-alive packet."""

_UNREAD_UPLOAD: Final = 64 * 1024
"""Bytes of a request that the system of any server takes although the server does not read them yet, such as one that
serves one connection at a time. Larger ones must be able to wait, as long as the server has not answered once."""

_TLS_RECORDS: Final = frozenset({b"\x15\x03", b"\x16\x03"})  # alert, handshake

_LEFTOVER_LIMIT: Final = 64 * 1024
_HEAD_READ_SIZE: Final = 16 * 1024  # so that no read of a head, all of which is parsed at once, takes long


class OversizedHeadError(httpcore.RemoteProtocolError):
    """The server sent more than ``HEAD_LIMIT`` bytes before the final head of its response."""


class Phase(Enum):
    """Part of a response that a socket receives; see the diagram above."""

    HEAD = auto()
    BODY = auto()
    LEFTOVERS = auto()


class Tunnel(NamedTuple):
    """The tunnel that a proxy opens to a server.

    Attributes:
        handshakes: TLS handshakes before the proxy is asked for it: one with an https proxy, else none.
        host: The server's.
        port: The server's.
    """

    handshakes: int
    host: str
    port: int


class DeadlineSocket:
    """One connection, and the owner of its socket.

    ``drop`` closes the socket at once, from any thread, with or without a running loop, and sends nothing. It is the
    only way to close one, since it also works in a forked child and after the event loop was closed.

    Args:
        now: The clock of the deadlines.
        tunnel: The tunnel through a proxy, or None where there is no proxy.

    Attributes:
        now: The clock of the deadlines.
        until: The deadline of the current operation, an instant of ``now``.
        connect_timeout: Seconds for each step of making the connection, within ``until``.
        received: Bytes of the response, decrypted where there is TLS.
        phase: What is being received.
        handshakes: TLS handshakes that were begun.
        failure: Why no connection could be made, or why it broke, where the exception does not say.
        ready: The stream of a connection that was made in advance, until httpcore asks for it.
        unacknowledged: The system closed the connection, since the other side has acknowledged nothing for long.
    """

    # For ``drop``, which also runs if the constructor was interrupted.
    _socket: socket.socket | None = None
    _finalizer: weakref.finalize[..., Any] | None = None
    # Kept here for a socket that is collected at the end of the interpreter, when the names of modules are gone.
    _note_freed = staticmethod(descriptors.note_freed)

    def __init__(self, now: Callable[[], float], tunnel: Tunnel | None = None) -> None:
        self.now = now
        self.until = 0.0
        self.connect_timeout = 0.0
        self.received = 0
        self.phase = Phase.HEAD
        self.handshakes = 0
        self.failure: Failure | None = None
        self.unacknowledged = False
        self.ready: Any = None
        self._address = ("", 0)
        self._tunnel = tunnel
        self._received_in_phase = 0  # with the bytes of TLS
        self._step_until = float("inf")
        self._step_seconds = 0.0
        self._has_answered = self._may_be_unread = self._is_waiting_long = False

    def __del__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Close the socket, if there is one."""
        owned, self._socket = self._socket, None
        if owned is not None:
            owned.close()
            self._note_freed()
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

    def start_request(self, until: float, connect_timeout: float, upload: int = 0) -> None:
        """Begin a request of ``upload`` bytes: connect if there is no connection yet, and receive a head."""
        self.until, self.connect_timeout, self.received = until, connect_timeout, 0
        self.failure, self.unacknowledged = None, False
        self._may_be_unread = not self._has_answered and upload > _UNREAD_UPLOAD
        self._is_waiting_long = False
        if self._may_be_unread:
            self._set_user_timeout()
        self._start(Phase.HEAD)

    def start_body(self) -> None:
        """Go on to the body, whose size is limited where it is decoded."""
        self._start(Phase.BODY)
        self._has_answered = True
        if self._may_be_unread or self._is_waiting_long:
            self._may_be_unread = self._is_waiting_long = False
            self._set_user_timeout()

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
        if self.now() >= min(self.until, self._step_until):
            raise httpcore.ReadTimeout

    def count_received(self, size: int) -> None:
        """Count the bytes of a read."""
        self.received += size
        self._received_in_phase += size

    def seconds_left(self) -> float:
        """Return the seconds that an operation may wait; 0.0 when the deadline has passed."""
        if self.phase is Phase.LEFTOVERS:
            return 0.0
        return min(max(0.0, min(self.until, self._step_until) - self.now()), _MAX_TIMEOUT)

    def seconds_to_wait(self) -> float:
        """Return the seconds that a read may wait before ``start_long_wait``: those that are left, or fewer."""
        left = self.seconds_left()
        short = self.phase is Phase.HEAD and not (self._may_be_unread or self._is_waiting_long)
        return min(left, ACKNOWLEDGED) if short else left

    def start_long_wait(self) -> bool:
        """Let the system bear the loss of a keep-alive packet from now on; return whether it would not have."""
        if self.phase is not Phase.HEAD or self._may_be_unread or self._is_waiting_long:
            return False
        self._is_waiting_long = True
        self._set_user_timeout()
        return True

    def _set_user_timeout(self) -> None:
        if self._socket is None or _USER_TIMEOUT is None:
            return
        milliseconds = 0 if self._may_be_unread else _KEPT_ALIVE if self._is_waiting_long else _UNACKNOWLEDGED
        _set_option(self._socket, socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)

    @property
    def before_tunnel(self) -> bool:
        """Return whether there is a proxy that has not opened its tunnel yet: all so far is between it and us."""
        return self._tunnel is not None and self.handshakes <= self._tunnel.handshakes

    @property
    def _peer(self) -> tuple[str, int]:
        """The host and port with which bytes are exchanged: of the server, or of the proxy before its tunnel."""
        return self._address if self._tunnel is None or self.before_tunnel else self._tunnel[1:]

    def start_step(self) -> None:
        """Begin a step of making the connection; it has ``connect_timeout``, or what is left of the deadline."""
        now = self.now()
        self._step_until = now + self.connect_timeout
        self._step_seconds = max(0.0, min(self._step_until, self.until) - now)

    def start_connecting(self, host: str, port: int) -> None:
        """Begin to connect, with the look-up of the host."""
        self._address = (host, port)
        self.failure, self.handshakes = None, 0
        self.start_step()

    def addresses_of(self, look_up: LookUp) -> list[Any]:
        """Return what a look-up found, and begin the next step.

        Raises:
            httpcore.ConnectTimeout: It has not ended in time.
            httpcore.ConnectError: The name cannot be looked up.
        """
        result = look_up.result()
        if result is None:
            self.failure = connect_failures.look_up_timed_out(self._address[0], self._step_seconds)
            raise httpcore.ConnectTimeout
        if isinstance(result, Exception):
            if not isinstance(result, (OSError, UnicodeError)):
                raise result  # no failure of a network
            self.failure = connect_failures.look_up_failed(self._address[0], result)
            raise httpcore.ConnectError
        self.start_step()
        return result

    def adopt(self, new_socket: socket.socket) -> None:
        """Take ownership of a connected socket."""
        for name, (level, value) in _OPTIONS.items():
            if hasattr(socket, name):
                _set_option(new_socket, level, getattr(socket, name), value)
        self._socket = new_socket
        # In a garbage cycle the socket may be finalized before its owner, and then warns that it was not closed. A
        # reference from the finalizer keeps it out of the cycle.
        self._finalizer = weakref.finalize(self, new_socket.close)
        self._finalizer.atexit = False
        self._set_user_timeout()
        self.end_step()

    def end_step(self) -> None:
        """End a step of making the connection; the tunnel of a proxy, if there is one, is the next."""
        self._step_until = float("inf")
        if self.before_tunnel:
            self.start_step()

    def connect_error(self, error: Exception) -> Exception:
        """Return the exception to raise when no address could be reached; record why."""
        if isinstance(error, TimeoutError):
            self.failure = connect_failures.connect_timed_out(*self._address, self._step_seconds)
            return httpcore.ConnectTimeout()
        self.failure = connect_failures.connect_failed(*self._address, error)
        return httpcore.ConnectError()

    def start_handshake(self) -> None:
        """Begin a TLS handshake, which is a step of its own."""
        self.handshakes += 1
        self.start_step()

    def handshake_error(self, error: Exception, certificate: Mapping[str, Any] | None = None) -> Exception:
        """Close the socket; return the exception to raise when the TLS handshake failed; record why."""
        self.drop()
        if isinstance(error, OversizedHeadError):
            return error
        if isinstance(error, httpcore.TimeoutException):
            self.failure = connect_failures.handshake_timed_out(*self._peer, self._step_seconds)
            return httpcore.ConnectTimeout()
        if isinstance(error, (httpcore.NetworkError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            self.failure = connect_failures.handshake_closed(*self._peer)
        else:
            self.failure = connect_failures.handshake_failed(*self._peer, error, certificate)
        return httpcore.ConnectError()

    def note_alert(self, error: Exception) -> None:
        """Record a TLS alert after the handshake: TLS 1.3 servers refuse a client's certificate only then."""
        self.failure = connect_failures.alert_received(*self._peer, error)

    def check_first_bytes(self, data: bytes) -> None:
        """Record that a server answers plain HTTP in TLS. The first bytes of a TLS record are its type and version."""
        if not self.handshakes and data[:2] in _TLS_RECORDS:
            self.failure = connect_failures.speaks_tls(*self._address)

    def read_error(self, error: OSError) -> Exception:
        """Return httpcore's exception for an error of a read."""
        self.unacknowledged = error.errno == errno.ETIMEDOUT
        late = isinstance(error, (BlockingIOError, TimeoutError)) and not self.unacknowledged
        return httpcore.ReadTimeout() if late else httpcore.ReadError()

    def write_error(self, error: OSError) -> Exception:
        """Return httpcore's exception for an error of a write."""
        self.unacknowledged = error.errno == errno.ETIMEDOUT
        late = isinstance(error, (BlockingIOError, TimeoutError)) and not self.unacknowledged
        return httpcore.WriteTimeout() if late else httpcore.WriteError()


def _set_option(of_socket: socket.socket, level: int, option: int, value: int) -> None:
    with suppress(OSError):  # not every kind of socket has this option
        of_socket.setsockopt(level, option, value)
