"""A scripted server of OpenAI's API, whose responses are set in advance and whose requests are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.scripted_server import Connection, Network

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Received:
    """A request that the server received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class OpenAIServer:
    """Answers each request with the next response, over a connection of its own; ``url`` is its address."""

    url = "http://127.0.0.1:9099/v1"

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.network = Network(patch)
        self._connections: list[Connection] = []

    def reply(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer one request with JSON, or with a text as it is."""
        text = body if isinstance(body, str) else json.dumps(body)
        self._reply(text, "application/json", status, headers or {})

    def stream(self, *events: Any, done: bool = True) -> None:
        """Answer one request with server-sent events of JSON."""
        texts = [*map(json.dumps, events), *(["[DONE]"] if done else [])]
        self._reply("".join(f"data: {text}\n\n" for text in texts), "text/event-stream", 200, {})

    def _reply(self, text: str, content_type: str, status: int, headers: Mapping[str, str]) -> None:
        body = text.encode()
        lines = {"content-type": content_type, "content-length": f"{len(body)}", "connection": "close", **headers}
        head = "\r\n".join([f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in lines.items()), "", ""])
        self._connections.append(self.network.add_connection(head.encode() + body))

    @property
    def received(self) -> Sequence[Received]:
        """The requests so far."""
        return [_read(connection.sent) for connection in self._connections if connection.sent]


def _read(sent: bytes) -> Received:
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Received(method, path, headers, json.loads(body) if body else None)
