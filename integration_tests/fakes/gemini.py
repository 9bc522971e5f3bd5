"""A strict stand-in for Google's Gemini API on 127.0.0.1.

``gemini_schema`` defines valid requests; anything else is refused with Google's own error. The order of turns and the
signatures of thoughts are checked as Gemini 3 does. Words in the user's last text (``call``, ``both``, ``blocked`` ...)
choose the answer, see ``gemini_answers``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from integration_tests.fakes import gemini_answers as answers
from integration_tests.fakes.gemini_media import Interactions
from integration_tests.fakes.gemini_schema import BODIES, RefusedError, read
from integration_tests.support.loopback import Loopback

KEY = "sk-CANARY-fake-gemini"
_PATH = re.compile(r"/(v1|v1beta)/(models(?:/(?P<model>[\w.\-]+)(?::(?P<method>\w+))?)?)")

_INTERACTIONS = re.compile(r"/v1beta/interactions(?:/(?P<id>[\w.\-]+)(?:\?stream=false)?)?")


@dataclass(frozen=True)
class Received:
    """One request, its body in Google's own spelling: camelCase, and base64 of one alphabet."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class FakeGemini(Loopback):
    """A running server; use as a context manager.

    Attributes:
        requests: All that were accepted, oldest first.
        refused: Why others were not, in Google's words.
    """

    requests: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    interactions: Interactions = field(default_factory=Interactions)

    def __post_init__(self) -> None:
        self.serve(_Handler, fake=self)


class _Handler(BaseHTTPRequestHandler):
    fake: ClassVar[FakeGemini]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _guarded(self, serve: Any) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._check_key()
            serve(raw)
        except RefusedError as refusal:
            self.fake.refused.append(refusal.message)
            self._send(refusal.body(), refusal.status)

    def _check_key(self) -> None:
        if self.headers.get("x-goog-api-key") != KEY:
            raise RefusedError(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")

    def _route(self) -> tuple[str | None, str | None, dict[str, str]]:
        url = urlsplit(self.path)
        match = _PATH.fullmatch(url.path)
        if match is None:
            raise RefusedError(404, "Requested entity was not found.")
        model = match["model"]
        if model is not None and model not in answers.MODELS:
            raise RefusedError(404, f"models/{model} is not found for API version {match[1]}.")
        return model, match["method"], {name: values[0] for name, values in parse_qs(url.query).items()}

    def _interaction(self, raw: bytes) -> bool:
        """Answer a request of the Interactions API; tell whether it is one."""
        match = _INTERACTIONS.fullmatch(self.path)
        if match is None:
            return False
        interactions, identifier = self.fake.interactions, match["id"]
        if self.command == "POST" and identifier is None:
            body, answer = interactions.create(raw)
        elif self.command == "GET" and identifier is not None and not raw:
            body, answer = {}, interactions.get(identifier)
        else:
            raise RefusedError(404, "Requested entity was not found.")
        self.fake.requests.append(Received(self.path, dict(self.headers), body))
        self._send(answer)
        return True

    def _get(self, raw: bytes) -> None:
        if self._interaction(raw):
            return
        model, method, query = self._route()
        if raw or method:
            raise RefusedError(400, "A GET has no body and no method.")
        self.fake.requests.append(Received(self.path, dict(self.headers), {}))
        self._send(answers.model(model) if model else answers.models(query.get("pageToken"), query.get("pageSize")))

    def _post(self, raw: bytes) -> None:
        if self._interaction(raw):
            return
        model, method, query = self._route()
        if model is None or method is None or method not in BODIES:
            raise RefusedError(404, "Requested entity was not found.")
        body = read(method, raw, model)
        self.fake.requests.append(Received(self.path, dict(self.headers), body))
        if method == "streamGenerateContent":
            if query != {"alt": "sse"}:
                raise RefusedError(400, "This server streams events alone.")
            self._stream(answers.stream(body, model))
        else:
            self._send(answers.ANSWERS[method](body, model))

    def _send(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body, indent=2).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: list[dict[str, Any]]) -> None:
        """Write events with CRLF, and an error among them bare, as Google does."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            bare = "error" in event
            text = json.dumps(event, indent=2) + "\n" if bare else f"data: {json.dumps(event)}\r\n\r\n"
            data = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
