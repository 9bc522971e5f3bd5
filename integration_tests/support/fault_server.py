"""Server on 127.0.0.1 that fails on purpose: it sends bytes from a script, with one thread for each connection.

    with FaultServer([Send(ok(b'{"text": "hi"}'))], [Reset()]) as server:
        ...  # the first request is answered, every later one is reset
        assert len(server.requests) == 2

Each argument is the script for one request, in the order of their arrival over all connections; the last one is used
for all further requests. A connection stays open after a script unless the script closes it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from types import TracebackType
from typing import Self

from integration_tests.support.waiting import PATIENCE, wait_until

Headers = dict[str, str]


@dataclass(frozen=True)
class Send:
    """Send these bytes; ``every`` is the number of bytes at a time, with ``pause`` seconds after each."""

    data: bytes
    every: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Repeat:
    """Send these bytes repeatedly until the client disconnects (or ``times`` times)."""

    data: bytes
    pause: float = 0.0
    times: int | None = None


@dataclass(frozen=True)
class Sleep:
    """Wait for this time."""

    seconds: float


@dataclass(frozen=True)
class Until:
    """Wait until this is true."""

    condition: Callable[[], bool]


@dataclass(frozen=True)
class Peek:
    """Wait for bytes of the client, and leave them to be read: it has connected, which a pause does not make sure."""


@dataclass(frozen=True)
class Hang:
    """Send nothing until the client disconnects."""


@dataclass(frozen=True)
class Close:
    """Close the connection with a FIN."""


@dataclass(frozen=True)
class Reset:
    """Reset the connection (RST)."""


Step = Send | Repeat | Sleep | Until | Peek | Hang | Close | Reset


@dataclass(frozen=True)
class Request:
    """One request of a client; ``connection`` counts from 0 in the order of acceptance."""

    method: str
    path: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    connection: int


def ok(body: bytes, *headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """A whole response with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def head(*headers: str, status: str = "200 OK", content_type: str = "text/event-stream") -> bytes:
    """The head of a response. Without a length header, the body ends with the connection."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {content_type}", *headers]).encode() + b"\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class _GoneError(Exception):
    """The client has disconnected, or the script has closed the connection."""


class FaultServer:
    """Runs scripts; see the module's docstring.

    Args:
        scripts: Steps for the first request, the second, and so on.
        on_accept: Steps for each connection before it reads a request.
        tls: Speak TLS with this context.
        backlog: The number of connections that may wait to be accepted.
        host: The address to listen on.
    """

    def __init__(
        self,
        *scripts: Sequence[Step],
        on_accept: Sequence[Step] = (),
        tls: ssl.SSLContext | None = None,
        backlog: int = 1024,
        host: str = "127.0.0.1",
    ) -> None:
        self.scripts = list(scripts) or [[Send(ok(b'{"text": "hi"}'))]]
        self.requests: list[Request] = []
        self.accepted = 0
        self._responded = 0
        self._on_accept = on_accept
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=backlog)
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        with self._lock:
            sleeping = [self._listener, *self._open]
        for sock in sleeping:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    @property
    def open(self) -> int:
        """The number of open connections, as seen by the server."""
        with self._lock:
            return len(self._open)

    def settles_at(self, count: int) -> bool:
        """Return whether the number of open connections becomes ``count`` in time."""
        return wait_until(lambda: self.open == count)

    def has_received(self, count: int) -> bool:
        """Return whether ``count`` requests arrive in time."""
        return wait_until(lambda: len(self.requests) >= count)

    def has_responded(self, count: int) -> bool:
        """Return whether the scripts of ``count`` requests end in time."""
        return wait_until(lambda: self._responded >= count)

    def _start(self, target: object, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):  # no connection yet, or the server stops
                sock, _ = self._listener.accept()
                number, self.accepted = self.accepted, self.accepted + 1
                with self._lock:
                    self._open.add(sock)
                self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        plain = sock
        try:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for step in self._on_accept:
                self._run_step(sock, step)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self._requests(sock, number)
        except (_GoneError, OSError):
            pass
        finally:
            sock.close()
            with self._lock:
                self._open.discard(plain)

    def _requests(self, sock: socket.socket, number: int) -> None:
        buffer = bytearray()
        while True:
            request = self._read(sock, buffer, number)
            with self._lock:
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(request)
            for step in script:
                self._run_step(sock, step)
            with self._lock:
                self._responded += 1

    def _read(self, sock: socket.socket, buffer: bytearray, number: int) -> Request:
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            buffer += self._receive(sock)
        first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        del buffer[: end + 4]
        while len(buffer) < length:
            buffer += self._receive(sock)
        body = bytes(buffer[:length])
        del buffer[:length]
        method, path, _ = first.split(" ", 2)
        return Request(method, path, headers, body, number)

    def _hang(self, sock: socket.socket) -> None:
        while True:
            self._receive(sock)

    def _receive(self, sock: socket.socket, flags: int = 0) -> bytes:
        """Receive bytes of the client; check regularly whether the server stops."""
        sock.settimeout(0.05)
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                data = sock.recv(65536, flags)
                if not data:
                    raise _GoneError
                return data
        raise _GoneError

    def _run_step(self, sock: socket.socket, step: Step) -> None:
        match step:
            case Send(data, every, pause):
                self._send_parts(sock, _slices(data, every), pause)
            case Repeat(data, pause, times):
                self._send_parts(sock, repeat(data) if times is None else repeat(data, times), pause)
            case Sleep(seconds):
                self._pause(seconds)
            case Until(condition):
                self._wait_until(condition)
            case Peek():
                self._receive(sock, socket.MSG_PEEK)
            case Hang():
                self._hang(sock)
            case Close():
                raise _GoneError
            case Reset():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise _GoneError

    def _send_parts(self, sock: socket.socket, parts: Iterable[bytes], pause: float) -> None:
        for part in parts:
            self._send(sock, part)
            self._pause(pause)

    def _send(self, sock: socket.socket, data: bytes) -> None:
        if self._stopping.is_set():
            raise _GoneError
        sock.settimeout(PATIENCE)
        sock.sendall(data)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._pause(0.005)

    def _pause(self, seconds: float) -> None:
        if seconds and self._stopping.wait(seconds):
            raise _GoneError


def _slices(data: bytes, every: int) -> Iterator[bytes]:
    if not every:
        yield data
    else:
        for start in range(0, len(data), every):
            yield data[start : start + every]
