"""Servers of the attacks, each in a process of its own, so that neither its work nor its memory is measured.

``hostile`` writes raw bytes from a script, one thread for each connection. ``answering`` answers any number of requests
with whole responses, and counts them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

_RECEIVE: Final = 65536


@dataclass(frozen=True)
class Request:
    """One request of a client."""

    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


def parse(buffer: bytearray) -> Request | None:
    """Take one whole request from the buffer, or None if more bytes are needed."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    if len(buffer) < end + 4 + length:
        return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    return Request(first.split(" ")[1], headers, body)


class Peer:
    """A client that has sent a request, as a script sees it. Sending raises OSError once the client has gone."""

    def __init__(self, sock: socket.socket, request: Request) -> None:
        self.sock, self.request = sock, request

    def send(self, *parts: bytes) -> None:
        """Send bytes."""
        for part in parts:
            self.sock.sendall(part)

    def repeat(self, data: bytes, pause: float = 0.0) -> None:
        """Send the same bytes until the client has gone."""
        if not pause and len(data) < _RECEIVE:
            data *= _RECEIVE // len(data)
        while True:
            self.sock.sendall(data)
            if pause:
                time.sleep(pause)

    def drip(self, data: bytes, pause: float = 0.02) -> None:
        """Send bytes one at a time, then nothing."""
        for index in range(len(data)):
            self.sock.sendall(data[index : index + 1])
            time.sleep(pause)
        self.hang()

    def hang(self) -> None:
        """Send nothing until the client has gone."""
        while self.sock.recv(_RECEIVE):
            pass

    def reset(self) -> None:
        """Reset the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Peer], None]


def head(*headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """Return the head of a response; without a length, its body ends with the connection."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", *(headers or ("Connection: close",))]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def ok(body: bytes, *headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """Return a whole response."""
    return head(f"Content-Length: {len(body)}", *headers, status=status, content_type=content_type) + body


def reply(value: Any, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole response with a value as JSON."""
    return ok(json.dumps(value).encode(), *headers, status=status)


def chat(text: str = "hi", **message: Any) -> dict[str, Any]:
    """Return the body of a chat response."""
    reason = "tool_calls" if "tool_calls" in message else "stop"
    return {"model": "m", "choices": [{"message": {"content": text, **message}, "finish_reason": reason}]}


OK: Final = reply(chat())


@contextmanager
def forked(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve a loopback port in a forked process until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    pid = os.fork()
    if not pid:
        try:
            serve(listener)
        finally:
            os._exit(1)
    port = listener.getsockname()[1]
    listener.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def hostile(script: Script, *, before: bool = False) -> Any:
    """Serve raw bytes; with ``before``, the script runs as soon as a connection is accepted.

    Returns:
        A context manager of the server's URL.
    """

    def serve(listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_play, args=(script, sock, before), daemon=True).start()

    return forked(serve)


def _play(script: Script, sock: socket.socket, before: bool) -> None:  # noqa: FBT001 - an argument of a thread
    """Read one request, unless the script comes before it, and run the script; then close."""
    buffer, request = bytearray(), Request("", {}, b"") if before else None
    with suppress(OSError), sock:
        while request is None:
            data = sock.recv(_RECEIVE)
            if not data:
                return
            buffer += data
            request = parse(buffer)
        script(Peer(sock, request))


Answer = Callable[[Request], bytes | None]
"""A response for a request; None holds the connection open without one."""


class _Protocol(asyncio.Protocol):
    """A connection of ``answering``: parses requests, and answers after the delay."""

    def __init__(self, server: Answering) -> None:
        self._server, self._buffer = server, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.open += 1
        self._server.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open -= 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := parse(self._buffer)) is not None:
            self._server.handle(request, self._transport)


class Answering:
    """A server that answers every request; in a thread of this process, so that its answers can change and be counted.

    Args:
        answer: Makes the response to a request.
        delay: Seconds before each response.
    """

    def __init__(self, answer: Answer | bytes = OK, delay: float = 0.0, listener: socket.socket | None = None) -> None:
        self.answer: Answer | bytes = answer
        self.delay = delay
        self.requests: list[Request] = []
        self.open = self.connections = 0
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        """Serve until the loop is stopped."""
        asyncio.set_event_loop(self._loop)
        server = self._loop.create_server(lambda: _Protocol(self), sock=self._listener, backlog=4096)
        self._loop.run_until_complete(server)
        self._loop.run_forever()

    def handle(self, request: Request, transport: asyncio.Transport) -> None:
        """Record a request and answer it."""
        self.requests.append(request)
        data = self.answer if isinstance(self.answer, bytes) else self.answer(request)
        if data is None:
            return
        if self.delay:
            self._loop.call_later(self.delay, transport.write, data)
        else:
            transport.write(data)
        if b"Connection: close\r\n" in data[:400]:
            transport.close()

    def settled_open(self, most: int = 0, within: float = 2.0) -> int:
        """Return the open connections, once they are no more than ``most`` or the time is over."""
        until = time.monotonic() + within
        while self.open > most and time.monotonic() < until:
            time.sleep(0.01)
        return self.open

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._listener.close()


def answering_apart(answer: Answer | bytes = OK, delay: float = 0.0) -> Any:
    """Serve as ``Answering`` does, in a process of its own.

    Returns:
        A context manager of the server's URL.
    """
    return forked(lambda listener: Answering(answer, delay, listener).serve())
