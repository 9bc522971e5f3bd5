"""TCP relay on 127.0.0.1 in front of a real server, which injects one fault into its connections.

    with Relay(llama.port) as relay:
        relay.fault = Cut(after=600)
        ...  # a client of relay.port is cut off after 600 bytes of the server's response

The protocol is the server's own. Each connection keeps the fault that was set when it was accepted; without a fault,
all bytes pass unchanged. One thread for each direction.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Self, TypeAlias

from integration_tests.support.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class Cut:
    """Close the connection after so many bytes of the response, with a FIN or (``reset``) an RST."""

    after: int = 0
    reset: bool = False


@dataclass(frozen=True)
class HalfOpen:
    """After so many bytes of the response, forward nothing more and keep the connection open."""

    after: int = 0


@dataclass(frozen=True)
class Drip:
    """Forward the response so many bytes at a time, with ``pause`` seconds after each."""

    every: int = 1
    pause: float = 0.0


@dataclass(frozen=True)
class Delay:
    """Delay each part of the response by so many seconds."""

    seconds: float


@dataclass(frozen=True)
class BlackHole:
    """Accept, read the request, and forward nothing."""


Fault: TypeAlias = Cut | HalfOpen | Drip | Delay | BlackHole


class Relay:
    """Relay in front of the server at this port; see the module's docstring."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.fault: Fault | None = None
        self.accepted = 0
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    @property
    def open(self) -> int:
        """The number of open connections of clients."""
        return len(self._open)

    def settles_at(self, count: int) -> bool:
        """Return whether the number of open connections becomes ``count`` in time."""
        return wait_until(lambda: self.open == count)

    def __enter__(self) -> Self:
        self._listener.settimeout(0.05)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _start(self, function: object, *arguments: object) -> None:
        assert callable(function)
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                self.accepted += 1
                self._open.add(client)
                self._start(self._serve, client, self.fault)

    def _serve(self, client: socket.socket, fault: Fault | None) -> None:
        """Forward in both directions until one side closes, or the fault ends the connection."""
        try:
            with client, socket.create_connection(("127.0.0.1", self.upstream)) as server:
                for sock in (client, server):
                    sock.settimeout(0.05)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not isinstance(fault, BlackHole):
                    closed = threading.Event()
                    self._start(self._forward_request, client, server, closed)
                    self._forward_response(server, client, fault, closed)
                while self._receive(client) and isinstance(fault, (BlackHole, HalfOpen)):
                    pass
        except (OSError, EOFError):
            pass
        finally:
            self._open.discard(client)

    def _forward_request(self, client: socket.socket, server: socket.socket, closed: threading.Event) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := self._receive(client):
                server.sendall(data)
        closed.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # which wakes the other direction

    def _forward_response(
        self, server: socket.socket, client: socket.socket, fault: Fault | None, closed: threading.Event
    ) -> None:
        forwarded = 0
        while data := self._receive(server):
            match fault:
                case Cut(after, reset) if forwarded + len(data) >= after:
                    client.sendall(data[: after - forwarded])
                    if reset:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    raise EOFError
                case HalfOpen(after) if forwarded + len(data) >= after:
                    client.sendall(data[: after - forwarded])
                    return
                case Drip(every, pause):
                    for start in range(0, len(data), every):
                        client.sendall(data[start : start + every])
                        closed.wait(pause)
                case _:
                    closed.wait(fault.seconds if isinstance(fault, Delay) else 0)
                    client.sendall(data)
            forwarded += len(data)
        raise EOFError

    def _receive(self, sock: socket.socket) -> bytes:
        """Receive some bytes, none at the end of the connection."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                return sock.recv(65536)
        raise EOFError
