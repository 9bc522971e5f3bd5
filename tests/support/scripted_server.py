"""A scripted network under the real HTTP code: no sockets, and time passes only where a script contains a pause."""

from __future__ import annotations

import errno
import ssl
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpcore

from unified_llm._backends.http.connect_failures import no_descriptor
from unified_llm._backends.http.deadline_socket import DeadlineSocket, Phase
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Endless:
    """Bytes that are available to every further read; each takes so many seconds of work."""

    data: bytes
    seconds: float = 0.0


Step = bytes | float | type[Exception] | Endless
"""Result of one read: bytes (empty: the server closed the connection), seconds that pass first, or an exception."""


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Connection:
    """Script of one connection; after its last step the server sends nothing and keeps the connection open."""

    def __init__(self, clock: Clock, steps: Iterable[Step]) -> None:
        self.clock = clock
        self.script = list(steps)
        self.sent = b""
        self.closed = False
        self.refuses_bytes = False
        self.sock: DeadlineSocket | None = None
        self.owner: int | None = None
        self.read_bytes = 0

    @property
    def requests(self) -> int:
        return self.sent.count(b" HTTP/1.1\r\n")

    def read(self, max_bytes: int) -> bytes:
        assert self.sock is not None
        if self.closed:
            raise httpcore.ReadError
        size = self.sock.size_of_read(max_bytes)
        data = self._next_bytes()
        if len(data) > size:
            self.script.insert(0, data[size:])
            data = data[:size]
        self.sock.count_received(len(data))
        self.read_bytes += len(data)
        return data

    def _next_bytes(self) -> bytes:
        if not self.script:
            self._wait(float("inf"))
        step = self.script[0]
        if isinstance(step, Endless):
            self.clock.time += step.seconds
            return step.data
        self.script.pop(0)
        if isinstance(step, float):
            self._wait(step)
            return self._next_bytes()
        if isinstance(step, bytes):
            return step
        raise step

    def _wait(self, seconds: float) -> None:
        assert self.sock is not None
        if self.sock.phase is Phase.LEFTOVERS:
            raise httpcore.ReadTimeout
        if seconds > self.sock.seconds_left():
            self.clock.time += self.sock.seconds_left()
            raise httpcore.ReadTimeout
        self.clock.time += seconds

    def write(self, data: bytes) -> None:
        if self.refuses_bytes:
            raise httpcore.WriteError
        self.sent += data

    def readable(self) -> bool:
        return self.closed or self.script[:1] == [b""]

    def close(self) -> None:
        self.closed = True


class Stream(httpcore.NetworkStream):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.connection.read(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.connection.write(buffer)

    def close(self) -> None:
        self.connection.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return self.connection.readable() if info == "is_readable" else None


class AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.connection.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.connection.write(buffer)

    async def aclose(self) -> None:
        self.connection.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return self.connection.readable() if info == "is_readable" else None


def take_ready(sock: DeadlineSocket) -> Any:
    """Return the stream that was made in advance, once."""
    stream, sock.ready = sock.ready, None
    return stream


class Network:
    """Opens its connections in order; refuses a connection when none is left."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.connections: list[Connection] = []
        self.made: list[Connection] = []
        self.addresses: list[tuple[str, int]] = []
        self.shortages = 0  # how many of the next connections find that no more files can be opened
        network = self

        def connect(sock: DeadlineSocket, host: str, port: int) -> Connection:
            network.addresses.append((host, port))
            sock.start_connecting(host, port)
            if network.shortages:
                network.shortages -= 1
                sock.failure = no_descriptor(OSError(errno.EMFILE, "Too many open files"))
                raise httpcore.ConnectError
            if len(network.made) == len(network.connections):
                raise sock.connect_error(ConnectionRefusedError("refused"))
            connection = network.connections[len(network.made)]
            connection.sock, connection.owner = weakref.proxy(sock), id(sock)
            network.made.append(connection)
            sock.end_step()
            return connection

        def connect_tcp(sock: SyncDeadlineSocket, host: str, port: int, **_: object) -> httpcore.NetworkStream:
            return take_ready(sock) or Stream(connect(sock, host, port))

        async def aconnect_tcp(
            sock: AsyncDeadlineSocket, host: str, port: int, **_: object
        ) -> httpcore.AsyncNetworkStream:
            return take_ready(sock) or AsyncStream(connect(sock, host, port))

        def drop(sock: DeadlineSocket) -> None:
            for connection in network.made:
                if connection.owner == id(sock):
                    connection.close()

        patch.setattr(SyncDeadlineSocket, "connect_tcp", connect_tcp)
        patch.setattr(AsyncDeadlineSocket, "connect_tcp", aconnect_tcp)
        patch.setattr(DeadlineSocket, "drop", drop)

    def add_connection(self, *steps: Step) -> Connection:
        """Add a connection with this script."""
        connection = Connection(self.clock, steps)
        self.connections.append(connection)
        return connection

    @property
    def open(self) -> int:
        """Number of connections that were opened and not closed."""
        return sum(not connection.closed for connection in self.made)
