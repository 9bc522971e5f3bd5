"""The network as httpcore's async half uses it, over a ``DeadlineSocket`` and asyncio's socket calls.

No asyncio transport stands between: one cannot be closed once its loop is, and closing one takes a turn of the loop,
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

from unified_llm._backends.http.deadline_socket import DeadlineSocket
from unified_llm._backends.http.tls import TLS_ERRORS, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PIECE: Final = 65536
_IN_A_ROW: Final = 2  # reads that found something at once, before other tasks get their turn


class AsyncDeadlineSocket(DeadlineSocket, httpcore.AsyncNetworkBackend):
    """The network, for one connection."""

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
        self.begin()
        loop = asyncio.get_running_loop()
        try:
            found = await self._addresses(loop, host, port)
        except (OSError, UnicodeError) as problem:
            raise self.unreachable(problem) from None
        last: OSError | None = None
        for position, (family, kind, protocol, _, address) in enumerate(found):
            made = socket.socket(family, kind, protocol)
            try:
                made.setblocking(False)  # noqa: FBT003 - the standard library's signature
                async with asyncio.timeout(self.share(len(found) - position)):
                    await loop.sock_connect(made, address)
                self.keep(made)
            except OSError as problem:
                made.close()
                last = problem
            except BaseException:
                made.close()
                raise
            else:
                return AsyncStream(self)
        raise self.unreachable(last)

    async def _addresses(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Any]:
        try:  # an address needs no look-up, so no thread for one
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            async with asyncio.timeout(self.share(1)):
                return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Stream(httpcore.AsyncNetworkStream):
    """What plain and encrypted streams have in common."""

    wire: AsyncDeadlineSocket

    @override
    async def aclose(self) -> None:
        self.wire.drop()

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        until = self.wire.hurry()
        try:
            stream = AsyncTLS(self, self.wire, Session(ssl_context, server_hostname))
            await stream.shake_hands()
        except (*TLS_ERRORS, httpcore.TimeoutException, httpcore.NetworkError) as problem:
            raise self.wire.unshaken(problem) from None
        finally:
            self.wire.until = until
        return stream


class AsyncStream(_Stream):
    """Bytes as they are on the socket. A head waits for its body, so that both are one packet."""

    def __init__(self, wire: AsyncDeadlineSocket) -> None:
        self.wire = wire
        self._held = b""
        self._at_once = 0

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        wire = self.wire
        if self._held:
            with suppress(httpcore.WriteError):  # the server may have answered before it closed
                await self.write(b"")
        try:
            data = wire.sock.recv(max_bytes)
        except BlockingIOError:
            data = await self._wait(max_bytes)
        except OSError:
            raise httpcore.ReadError from None
        else:
            self._at_once += 1
            if self._at_once >= _IN_A_ROW:
                self._at_once = 0
                await asyncio.sleep(0)
        wire.received += len(data)
        return data

    async def _wait(self, max_bytes: int) -> bytes:
        self._at_once = 0
        left = self.wire.left()
        if not left:
            raise httpcore.ReadTimeout
        try:
            async with asyncio.timeout(left):
                return await asyncio.get_running_loop().sock_recv(self.wire.sock, max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError:
            raise httpcore.ReadError from None

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send; a first small piece is held until the next, which httpcore always writes, if only an empty one."""
        if buffer and not self._held and len(buffer) < _PIECE:
            self._held = buffer
            return
        buffer, self._held = self._held + buffer, b""
        if not buffer:
            return
        wire = self.wire
        try:
            sent = wire.sock.send(buffer)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise httpcore.WriteError from None
        if sent < len(buffer):
            await self._write_rest(memoryview(buffer)[sent:])

    async def _write_rest(self, rest: memoryview) -> None:
        try:
            async with asyncio.timeout(self.wire.left()):
                await asyncio.get_running_loop().sock_sendall(self.wire.sock, rest)
        except TimeoutError:
            raise httpcore.WriteTimeout from None
        except OSError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        return self.wire.readable() if info == "is_readable" else None


class AsyncTLS(_Stream):
    """TLS over another stream."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, wire: AsyncDeadlineSocket, session: Session) -> None:
        self._inner, self.wire, self._session = inner, wire, session

    async def shake_hands(self) -> None:
        """Agree on keys, and judge the certificate."""
        await self._perform(self._session.shake_hands)

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        before = self.wire.received
        data: bytes = b""
        try:
            data = await self._perform(self._session.read, max_bytes)
        except ssl.SSLError:
            raise httpcore.ReadError from None
        finally:
            self.wire.received = before + len(data)  # not what TLS says to itself
        return data

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            if buffer:
                await self._perform(self._session.write, buffer)
        except ssl.SSLError:
            raise httpcore.WriteError from None

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(self._session.ssl_object.pending()) or self.wire.readable()
        return self._session.ssl_object if info == "ssl_object" else None

    async def _perform(self, step: Callable[..., Any], *arguments: Any) -> Any:
        session = self._session
        while True:
            result = session.attempt(step, *arguments)
            outgoing = session.outgoing()
            if outgoing:
                await self._inner.write(outgoing)
            if not session.wants_more:
                return result
            session.receive(await self._inner.read(_PIECE))
