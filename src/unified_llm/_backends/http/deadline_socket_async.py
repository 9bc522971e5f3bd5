"""httpcore's async network backend over a ``DeadlineSocket`` and asyncio's socket calls.

No asyncio transport is used: it cannot be closed once its loop is closed, and closing it takes a turn of the loop,
which a cancelled task does not get.
"""

from __future__ import annotations

import asyncio
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
_READS_PER_TURN: Final = 2  # reads that need not wait, before other tasks get a turn


class AsyncDeadlineSocket(DeadlineSocket, httpcore.AsyncNetworkBackend):
    """Network backend of one async connection."""

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        self.start_connecting()
        loop = asyncio.get_running_loop()
        try:
            addresses = await self._resolve(loop, host, port)
        except (OSError, UnicodeError) as error:
            raise self.connect_error(error) from None
        last_error: OSError | None = None
        for position, (family, kind, protocol, _, address) in enumerate(addresses):
            new_socket = socket.socket(family, kind, protocol)
            try:
                new_socket.setblocking(False)  # noqa: FBT003 - the standard library's signature
                async with asyncio.timeout(self.seconds_per_address(len(addresses) - position)):
                    await loop.sock_connect(new_socket, address)
                self.adopt(new_socket)
            except OSError as error:
                new_socket.close()
                last_error = error
            except BaseException:
                new_socket.close()
                raise
            else:
                return AsyncStream(self)
        raise self.connect_error(last_error)

    async def _resolve(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Any]:
        try:  # a numeric address needs no look-up, so no thread either
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            async with asyncio.timeout(self.seconds_per_address(1)):
                return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Stream(httpcore.AsyncNetworkStream):
    """Base of plain and encrypted async streams, which send what httpcore has written when it writes nothing more."""

    def __init__(self, sock: AsyncDeadlineSocket) -> None:
        self.sock = sock
        self._unsent = WriteBuffer()

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            self._unsent.add(buffer)
        elif self._unsent:
            await self._flush()

    async def _flush(self) -> None:
        for part in self._unsent.take():
            await self.send(part)

    async def send(self, data: memoryview) -> None:
        """Send all of the data."""
        raise NotImplementedError

    async def _flush_before_reading(self) -> None:
        if self._unsent:
            with suppress(httpcore.WriteError):  # the server may have responded before it closed
                await self._flush()

    @override
    async def aclose(self) -> None:
        self.sock.drop()

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        until = self.sock.cap_to_connect_deadline()
        try:
            stream = AsyncTLSStream(self, self.sock, TLSSession(ssl_context, server_hostname))
            await stream.do_handshake()
        except (*TLS_ERRORS, httpcore.TimeoutException, httpcore.NetworkError, OversizedHeadError) as error:
            raise self.sock.handshake_error(error) from None
        finally:
            self.sock.until = until
        return stream


class AsyncStream(_Stream):
    """Plain bytes on the socket."""

    def __init__(self, sock: AsyncDeadlineSocket) -> None:
        super().__init__(sock)
        self._immediate_reads = 0

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await self._flush_before_reading()
        sock = self.sock
        size = sock.size_of_read(max_bytes)
        try:
            data = sock.raw_socket.recv(size)
        except BlockingIOError:
            data = await self._wait_and_read(size)
        except OSError:
            raise httpcore.ReadError from None
        else:
            self._immediate_reads += 1
            if self._immediate_reads >= _READS_PER_TURN:
                self._immediate_reads = 0
                await asyncio.sleep(0)
        sock.count_received(len(data))
        return data

    async def _wait_and_read(self, max_bytes: int) -> bytes:
        self._immediate_reads = 0
        seconds_left = self.sock.seconds_left()
        if not seconds_left:
            raise httpcore.ReadTimeout
        try:
            async with asyncio.timeout(seconds_left):
                return await asyncio.get_running_loop().sock_recv(self.sock.raw_socket, max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError:
            raise httpcore.ReadError from None

    @override
    async def send(self, data: memoryview) -> None:
        try:
            sent = self.sock.raw_socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise httpcore.WriteError from None
        if sent < len(data):
            await self._send_remaining(data[sent:])

    async def _send_remaining(self, remaining: memoryview) -> None:
        try:
            async with asyncio.timeout(self.sock.seconds_left()):
                await asyncio.get_running_loop().sock_sendall(self.sock.raw_socket, remaining)
        except TimeoutError:
            raise httpcore.WriteTimeout from None
        except OSError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        return self.sock.readable() if info == "is_readable" else None


class AsyncTLSStream(_Stream):
    """TLS over another async stream."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, sock: AsyncDeadlineSocket, session: TLSSession) -> None:
        super().__init__(sock)
        self._inner, self._session = inner, session

    async def do_handshake(self) -> None:
        """Agree on keys and verify the certificate."""
        await self._perform(self._session.do_handshake)

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await self._flush_before_reading()
        before = self.sock.received
        data: bytes = b""
        try:
            data = await self._perform(self._session.read, max_bytes)
        except ssl.SSLError:
            raise httpcore.ReadError from None
        finally:
            self.sock.received = before + len(data)  # without the bytes of the TLS protocol itself
        return data

    @override
    async def send(self, data: memoryview) -> None:
        try:
            await self._perform(self._session.write, data)
        except ssl.SSLError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(self._session.ssl_object.pending()) or self.sock.readable()
        return self._session.ssl_object if info == "ssl_object" else None

    async def _perform(self, step: Callable[..., Any], *arguments: Any) -> Any:
        session = self._session
        while True:
            result = session.run_step(step, *arguments)
            outgoing = session.take_outgoing()
            if outgoing:
                await self._inner.write(outgoing)
                await self._inner.write(b"")
            if not session.wants_more:
                return result
            session.receive(await self._inner.read(_CHUNK_SIZE))
