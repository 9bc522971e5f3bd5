"""A server on 127.0.0.1 that plays scripted models of OpenAI's chat format, and checks what they are sent.

Each test has a model of its own under a path of its own, so that what comes late from one test disturbs no other. A
request that breaks the format gets a 400, as at OpenAI, and is remembered in ``violations``.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from typing_extensions import override

from conformance.llama_index.script import JSON, Answer, Break, Hang, Refuse, Say, broken, chunks, completion
from integration_tests.support.upstream_schema import ChatBody, RequestError, parse

KEY = "sk-CONFORMANCE-0123456789abcdef"
# Seconds that a held answer is held at most: an LLM that never lets go of it must not hold up the suite.
PATIENCE = 3.0


@dataclass
class Upstream:
    """One scripted model.

    Attributes:
        url: Its base URL.
        answers: What it does with each request, in order; the last holds for all further ones.
        bodies: What it was asked, as parsed; broken requests are not among them.
        times: When each request arrived.
        violations: What was wrong with requests, in words.
        together: So many requests must be waiting before any is answered.
        hold: Streams stop after their first words until this is set.
        apart: Whether a wait for others, or for ``hold``, was in vain.
    """

    url: str
    answers: tuple[Answer, ...]
    bodies: list[ChatBody] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    together: threading.Barrier | None = None
    hold: threading.Event | None = None
    apart: bool = False

    @property
    def body(self) -> ChatBody:
        """The last request."""
        assert self.bodies, f"nothing that could be understood was asked: {self.violations or 'no request came'}"
        return self.bodies[-1]

    def step(self, body: ChatBody) -> Say | Refuse | Break | Hang:
        """Take in a request; what to do with it."""
        answer = self.answers[min(len(self.bodies), len(self.answers) - 1)]
        self.bodies.append(body)
        return answer(body) if callable(answer) else answer

    def wait(self) -> None:
        """Wait until as many requests are there as should be."""
        if self.together:
            try:
                self.together.wait(PATIENCE)
            except threading.BrokenBarrierError:
                self.apart = True


class Server:
    """The server; use as a context manager."""

    def __init__(self) -> None:
        """Bind a port."""
        self._models: dict[str, Upstream] = {}
        self._server = _Threads(("127.0.0.1", 0), type("Bound", (_Handler,), {"models": self._models}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def open(self, *answers: Answer) -> Upstream:
        """A new model."""
        name = str(len(self._models))
        upstream = Upstream(f"http://127.0.0.1:{self._server.server_port}/{name}/v1", answers)
        self._models[name] = upstream
        return upstream

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """The address of a server that is not there: bound and never listening, so that whoever comes is refused."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/v1"


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle of an answer is no news."""


class _Handler(BaseHTTPRequestHandler):
    models: dict[str, Upstream]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        """There is nothing to get: an LLM has no business here but to chat."""
        self._answer()

    def do_POST(self) -> None:
        """Chat."""
        self._answer()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name, _, route = self.path.removeprefix("/").partition("/")
        upstream = self.models[name]
        upstream.times.append(time.monotonic())
        try:
            body = self._read(route, raw)
        except RequestError as problem:
            upstream.violations.append(str(problem))
            self._error(400, str(problem))
            return
        step = upstream.step(body)
        upstream.wait()
        self._play(upstream, body, step)

    def _read(self, route: str, raw: bytes) -> ChatBody:
        if (self.command, route) != ("POST", "v1/chat/completions"):
            raise RequestError(f"no such route: {self.command} {route}")
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            raise RequestError("the key is another than was given")
        return parse(ChatBody, _forgiving(raw))

    def _play(self, upstream: Upstream, body: ChatBody, step: Say | Refuse | Break | Hang) -> None:
        match step:
            case Refuse(status, headers):
                self._error(status, "The scripted model refuses.", headers)
            case Hang(seconds):
                time.sleep(seconds)
                self.close_connection = True
            case Break():
                self._break(body, step)
            case Say() if body.stream:
                self._events(chunks(body, step), upstream.hold, upstream)
            case Say():
                self._json(200, completion(body, step))

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        kind = "invalid_request_error" if status < 500 else "server_error"
        self._json(status, {"error": {"message": message, "type": kind, "param": None, "code": None}}, headers)

    def _json(self, status: int, body: JSON, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(raw)), **(headers or {})})
        self.wfile.write(raw)

    def _events(self, events: Iterable[JSON], hold: threading.Event | None, upstream: Upstream) -> None:
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for number, event in enumerate(events):
            if number == 3 and hold and not hold.wait(PATIENCE):
                upstream.apart = True
            self._event(json.dumps(event, ensure_ascii=False))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _break(self, body: ChatBody, step: Break) -> None:
        self.close_connection = True
        if not body.stream:  # half of a body
            self._head(200, {"Content-Type": "application/json", "Content-Length": "500"})
            self.wfile.write(b'{"id": "chatcmpl-scripted", "choices": [')
            return
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for event in broken(body, step) if step.said else ():
            self._event(json.dumps(event))
        if step.manner == "dropped":
            time.sleep(0.05)  # or what was sent is lost with the connection
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if step.manner == "told":
            error = {"message": "The engine fell over.", "type": "server_error", "param": None, "code": None}
            self._event(json.dumps({"error": error}))
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        """In two pieces, the cut inside the first character of several bytes if there is one."""
        raw = f"data: {data}\n\n".encode()
        cut = next((index + 1 for index, byte in enumerate(raw) if byte >= 0xC0), len(raw) // 2)
        for piece in (raw[:cut], raw[cut:]):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _forgiving(raw: bytes) -> bytes:
    """Let pass what is no part of the format, but harmless: an index in a call, and a document without a file name."""
    if b'"index"' not in raw and b'"file_data"' not in raw:
        return raw
    body = json.loads(raw)
    for message in body.get("messages", ()):
        for call in message.get("tool_calls") or ():
            call.pop("index", None)
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "file":
                part["file"].setdefault("filename", "unnamed.pdf")
    return json.dumps(body).encode()
