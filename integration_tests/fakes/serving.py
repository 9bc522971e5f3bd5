"""Base class of the fake providers: a server on 127.0.0.1 that parses requests and sends the fake's responses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import override

from integration_tests.support.loopback import Loopback


@dataclass(frozen=True)
class Received:
    """One received request; ``path`` is decoded and without its query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: dict[str, Any]


class RefusedError(Exception):
    """A request that the provider would refuse, with the status and body of its response."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


@dataclass
class Fake(Loopback):
    """A running server; use as a context manager.

    Attributes:
        port: Where to listen; 0 is any free port.
        requests: All accepted requests, oldest first.
        refused: The reasons of the refusals.
    """

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.serve(_Handler, self.port, fake=self)

    def answer(self, received: Received) -> Any:
        """Return the JSON of a response, or the parts of a stream as bytes.

        Raises:
            RefusedError: The request is invalid.
        """
        raise NotImplementedError

    @property
    def stream_type(self) -> str:
        """The content type of a stream: server-sent events, unless its API has another."""
        return "text/event-stream"


class _Handler(BaseHTTPRequestHandler):
    fake: ClassVar[Fake]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = _read(raw, headers.get("content-type", "")) if raw else {}
        received = Received(self.command, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)
        try:
            answer = self.fake.answer(received)
        except RefusedError as refused:
            self.fake.refused.append(str(refused))
            self._send(refused.status, refused.body)
            return
        self.fake.requests.append(received)
        if isinstance(answer, list):
            self._stream(answer)
        else:
            self._send(200, answer)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, parts: Sequence[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.fake.stream_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (*parts, b""):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")


def _read(raw: bytes, content_type: str) -> Any:
    """Return the fields of a body: of JSON, or of a form, in which a file has its name and its bytes."""
    if not content_type.startswith("multipart/form-data"):
        return json.loads(raw)
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    fields: dict[str, Any] = {}
    for part in form.walk():
        if not part.is_multipart():
            data, filename = part.get_payload(decode=True), part.get_filename()
            assert isinstance(data, bytes)
            name = part.get_param("name", header="content-disposition")
            fields[str(name)] = data.decode() if filename is None else {"filename": filename, "data": data}
    return fields
