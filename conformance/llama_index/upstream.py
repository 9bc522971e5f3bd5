"""A server on 127.0.0.1 with scripted models of OpenAI's chat format, which checks the requests.

Each test has its own model under its own path, so that late requests of one test do not disturb another. A malformed
request gets status 400, as at OpenAI, and is recorded in ``violations``.
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
# The longest time, in seconds, that an answer is held back, so that a blocking LLM does not block the suite.
MAX_WAIT = 3.0


@dataclass
class Upstream:
    """One scripted model.

    Attributes:
        url: Its base URL.
        answers: Its answer to each request, in order; the last one also to all further requests.
        bodies: The parsed requests, without malformed ones.
        times: When each request arrived.
        violations: What was wrong with malformed requests.
        barrier: So many requests must have arrived before any is answered.
        gate: Streams pause after their first chunks until this is set.
        timed_out: Whether a wait for ``barrier`` or ``gate`` timed out.
    """

    url: str
    answers: tuple[Answer, ...]
    bodies: list[ChatBody] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    barrier: threading.Barrier | None = None
    gate: threading.Event | None = None
    timed_out: bool = False

    @property
    def body(self) -> ChatBody:
        """The last request."""
        assert self.bodies, f"no valid request arrived: {self.violations or 'none at all'}"
        return self.bodies[-1]

    def step(self, body: ChatBody) -> Say | Refuse | Break | Hang:
        """Record a request; return what to do with it."""
        answer = self.answers[min(len(self.bodies), len(self.answers) - 1)]
        self.bodies.append(body)
        return answer(body) if callable(answer) else answer

    def wait(self) -> None:
        """Wait until as many requests have arrived as ``barrier`` requires."""
        if self.barrier:
            try:
                self.barrier.wait(MAX_WAIT)
            except threading.BrokenBarrierError:
                self.timed_out = True


class Server:
    """The server, as a context manager. It binds its port at construction."""

    def __init__(self) -> None:
        self._models: dict[str, Upstream] = {}
        self._server = _Threads(("127.0.0.1", 0), type("Bound", (_Handler,), {"models": self._models}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def open(self, *answers: Answer) -> Upstream:
        """Create a model."""
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
def unreachable_server() -> Iterator[str]:
    """Yield an address that refuses connections: bound, but never listening."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/v1"


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect during an answer."""


class _Handler(BaseHTTPRequestHandler):
    models: dict[str, Upstream]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        """Refuse: only chat requests are expected."""
        self._answer()

    def do_POST(self) -> None:
        """Answer a chat request."""
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
        except RequestError as error:
            upstream.violations.append(str(error))
            self._error(400, str(error))
            return
        step = upstream.step(body)
        upstream.wait()
        self._play(upstream, body, step)

    def _read(self, route: str, raw: bytes) -> ChatBody:
        if (self.command, route) != ("POST", "v1/chat/completions"):
            raise RequestError(f"no such route: {self.command} {route}")
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            raise RequestError("wrong key")
        return parse(ChatBody, _without_harmless_deviations(raw))

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
                self._events(chunks(body, step), upstream.gate, upstream)
            case Say():
                self._json(200, completion(body, step))

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        kind = "invalid_request_error" if status < 500 else "server_error"
        self._json(status, {"error": {"message": message, "type": kind, "param": None, "code": None}}, headers)

    def _json(self, status: int, body: JSON, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(raw)), **(headers or {})})
        self.wfile.write(raw)

    def _events(self, events: Iterable[JSON], gate: threading.Event | None, upstream: Upstream) -> None:
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for number, event in enumerate(events):
            if number == 3 and gate and not gate.wait(MAX_WAIT):
                upstream.timed_out = True
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
        for event in broken(body, step) if step.text else ():
            self._event(json.dumps(event))
        if step.manner == "dropped":
            time.sleep(0.05)  # or what was sent is lost with the connection
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if step.manner == "error":
            error = {"message": "The engine crashed.", "type": "server_error", "param": None, "code": None}
            self._event(json.dumps({"error": error}))
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        """Send an event in two parts, cut inside the first multi-byte character if there is one."""
        raw = f"data: {data}\n\n".encode()
        cut = next((index + 1 for index, byte in enumerate(raw) if byte >= 0xC0), len(raw) // 2)
        for piece in (raw[:cut], raw[cut:]):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _without_harmless_deviations(raw: bytes) -> bytes:
    """Remove harmless deviations from the format: an index in a call, and a document without a file name."""
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
