"""A server in OpenAI's format, without a network, that accepts certain keys and notes which ones were sent."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.support.scripted_server import Connection, Network

if TYPE_CHECKING:
    import pytest

_REQUEST = re.compile(rb"\w+ (\S+) HTTP/1.1\r\n(.*?)\r\n\r\n(.*)", re.DOTALL)
_KEY_HEADERS = ("authorization", "api-key", "x-goog-api-key", "x-api-key")
_CHOICE = {"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
_CHUNKS = [
    {"choices": [{"index": 0, "delta": {"content": "Hi."}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
]


class KeyServer:
    """Answers every request whose key it accepts, and refuses the others with 401, which repeats the key.

    Attributes:
        accepted: The keys that it accepts.
        sent: The header of the key and its value, of each request.
    """

    url = "http://127.0.0.1:9199/v1"

    def __init__(self, patch: pytest.MonkeyPatch, *accepted: str) -> None:
        self.accepted = {*accepted}
        self.sent: list[tuple[str, str]] = []
        self.in_stream = False  # refuse within a stream whose head said 200
        network = Network(patch)
        network.connections = [_Answering(network, self) for _ in range(40)]

    @property
    def keys(self) -> list[str]:
        """The keys that were sent."""
        return [value.removeprefix("Bearer ") for _, value in self.sent]

    def answer(self, path: str, headers: dict[str, str], body: Any) -> bytes:
        """Return the response to one request."""
        name = next((name for name in _KEY_HEADERS if name in headers), "")
        self.sent.append((name, headers.get(name, "")))
        streamed = bool(body.get("stream"))
        if (key := self.keys[-1]) not in self.accepted:
            error = {"error": {"message": f"Incorrect API key: {key}", "code": "invalid_api_key"}}
            if self.in_stream and streamed:
                return _response(200, f"data: {json.dumps(error)}\n\n", "text/event-stream")
            return _response(401, json.dumps(error))
        if streamed:
            events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in _CHUNKS)
            return _response(200, f"{events}data: [DONE]\n\n", "text/event-stream")
        return _response(200, json.dumps(_content(path, body)))


def _content(path: str, body: Any) -> Any:
    if path.endswith("/embeddings"):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        return {"data": [{"index": index, "embedding": [0.1, 0.2]} for index in range(len(texts))]}
    if path.endswith("/rerank"):
        return {"results": [{"index": index, "relevance_score": 0.5} for index in range(len(body["documents"]))]}
    return {"data": [{"id": "m"}]} if path.endswith("/models") else {"choices": [_CHOICE]}


def _response(status: int, text: str, kind: str = "application/json") -> bytes:
    lines = (f"HTTP/1.1 {status} It", f"content-type: {kind}", f"content-length: {len(text)}", "connection: close")
    return "\r\n".join((*lines, "", text)).encode()


class _Answering(Connection):
    """A connection whose answer depends on the request."""

    def __init__(self, network: Network, server: KeyServer) -> None:
        super().__init__(network.clock, ())
        self._server = server

    def write(self, data: bytes) -> None:
        super().write(data)
        request = _REQUEST.fullmatch(self.sent)
        if request is None or self.script:
            return
        lines = request[2].decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if len(request[3]) == int(headers.get("content-length", "0")):
            self.script.append(self._server.answer(request[1].decode(), headers, json.loads(request[3] or b"{}")))
