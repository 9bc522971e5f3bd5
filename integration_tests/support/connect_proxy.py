"""An HTTP proxy on loopback: tunnels (CONNECT), plain requests, and Basic authentication."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class ConnectProxy:
    """Connects whoever asks, whatever the host is called, to that port of 127.0.0.1.

    Args:
        login: ``user:password``; None where anybody may use it.
        tls: Speak TLS with this context.

    Attributes:
        seen: The first line of each request.
        port: Where it listens.
        address: Host and port.
    """

    def __init__(self, login: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[str] = []
        self._login = f"Basic {b64encode(login.encode()).decode()}" if login else None
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with ExitStack() as opened, suppress(OSError):
            opened.callback(lambda: sock.close())  # noqa: PLW0108 - TLS puts another one in its place
            self._open.append(sock)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            client = _Client(sock)
            server: socket.socket | None = None
            while (lines := client.read_head()) is not None:
                self.seen.append(lines[0])
                if self._login and f"proxy-authorization: {self._login}".lower() not in map(str.lower, lines):
                    client.read_body(lines)
                    sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                    continue
                method, target, _ = lines[0].split(" ")
                url = urlsplit(target if "://" in target else f"//{target}")
                if server is None:
                    server = opened.enter_context(socket.create_connection(("127.0.0.1", url.port or 80), 5))
                    self._open.append(server)
                    self._start(_copy, server, sock)
                if method == "CONNECT":
                    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    _copy(sock, server)
                    return
                kept = [line for line in lines[1:] if not line.lower().startswith("proxy-")]
                head = "\r\n".join([f"{method} {url.path} HTTP/1.1", *kept, "", ""])
                server.sendall(head.encode("latin-1") + client.read_body(lines))


class _Client:
    """A connection of a client, and what it has sent that was not read yet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._unread = sock, b""

    def read_head(self) -> list[str] | None:
        """Return the lines of the next request's head; None at the end of the connection."""
        while b"\r\n\r\n" not in self._unread:
            if not (received := self._sock.recv(65536)):
                return None
            self._unread += received
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n")

    def read_body(self, head: list[str]) -> bytes:
        """Return the body that belongs to a head."""
        size = next((int(line.partition(":")[2]) for line in head if line.lower().startswith("content-length:")), 0)
        while len(self._unread) < size and (received := self._sock.recv(65536)):
            self._unread += received
        body, self._unread = self._unread[:size], self._unread[size:]
        return body


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
