"""httpcore's sync network backend over a ``DeadlineSocket``; its deadline replaces the ``timeout`` arguments."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore
from typing_extensions import override

from unified_llm._backends.http.deadline_socket import DeadlineSocket, OversizedHeadError
from unified_llm._backends.http.tls import TLS_ERRORS, TLSSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CHUNK_SIZE: Final = 65536


class SyncDeadlineSocket(DeadlineSocket, httpcore.NetworkBackend):
    """Network backend of one sync connection."""

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. The name look-up has no deadline: the system call takes none."""
        self.start_connecting()
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise self.connect_error(error) from None
        last_error: OSError | None = None
        for position, (family, kind, protocol, _, address) in enumerate(addresses):
            new_socket = socket.socket(family, kind, protocol)
            try:
                new_socket.settimeout(self.seconds_per_address(len(addresses) - position))
                new_socket.connect(address)
                self.adopt(new_socket)
            except OSError as error:
                new_socket.close()
                last_error = error
            except BaseException:
                new_socket.close()
                raise
            else:
                return SyncStream(self)
        raise self.connect_error(last_error)


class _Stream(httpcore.NetworkStream):
    """Base of plain and encrypted sync streams."""

    sock: SyncDeadlineSocket

    @override
    def close(self) -> None:
        self.sock.drop()

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        until = self.sock.cap_to_connect_deadline()
        try:
            return SyncTLSStream(self, self.sock, TLSSession(ssl_context, server_hostname))
        except (*TLS_ERRORS, httpcore.TimeoutException, httpcore.NetworkError, OversizedHeadError) as error:
            raise self.sock.handshake_error(error) from None
        finally:
            self.sock.until = until


class SyncStream(_Stream):
    """Plain bytes on the socket. A request's head is sent with its body, so that both are one packet."""

    def __init__(self, sock: SyncDeadlineSocket) -> None:
        self.sock = sock
        self._unsent = b""

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        sock = self.sock
        if self._unsent:
            with suppress(httpcore.WriteError):  # the server may have responded before it closed
                self.write(b"")
        size = sock.size_of_read(max_bytes)
        try:
            sock.raw_socket.settimeout(sock.seconds_left())
            data = sock.raw_socket.recv(size)
        except (BlockingIOError, TimeoutError):
            raise httpcore.ReadTimeout from None
        except OSError:
            raise httpcore.ReadError from None
        sock.count_received(len(data))
        return data

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send; keep a small first chunk until the next one, which httpcore always writes, even if it is empty."""
        if buffer and not self._unsent and len(buffer) < _CHUNK_SIZE:
            self._unsent = buffer
            return
        buffer, self._unsent = self._unsent + buffer, b""
        sock = self.sock
        view = memoryview(buffer)
        try:
            while view:
                sock.raw_socket.settimeout(sock.seconds_left())
                view = view[sock.raw_socket.send(view) :]
        except (BlockingIOError, TimeoutError):
            raise httpcore.WriteTimeout from None
        except OSError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        return self.sock.readable() if info == "is_readable" else None


class SyncTLSStream(_Stream):
    """TLS over another sync stream; the constructor performs the handshake."""

    def __init__(self, inner: httpcore.NetworkStream, sock: SyncDeadlineSocket, session: TLSSession) -> None:
        self._inner, self.sock, self._session = inner, sock, session
        self._perform(session.do_handshake)

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        before = self.sock.received
        data: bytes = b""
        try:
            data = self._perform(self._session.read, max_bytes)
        except ssl.SSLError:
            raise httpcore.ReadError from None
        finally:
            self.sock.received = before + len(data)  # without the bytes of the TLS protocol itself
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
            return bool(self._session.ssl_object.pending()) or self.sock.readable()
        return self._session.ssl_object if info == "ssl_object" else None

    def _perform(self, step: Callable[..., Any], *arguments: Any) -> Any:
        session = self._session
        while True:
            result = session.run_step(step, *arguments)
            outgoing = session.take_outgoing()
            if outgoing:
                self._inner.write(outgoing)
            if not session.wants_more:
                return result
            session.receive(self._inner.read(_CHUNK_SIZE))
