"""httpcore's sync network backend over a ``DeadlineSocket``; its deadline replaces the ``timeout`` arguments."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore
from typing_extensions import override

from unified_llm._backends.http.deadline_socket import DeadlineSocket, OversizedHeadError, WriteBuffer
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
    """Base of plain and encrypted sync streams, which send what httpcore has written when it writes nothing more."""

    def __init__(self, sock: SyncDeadlineSocket) -> None:
        self.sock = sock
        self._unsent = WriteBuffer()

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            self._unsent.add(buffer)
        elif self._unsent:
            self._flush()

    def _flush(self) -> None:
        for part in self._unsent.take():
            self.send(part)

    def send(self, data: memoryview) -> None:
        """Send all of the data."""
        raise NotImplementedError

    def _flush_before_reading(self) -> None:
        if self._unsent:
            with suppress(httpcore.WriteError):  # the server may have responded before it closed
                self._flush()

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
    """Plain bytes on the socket."""

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._flush_before_reading()
        sock = self.sock
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
    def send(self, data: memoryview) -> None:
        sock = self.sock
        try:
            while data:
                sock.raw_socket.settimeout(sock.seconds_left())
                data = data[sock.raw_socket.send(data) :]
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
        super().__init__(sock)
        self._inner, self._session = inner, session
        self._perform(session.do_handshake)

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._flush_before_reading()
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
    def send(self, data: memoryview) -> None:
        try:
            self._perform(self._session.write, data)
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
                self._inner.write(b"")
            if not session.wants_more:
                return result
            session.receive(self._inner.read(_CHUNK_SIZE))
