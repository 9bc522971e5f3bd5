"""Connections that are socket pairs, on which each response lies before its request is sent: no server, no waiting."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unified_llm._backends.http.deadline_socket import DeadlineSocket
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket, AsyncStream
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket, SyncStream

if TYPE_CHECKING:
    import httpcore
    import pytest


class PrefilledSockets:
    """Replaces the connections of the HTTP backend; each takes the next response, and has none if there are no more."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._responses: list[bytes] = []
        self._peers: list[socket.socket] = []
        made = self

        def connect(sock: SyncDeadlineSocket, *_: object, **__: object) -> httpcore.NetworkStream:
            made.adopt_pair(sock)
            return SyncStream(sock)

        async def aconnect(sock: AsyncDeadlineSocket, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
            made.adopt_pair(sock)
            sock.raw_socket.settimeout(0)
            return AsyncStream(sock)

        patch.setattr(SyncDeadlineSocket, "connect_tcp", connect)
        patch.setattr(AsyncDeadlineSocket, "connect_tcp", aconnect)

    def adopt_pair(self, sock: DeadlineSocket) -> None:
        """Connect a deadline socket to a peer that has sent the next response."""
        own, peer = socket.socketpair()
        self._peers.append(peer)
        if self._responses:
            peer.sendall(self._responses.pop(0))
        sock.adopt(own)

    @contextmanager
    def having(self, responses: Sequence[bytes]) -> Iterator[None]:
        """Set the responses of the next connections; close the peers at the end."""
        self._responses = list(responses)
        try:
            yield
        finally:
            while self._peers:
                self._peers.pop().close()


def whole(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a response with a JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


def events(*data: Any, headers: Mapping[str, str] | None = None, end: bytes = b"") -> bytes:
    """Return a response with a stream of events."""
    lines = ["HTTP/1.1 200 X", "content-type: text/event-stream", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in data) + end
    return "\r\n".join([*lines, "", ""]).encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
