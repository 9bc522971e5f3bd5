"""OpenAI's API on 127.0.0.1, every endpoint that ``openai_style`` offers, which validates each request.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service. What the types do not
have is a 400 that names the field, and is kept in ``violations``. The part of the path before ``/v1`` names a host:
``/second/v1/models`` is asked of another one, which ``faults`` can break. Addresses
of Azure (``/openai/deployments/NAME/chat/completions?api-version=...``) are read as well.
"""

from __future__ import annotations

import copy
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from typing_extensions import override

from integration_tests.fakes.openai_api import audio, batches, chat, files, images, responses, texts, videos
from integration_tests.fakes.openai_api.replies import APIError, Reply, as_json
from integration_tests.fakes.openai_api.requests import Received, read_request
from integration_tests.fakes.openai_api.store import Store
from integration_tests.support.loopback import Loopback

KEY = "sk-CANARY-openai-api"
TOKEN = "eyJDQU5BUlk.YXp1cmU.dG9rZW4"  # of Entra ID
Endpoint = Callable[[Store, Received], Reply]
ROUTES: Mapping[str, Endpoint] = {
    **chat.ROUTES,
    **texts.ROUTES,
    **images.ROUTES,
    **audio.ROUTES,
    **videos.ROUTES,
    **files.ROUTES,
    **batches.ROUTES,
    **responses.ROUTES,
}
_ROUTES = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route)), route) for route in ROUTES]
_STATUS = re.compile(r"/status/(?P<status>\d{3})")
_MESSAGES = {
    400: "Invalid value for 'temperature'.",
    429: "Rate limit reached for requests.",
    500: "The server had an error while processing your request.",
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a host.

    Attributes:
        status: Answers every valid request with this status.
        headers: Sent with every response.
        delay: Seconds before each response.
        cut_after: Bytes of a body after which the connection is closed.
        event: Replaces the second half of a stream's events.
        times: After so many requests all is well; None is never.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int | None = None
    event: str | None = None
    times: int | None = None


SOUND = Fault()


@dataclass
class OpenAIAPI(Loopback):
    """A running server; use as a context manager.

    ``/status/429/v1`` answers everything with a 429; ``faults`` says by prefix what is wrong with other hosts.
    """

    faults: dict[str, Fault] = field(default_factory=dict)
    store: Store = field(default_factory=Store)
    requests: list[Received] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.serve(_Handler, api=self)

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    def reset(self) -> None:
        """Restore the state after the start."""
        self.store = Store()
        for kept in (self.faults, self.requests, self.violations):
            kept.clear()

    def fault(self, received: Received) -> Fault:
        fault = self.faults.get(received.prefix, SOUND)
        earlier = sum(request.prefix == received.prefix for request in self.requests) - 1
        if fault.times is not None and earlier >= fault.times:
            return SOUND
        found = _STATUS.fullmatch(received.prefix)
        return replace(fault, status=int(found["status"])) if found else fault

    def answer(self, received: Received) -> Reply:
        """Return the response to a request, or raise APIError."""
        _check_key(received)
        endpoint = _endpoint(received)
        fault = self.fault(received)
        # A request that fails is checked as any other, and changes nothing.
        reply = endpoint(self.store if fault.status is None else copy.deepcopy(self.store), received)
        time.sleep(fault.delay)
        if fault.status is not None:
            message = _MESSAGES.get(fault.status, f"This server answers {fault.status}.")
            param = "temperature" if fault.status == 400 else None
            raise APIError(fault.status, message, param=param, code="invalid_value" if fault.status == 400 else None)
        if fault.event is not None and not reply.is_whole:
            return replace(reply, parts=(*reply.parts[: len(reply.parts) // 4 * 2], fault.event.encode()))
        return reply


def _check_key(received: Received) -> None:
    """Require the key of the service, or at Azure its ``api-key`` or a token, and the version of the API."""
    azure = {("authorization", f"Bearer {TOKEN}"), ("api-key", KEY)}
    accepted = azure if received.is_azure else {("authorization", f"Bearer {KEY}")}
    if not accepted & received.headers.items():
        raise APIError(401, "Incorrect API key provided.")
    if received.is_azure and "api-version" not in dict(received.query):
        raise APIError(404, "Resource not found: api-version is missing.")


def _endpoint(received: Received) -> Endpoint:
    wanted = f"{received.method} {received.path}"
    for pattern, route in _ROUTES:
        if pattern.fullmatch(wanted):
            return ROUTES[route]
    raise APIError(404, f"Invalid URL ({received.method} /v1/{received.path})")


class _Handler(BaseHTTPRequestHandler):
    api: ClassVar[OpenAIAPI]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30  # seconds for which an idle connection stays open

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        raw = self._read()
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = SOUND
        try:
            received = read_request(self.command, self.path, headers, raw)
            self.api.requests.append(received)
            fault = self.api.fault(received)
            self._check_headers(received)
            reply = self.api.answer(received)
        except APIError as error:
            if error.status in {400, 415} and fault.status != error.status:
                self.api.violations.append(f"{self.command} {self.path}: {error}")
            reply = as_json(error.body, error.status)
        self._send(reply, fault)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _check_headers(self, received: Received) -> None:
        for name in ("host", "authorization", "content-type", "content-length", "user-agent", "accept"):
            if len(self.headers.get_all(name, [])) > 1:
                raise APIError(400, f"{name} was sent twice")
        kind = received.headers.get("content-type", "")
        if received.raw and not received.is_form and kind != "application/json":
            raise APIError(415, f"Unsupported content type: {kind!r}")
        if received.method in {"GET", "DELETE"} and received.raw:
            raise APIError(400, f"a {received.method} has no body")

    def _send(self, reply: Reply, fault: Fault) -> None:
        headers: dict[str, Any] = {"Content-Type": reply.content_type, "x-request-id": f"req_{len(self.api.requests)}"}
        length = sum(map(len, reply.parts))
        headers |= {"Content-Length": length} if reply.is_whole else {"Transfer-Encoding": "chunked"}
        self.send_response(reply.status)
        for name, value in (*headers.items(), *reply.headers.items(), *fault.headers.items()):
            self.send_header(name, str(value))
        self.end_headers()
        left = length + 1 if fault.cut_after is None else fault.cut_after
        for part in reply.parts:
            self._write(part[:left], is_whole=reply.is_whole)
            left -= len(part)
            if left <= 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
        if not reply.is_whole:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, part: bytes, *, is_whole: bool) -> None:
        if part:
            self.wfile.write(part if is_whole else b"%x\r\n%b\r\n" % (len(part), part))
