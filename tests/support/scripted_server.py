"""A network of scripts under the real HTTP code: no sockets, and time passes only where a script says so."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpcore

from unified_llm._backends.http.deadline_socket import DeadlineSocket
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket

if TYPE_CHECKING:
    import pytest

Play = bytes | float | type[Exception]
"""What one read finds: bytes (none: the server has closed), seconds that pass first, or an exception."""


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Connection:
    """One connection's script; when it is over the server says nothing more and keeps the connection open."""

    def __init__(self, clock: Clock, plays: Iterable[Play]) -> None:
        self.clock = clock
        self.plays = list(plays)
        self.sent = b""
        self.closed = False
        self.refuses_bytes = False
        self.sock: DeadlineSocket | None = None

    @property
    def requests(self) -> int:
        return self.sent.count(b" HTTP/1.1\r\n")

    def read(self) -> bytes:
        assert self.sock is not None
        if self.closed:
            raise httpcore.ReadError
        if not self.plays:
            self.clock.time = max(self.clock.time, self.sock.until)
            raise httpcore.ReadTimeout
        play = self.plays.pop(0)
        if isinstance(play, float):
            if self.clock.time + play > self.sock.until:
                self.clock.time = max(self.clock.time, self.sock.until)
                raise httpcore.ReadTimeout
            self.clock.time += play
            return self.read()
        if isinstance(play, bytes):
            self.sock.received += len(play)
            return play
        raise play

    def write(self, data: bytes) -> None:
        if self.refuses_bytes:
            raise httpcore.WriteError
        self.sent += data

    def readable(self) -> bool:
        return self.closed or self.plays[:1] == [b""]

    def close(self) -> None:
        self.closed = True


class Stream(httpcore.NetworkStream):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.connection.read()

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
        return self.connection.read()

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


class Network:
    """Hands out its connections in order; none is left: connection refused."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.connections: list[Connection] = []
        self.made: list[Connection] = []
        self.places: list[tuple[str, int]] = []
        network = self

        def connect(sock: DeadlineSocket, host: str, port: int) -> Connection:
            network.places.append((host, port))
            sock.start_connecting()
            if len(network.made) == len(network.connections):
                raise sock.connect_error(ConnectionRefusedError("refused"))
            connection = network.connections[len(network.made)]
            connection.sock = sock
            network.made.append(connection)
            return connection

        def connect_tcp(sock: SyncDeadlineSocket, host: str, port: int, **_: object) -> httpcore.NetworkStream:
            return Stream(connect(sock, host, port))

        async def aconnect_tcp(
            sock: AsyncDeadlineSocket, host: str, port: int, **_: object
        ) -> httpcore.AsyncNetworkStream:
            return AsyncStream(connect(sock, host, port))

        def drop(sock: DeadlineSocket) -> None:
            for connection in network.made:
                if connection.sock is sock:
                    connection.close()

        patch.setattr(SyncDeadlineSocket, "connect_tcp", connect_tcp)
        patch.setattr(AsyncDeadlineSocket, "connect_tcp", aconnect_tcp)
        patch.setattr(DeadlineSocket, "drop", drop)

    def plays(self, *plays: Play) -> Connection:
        """One more connection, with this script."""
        connection = Connection(self.clock, plays)
        self.connections.append(connection)
        return connection

    @property
    def open(self) -> int:
        """Connections that were made and not closed."""
        return sum(not connection.closed for connection in self.made)
