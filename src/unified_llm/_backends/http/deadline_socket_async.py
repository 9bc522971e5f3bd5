"""httpcore's async network backend over a ``DeadlineSocket`` and asyncio's socket calls.

No asyncio transport is used: it cannot be closed once its loop is closed, and closing it takes a turn of the loop,
which a cancelled task does not get.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpcore
from typing_extensions import override

from unified_llm._backends.http.address_race import AddressRace
from unified_llm._backends.http.deadline_socket import DeadlineSocket, OversizedHeadError
from unified_llm._backends.http.resolver import RESOLVER
from unified_llm._backends.http.tls import TLS_ERRORS, TLSSession
from unified_llm._backends.http.waiter_async import AsyncWaiter
from unified_llm._backends.http.write_buffer import WriteBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from unified_llm._backends.http.resolver import Address

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
        """Connect to the first address that answers, unless that was done in advance."""
        if self.ready is not None:
            stream, self.ready = self.ready, None
            return _Ready(stream) if self.handshakes else stream
        self.start_connecting(host, port)
        addresses = await self._resolve(host, port)
        try:
            self.adopt(await self._connect(AddressRace(addresses)))
        except OSError as error:
            RESOLVER.forget(host, port)
            raise self.connect_error(error) from None
        return AsyncStream(self)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        look_up = RESOLVER.look_up(host, port)
        if not look_up.done:
            waiter, seconds = AsyncWaiter(), self.seconds_left()
            look_up.call_when_done(waiter.wake)
            try:
                await waiter.wait(min(seconds, RESOLVER.patience_with(look_up)))
            finally:
                look_up.stop_calling(waiter.wake)
        return self.addresses_of(look_up)

    async def _connect(self, race: AddressRace) -> socket.socket:
        """Return the first connection that is made."""
        loop = asyncio.get_running_loop()
        tasks: dict[asyncio.Task[OSError | None], socket.socket] = {}
        if race.alone:  # no task is needed
            for new_socket, address in race.begin_due(self.now()):
                return await self._connect_alone(loop, race, new_socket, address)
        try:
            while True:
                now = self.now()
                for new_socket, address in race.begin_due(now):
                    tasks[loop.create_task(_connect(loop, new_socket, address))] = new_socket
                if not tasks:
                    raise race.error or OSError
                left = self.seconds_left()
                if not left:
                    raise TimeoutError
                seconds = min(left, race.seconds_to_next(now))
                done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    new_socket = tasks.pop(task)
                    error = task.result()
                    if error is None:
                        return race.win(new_socket)
                    race.lose(new_socket, error)
        finally:
            _end_race(loop, tasks)

    async def _connect_alone(
        self, loop: asyncio.AbstractEventLoop, race: AddressRace, new_socket: socket.socket, address: Any
    ) -> socket.socket:
        try:
            async with asyncio.timeout(max(0.001, self.seconds_left())):
                await loop.sock_connect(new_socket, address)
            return race.win(new_socket)
        finally:
            race.close()


async def _connect(loop: asyncio.AbstractEventLoop, new_socket: socket.socket, address: Any) -> OSError | None:
    try:
        await loop.sock_connect(new_socket, address)
    except OSError as error:
        return error
    except BaseException:
        # Closed only now: until then the event loop watches its descriptor, which a new socket could get.
        new_socket.close()
        raise
    return None


def _end_race(loop: asyncio.AbstractEventLoop, tasks: Mapping[asyncio.Task[Any], socket.socket]) -> None:
    """Close the sockets that have lost. Those that still connect are closed by their tasks."""
    for task, losing in tasks.items():
        if task.done() or loop.is_closed():
            losing.close()
        else:
            task.add_done_callback(partial(_close, losing))  # also where it is cancelled before it has begun
            task.cancel()


def _close(losing: socket.socket, _: asyncio.Task[Any]) -> None:
    losing.close()


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
        self.sock.start_handshake()
        session: TLSSession | None = None
        try:
            session = TLSSession(ssl_context, server_hostname)
            stream = AsyncTLSStream(self, self.sock, session)
            await stream.do_handshake()
        except (*TLS_ERRORS, httpcore.TimeoutException, httpcore.NetworkError, OversizedHeadError) as error:
            certificate = session.peer_certificate() if session else None
            raise self.sock.handshake_error(error, certificate) from None
        finally:
            self.sock.end_step()
        return stream


class _Ready(httpcore.AsyncNetworkStream):
    """A connection whose TLS handshake was done in advance."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return self._stream


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
        except OSError as error:
            raise sock.read_error(error) from None
        else:
            self._immediate_reads += 1
            if self._immediate_reads >= _READS_PER_TURN:
                self._immediate_reads = 0
                await asyncio.sleep(0)
        if not sock.received:
            sock.check_first_bytes(data)
        sock.count_received(len(data))
        return data

    async def _wait_and_read(self, max_bytes: int) -> bytes:
        self._immediate_reads = 0
        seconds_left = self.sock.seconds_left()
        if not seconds_left:
            raise httpcore.ReadTimeout
        loop, seconds_to_wait = asyncio.get_running_loop(), self.sock.seconds_to_wait()
        # A timer, since a read that is cancelled can lose bytes.
        watch = loop.call_later(seconds_to_wait, self.sock.start_long_wait) if seconds_to_wait < seconds_left else None
        try:
            async with asyncio.timeout(seconds_left):
                return await loop.sock_recv(self.sock.raw_socket, max_bytes)
        except OSError as error:
            raise self.sock.read_error(error) from None
        finally:
            if watch is not None:
                watch.cancel()

    @override
    async def send(self, data: memoryview) -> None:
        try:
            sent = self.sock.raw_socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self.sock.write_error(error) from None
        if sent < len(data):
            await self._send_remaining(data[sent:])

    async def _send_remaining(self, remaining: memoryview) -> None:
        try:
            async with asyncio.timeout(self.sock.seconds_left()):
                await asyncio.get_running_loop().sock_sendall(self.sock.raw_socket, remaining)
        except OSError as error:
            raise self.sock.write_error(error) from None

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
        except ssl.SSLError as error:
            self.sock.note_alert(error)
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
