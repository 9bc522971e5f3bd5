"""A relay on 127.0.0.1 in front of a real server, which breaks real connections in one chosen way.

    with Relay(llama.port) as relay:
        relay.fault = Cut(after=600)
        ...  # a client of relay.port is cut off after 600 bytes of the server's answer

The protocol is the server's own and only the fault is ours. Each connection keeps the fault that was set when it came;
without one it is passed through. One thread a direction.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Self, TypeAlias


@dataclass(frozen=True)
class Cut:
    """End the connection after so many bytes of the answer: in order, or (``reset``) with an RST."""

    after: int = 0
    reset: bool = False


@dataclass(frozen=True)
class HalfOpen:
    """After so many bytes of the answer, pass nothing on any more and keep the connection open."""

    after: int = 0


@dataclass(frozen=True)
class Drip:
    """Pass the answer on so many bytes at a time, with ``pause`` seconds after each."""

    every: int = 1
    pause: float = 0.0


@dataclass(frozen=True)
class Delay:
    """Hold each piece of the answer back for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class BlackHole:
    """Accept, read the request, and pass nothing on to anybody."""


Fault: TypeAlias = Cut | HalfOpen | Drip | Delay | BlackHole


class Relay:
    """Stands in front of the server at this port; see the module."""

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
        """How many connections of clients are open."""
        return len(self._open)

    def settles_at(self, count: int, within: float = 3.0) -> bool:
        """Whether so many connections of clients are open soon."""
        until = time.monotonic() + within
        while self.open != count and time.monotonic() < until:
            time.sleep(0.005)
        return self.open == count

    def __enter__(self) -> Self:
        self._listener.settimeout(0.05)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
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
        """Pass on in both directions until one side ends, or the fault does."""
        try:
            with client, socket.create_connection(("127.0.0.1", self.upstream)) as server:
                for each in (client, server):
                    each.settimeout(0.05)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not isinstance(fault, BlackHole):
                    gone = threading.Event()
                    self._start(self._up, client, server, gone)
                    self._down(server, client, fault, gone)
                while self._receive(client) and isinstance(fault, (BlackHole, HalfOpen)):
                    pass
        except (OSError, EOFError):
            pass
        finally:
            self._open.discard(client)

    def _up(self, client: socket.socket, server: socket.socket, gone: threading.Event) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := self._receive(client):
                server.sendall(data)
        gone.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # which wakes the other direction

    def _down(self, server: socket.socket, client: socket.socket, fault: Fault | None, gone: threading.Event) -> None:
        passed = 0
        while data := self._receive(server):
            match fault:
                case Cut(after, reset) if passed + len(data) >= after:
                    client.sendall(data[: after - passed])
                    if reset:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    raise EOFError
                case HalfOpen(after) if passed + len(data) >= after:
                    client.sendall(data[: after - passed])
                    return
                case Drip(every, pause):
                    for at in range(0, len(data), every):
                        client.sendall(data[at : at + every])
                        gone.wait(pause)
                case _:
                    gone.wait(fault.seconds if isinstance(fault, Delay) else 0)
                    client.sendall(data)
            passed += len(data)
        raise EOFError

    def _receive(self, sock: socket.socket) -> bytes:
        """Some bytes, or none at the end."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                return sock.recv(65536)
        raise EOFError
