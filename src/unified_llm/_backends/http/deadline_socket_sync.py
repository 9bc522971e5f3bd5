"""httpcore's sync network backend over a ``DeadlineSocket``; its deadline replaces the ``timeout`` arguments."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import httpcore
from typing_extensions import override

from unified_llm._backends.http.address_race import AddressRace
from unified_llm._backends.http.deadline_socket import DeadlineSocket, OversizedHeadError
from unified_llm._backends.http.resolver import RESOLVER
from unified_llm._backends.http.tls import TLS_ERRORS, TLSSession
from unified_llm._backends.http.waiter_sync import SyncWaiter
from unified_llm._backends.http.write_buffer import WriteBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from unified_llm._backends.http.resolver import Address

_CHUNK_SIZE: Final = 65536
_CONNECTING: Final = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}


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
        """Connect to the first address that answers, unless that was done in advance."""
        if self.ready is not None:
            stream, self.ready = self.ready, None
            return _Ready(stream) if self.handshakes else stream
        self.start_connecting(host, port)
        race = AddressRace(self._resolve(host, port))
        try:
            self.adopt(self._connect(race))
        except OSError as error:
            RESOLVER.forget(host, port)
            raise self.connect_error(error) from None
        finally:
            race.close()
        return SyncStream(self)

    def _resolve(self, host: str, port: int) -> list[Address]:
        look_up = RESOLVER.look_up(host, port)
        if not look_up.done:
            waiter, seconds = SyncWaiter(), self.seconds_left()
            look_up.call_when_done(waiter.wake)
            try:
                waiter.wait(min(seconds, RESOLVER.patience_with(look_up)))
            finally:
                look_up.stop_calling(waiter.wake)
        return self.addresses_of(look_up)

    def _connect(self, race: AddressRace) -> socket.socket:
        """Return the first connection that is made."""
        if race.alone:  # no selector is needed
            for new_socket, address in race.begin_due(self.now()):
                new_socket.settimeout(max(0.001, self.seconds_left()))
                new_socket.connect(address)
                return race.win(new_socket)
        with selectors.DefaultSelector() as selector:
            while True:
                now = self.now()
                for new_socket, address in race.begin_due(now):
                    code = new_socket.connect_ex(address)
                    if code in _CONNECTING:
                        selector.register(new_socket, selectors.EVENT_WRITE)
                    else:
                        race.lose(new_socket, OSError(code, os.strerror(code)))
                if not selector.get_map():
                    raise race.error or OSError
                left = self.seconds_left()
                if not left:
                    raise TimeoutError
                for key, _ in selector.select(min(left, race.seconds_to_next(now))):
                    new_socket = cast("socket.socket", key.fileobj)
                    selector.unregister(new_socket)
                    code = new_socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return race.win(new_socket)
                    race.lose(new_socket, OSError(code, os.strerror(code)))


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
        self.sock.start_handshake()
        session: TLSSession | None = None
        try:
            session = TLSSession(ssl_context, server_hostname)
            return SyncTLSStream(self, self.sock, session)
        except (*TLS_ERRORS, httpcore.TimeoutException, httpcore.NetworkError, OversizedHeadError) as error:
            certificate = session.peer_certificate() if session else None
            raise self.sock.handshake_error(error, certificate) from None
        finally:
            self.sock.end_step()


class _Ready(httpcore.NetworkStream):
    """A connection whose TLS handshake was done in advance."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self._stream


class SyncStream(_Stream):
    """Plain bytes on the socket."""

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._flush_before_reading()
        sock = self.sock
        size = sock.size_of_read(max_bytes)
        try:
            data = self._wait_and_read(size)
        except OSError as error:
            raise sock.read_error(error) from None
        if not sock.received:
            sock.check_first_bytes(data)
        sock.count_received(len(data))
        return data

    def _wait_and_read(self, max_bytes: int) -> bytes:
        raw_socket = self.sock.raw_socket
        raw_socket.settimeout(self.sock.seconds_to_wait())
        try:
            return raw_socket.recv(max_bytes)
        except TimeoutError as error:
            if error.errno is not None or not self.sock.start_long_wait():
                raise
        raw_socket.settimeout(self.sock.seconds_left())
        return raw_socket.recv(max_bytes)

    @override
    def send(self, data: memoryview) -> None:
        sock = self.sock
        try:
            while data:
                sock.raw_socket.settimeout(sock.seconds_left())
                data = data[sock.raw_socket.send(data) :]
        except OSError as error:
            raise sock.write_error(error) from None

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
        except ssl.SSLError as error:
            self.sock.note_alert(error)
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
