"""Scripted server of OpenAI's API on 127.0.0.1, which validates every request.

It replaces a provider in the integration tests: an invalid request gets a 400 and is recorded in ``violations``, which
the tests assert to be empty. It accepts any path prefix (``/second/v1/...``).
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from typing_extensions import override

from integration_tests.support import upstream_answers as answers
from integration_tests.support.loopback import Loopback
from integration_tests.support.upstream_schema import ChatBody, EmbeddingBody, RequestError, parse

KEY = "sk-CANARY-scripted-upstream"
MODELS = ("scripted-large", "scripted-small", "scripted-embedding")
_PATH = re.compile(r"(?P<prefix>(/[\w.-]+)*)/v1/(?P<route>chat/completions|embeddings|models)")
_KINDS = {429: "rate_limit_error", 503: "service_unavailable_error"}


@dataclass(frozen=True)
class Received:
    """One received request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class Upstream(Loopback):
    """A running server; use as a context manager.

    Attributes:
        status: Answer every valid request with this error status; None for proper responses.
        headers: Sent with every response (``Retry-After`` ...).
        delay: Seconds to wait before each response.
        held_from: Requests from this number on, counted from 1, get no response until it is None again.
        refused: Answer chats whose last message contains this text with a 400.
        models: The models that it serves; any other model is a 404.
        requests: All received requests, oldest first.
        violations: Descriptions of what was invalid.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    held_from: int | None = None
    refused: str | None = None
    models: tuple[str, ...] = MODELS
    requests: list[Received] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.serve(_Handler, upstream=self)
        self.identifiers = (f"{number:06d}" for number in itertools.count(1))

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    def count(self, route: str = "") -> int:
        """The number of requests to paths that end in ``route``."""
        return sum(request.path.endswith(route) for request in self.requests)

    def reset(self) -> None:
        """Restore the state after the start."""
        self.status, self.headers, self.delay, self.refused, self.models = None, {}, 0.0, None, MODELS
        self.held_from = None
        self.requests.clear()
        self.violations.clear()


class _AnswerError(Exception):
    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    upstream: ClassVar[Upstream]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30  # seconds for which an idle connection stays open

    def do_GET(self) -> None:
        self._serve({"models": self._models})

    def do_POST(self) -> None:
        self._serve({"chat/completions": self._chat, "embeddings": self._embeddings})

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self, routes: Mapping[str, Callable[[bytes], None]]) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._record(raw)
        try:
            self._check_headers(raw)
            self._route(routes)(raw)
        except RequestError as error:
            self.upstream.violations.append(str(error))
            self._send_error(_AnswerError(400, str(error)))
        except _AnswerError as failure:
            self._send_error(failure)

    def _route(self, routes: Mapping[str, Callable[[bytes], None]]) -> Callable[[bytes], None]:
        match = _PATH.fullmatch(self.path)
        if not match or match["route"] not in routes:
            raise RequestError(f"no such route: {self.command} {self.path}")
        return routes[match["route"]]

    def _record(self, raw: bytes) -> None:
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = {}
        received = Received(self.command, self.path, dict(self.headers.items()), body)
        self.upstream.requests.append(received)
        self._number = len(self.upstream.requests)

    def _check_headers(self, raw: bytes) -> None:
        once = ("host", "authorization", "content-type", "content-length", "user-agent", "accept")
        for name in once:
            if len(self.headers.get_all(name, [])) > 1:
                raise RequestError(f"{name} was sent twice")
        if self.command == "POST" and self.headers.get("Content-Type") != "application/json":
            raise RequestError(f"content-type is {self.headers.get('Content-Type')}, not application/json")
        if self.command == "GET" and raw:
            raise RequestError("a GET has no body")
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            raise _AnswerError(401, "Incorrect API key provided.", "invalid_api_key")

    def _proceed(self, model: str | None = None) -> None:
        """Wait while held and for ``delay``, then fail if ``status`` is set or the model is unknown."""
        while self.upstream.held_from is not None and self._number >= self.upstream.held_from:
            time.sleep(0.005)
        time.sleep(self.upstream.delay)
        if self.upstream.status is not None:
            raise _AnswerError(self.upstream.status, "The engine is currently overloaded, please try again later.")
        if model is not None and model not in self.upstream.models:
            raise _AnswerError(404, f"The model `{model}` does not exist.", "model_not_found")

    def _models(self, raw: bytes) -> None:
        self._proceed()
        common = {"object": "model", "created": 1_760_000_000, "owned_by": "tests"}
        self._send_json(200, {"object": "list", "data": [{"id": model} | common for model in self.upstream.models]})

    def _embeddings(self, raw: bytes) -> None:
        body = parse(EmbeddingBody, raw)
        self._proceed(body.model)
        self._send_json(200, answers.embeddings(body))

    def _chat(self, raw: bytes) -> None:
        body = parse(ChatBody, raw)
        self._proceed(body.model)
        if self.upstream.refused is not None and self.upstream.refused in f"{body.messages[-1].content}":
            raise _AnswerError(400, f"No: {body.messages[-1].content}", "invalid_value")
        answer, identifier = answers.answer(body), next(self.upstream.identifiers)
        if body.stream:
            self._send_events(answers.chunks(body, answer, identifier))
        else:
            self._send_json(200, answers.completion(body, answer, identifier))

    def _send_error(self, failure: _AnswerError) -> None:
        kind = _KINDS.get(failure.status, "invalid_request_error" if failure.status < 500 else "server_error")
        error = {"message": str(failure), "type": kind, "param": None, "code": failure.code}
        self._send_json(failure.status, {"error": error})

    def _send_json(self, status: int, body: Mapping[str, Any]) -> None:
        raw = json.dumps(body, ensure_ascii=False).encode()
        self._start(status, "application/json", {"Content-Length": str(len(raw))})
        self.wfile.write(raw)

    def _send_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._start(200, "text/event-stream; charset=utf-8", {"Transfer-Encoding": "chunked"})
        for event in events:
            self._send_event(json.dumps(event, ensure_ascii=False))
        self._send_event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send_event(self, data: str) -> None:
        """Send an event in two parts, split inside the first multi-byte character if there is one."""
        raw = f"data: {data}\n\n".encode()
        cut = next((index + 1 for index, byte in enumerate(raw) if byte >= 0xC0), len(raw) // 2)
        for part in (raw[:cut], raw[cut:]):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))

    def _start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("x-request-id", f"req_{len(self.upstream.requests)}")
        for name, value in (*headers.items(), *self.upstream.headers.items()):
            self.send_header(name, value)
        self.end_headers()
