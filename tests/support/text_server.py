"""A scripted server in OpenAI's format that answers with texts, whole or streamed, as each request asks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.scripted_server import Connection, Network

if TYPE_CHECKING:
    import pytest


def _head(content_type: str, body: bytes) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"content-type: {content_type}", f"content-length: {len(body)}", "connection: close")
    return "\r\n".join((*lines, "", "")).encode() + body


def whole(text: str) -> bytes:
    """Return a whole response."""
    body = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return _head("application/json", json.dumps(body).encode())


def streamed(text: str, size: int = 3) -> bytes:
    """Return a stream of this text in chunks of ``size`` characters."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    choices = [{"index": 0, "delta": {"content": piece}} for piece in pieces]
    events = [{"choices": [choice]} for choice in (*choices, {"index": 0, "delta": {}, "finish_reason": "stop"})]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return _head("text/event-stream", body.encode())


class TextServer:
    """Answers the requests in order with these texts; ``url`` is its address."""

    url = "http://127.0.0.1:9099"

    def __init__(self, patch: pytest.MonkeyPatch, *texts: str, stream: bool = False) -> None:
        network = Network(patch)
        self._connections = [network.add_connection((streamed if stream else whole)(text)) for text in texts]

    @property
    def requests(self) -> list[Any]:
        """The bodies of the requests so far."""
        return [_body(connection) for connection in self._connections if connection.sent]


def _body(connection: Connection) -> Any:
    return json.loads(connection.sent.partition(b"\r\n\r\n")[2])
