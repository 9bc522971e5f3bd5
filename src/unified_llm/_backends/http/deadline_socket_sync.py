"""The network as httpcore's sync half uses it, over a ``DeadlineSocket``; its ``timeout`` arguments are for others than ours."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore
from typing_extensions import override

from unified_llm._backends.http.deadline_socket import DeadlineSocket
from unified_llm._backends.http.tls import TLS_ERRORS, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PIECE: Final = 65536


class SyncDeadlineSocket(DeadlineSocket, httpcore.NetworkBackend):
    """The network, for one connection."""

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. Looking up the name cannot be bounded: the system does that."""
        self.begin()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise self.unreachable(problem) from None
        last: OSError | None = None
        for position, (family, kind, protocol, _, address) in enumerate(found):
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(self.share(len(found) - position))
                made.connect(address)
                self.keep(made)
            except OSError as problem:
                made.close()
                last = problem
            except BaseException:
                made.close()
                raise
            else:
                return BlockingStream(self)
        raise self.unreachable(last)


class _Stream(httpcore.NetworkStream):
    """What plain and encrypted streams have in common."""

    wire: SyncDeadlineSocket

    @override
    def close(self) -> None:
        self.wire.drop()

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        until = self.wire.hurry()
        try:
            return BlockingTLS(self, self.wire, Session(ssl_context, server_hostname))
        except (*TLS_ERRORS, httpcore.TimeoutException, httpcore.NetworkError) as problem:
            raise self.wire.unshaken(problem) from None
        finally:
            self.wire.until = until


class BlockingStream(_Stream):
    """Bytes as they are on the socket. A head waits for its body, so that both are one packet."""

    def __init__(self, wire: SyncDeadlineSocket) -> None:
        self.wire = wire
        self._held = b""

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        wire = self.wire
        if self._held:
            with suppress(httpcore.WriteError):  # the server may have answered before it closed
                self.write(b"")
        try:
            wire.sock.settimeout(wire.left())
            data = wire.sock.recv(max_bytes)
        except (BlockingIOError, TimeoutError):
            raise httpcore.ReadTimeout from None
        except OSError:
            raise httpcore.ReadError from None
        wire.received += len(data)
        return data

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send; a first small piece is held until the next, which httpcore always writes, if only an empty one."""
        if buffer and not self._held and len(buffer) < _PIECE:
            self._held = buffer
            return
        buffer, self._held = self._held + buffer, b""
        wire = self.wire
        view = memoryview(buffer)
        try:
            while view:
                wire.sock.settimeout(wire.left())
                view = view[wire.sock.send(view) :]
        except (BlockingIOError, TimeoutError):
            raise httpcore.WriteTimeout from None
        except OSError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        return self.wire.readable() if info == "is_readable" else None


class BlockingTLS(_Stream):
    """TLS over another stream; shakes hands when made."""

    def __init__(self, inner: httpcore.NetworkStream, wire: SyncDeadlineSocket, session: Session) -> None:
        self._inner, self.wire, self._session = inner, wire, session
        self._perform(session.shake_hands)

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        before = self.wire.received
        data: bytes = b""
        try:
            data = self._perform(self._session.read, max_bytes)
        except ssl.SSLError:
            raise httpcore.ReadError from None
        finally:
            self.wire.received = before + len(data)  # not what TLS says to itself
        return data

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            if buffer:
                self._perform(self._session.write, buffer)
        except ssl.SSLError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(self._session.ssl_object.pending()) or self.wire.readable()
        return self._session.ssl_object if info == "ssl_object" else None

    def _perform(self, step: Callable[..., Any], *arguments: Any) -> Any:
        session = self._session
        while True:
            result = session.attempt(step, *arguments)
            outgoing = session.outgoing()
            if outgoing:
                self._inner.write(outgoing)
            if not session.wants_more:
                return result
            session.receive(self._inner.read(_PIECE))
