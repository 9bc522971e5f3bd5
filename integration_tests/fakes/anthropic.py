"""A strict stand-in for Anthropic's API on 127.0.0.1.

``anthropic_rules`` defines valid requests; anything else is refused with the API's own error. The answer depends on the
request, see ``anthropic_answers``, and so does what its cache gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from integration_tests.fakes import anthropic_answers as answers
from integration_tests.fakes.anthropic_rules import RefusedError, check
from integration_tests.support.loopback import Loopback

KEY = "sk-ant-CANARY-fake"
VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ("claude-haiku-4-5", "claude-opus-4-6", "claude-opus-5", "claude-opus-5-5", "claude-sonnet-4-0")
_PAGE = 2  # models; the real one allows 1000
# Words in the user's text → status, type, message, details, headers.
_ERRORS: Mapping[str, tuple[int, str, str, Mapping[str, Any] | None, Mapping[str, str]]] = {
    "be limited": (429, "rate_limit_error", "Too many.", None, {"retry-after": "7"}),
    "be spent": (429, "rate_limit_error", "Spent.", {"error_code": "enforced_spend_limit_reached"}, {}),
    "be poor": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", None, {}),
    "be billed": (402, "billing_error", "There is an issue with your payment.", None, {}),
    "be busy": (529, "overloaded_error", "Overloaded", None, {}),
    "be down": (500, "api_error", "Internal server error", None, {}),
    "be forbidden": (403, "permission_error", "Not for you.", None, {}),
    "be large": (413, "request_too_large", "Request exceeds the maximum size", None, {}),
    "be long": (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", None, {}),
}


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class FakeAnthropic(Loopback):
    """A running server; use as a context manager.

    Attributes:
        requests: All that were accepted, oldest first.
        refused: The API's error messages for the others.
        cached: Prompts, up to a cache point, that were seen before.
    """

    requests: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    cached: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.serve(_Handler, fake=self)

    def usage(self, body: Mapping[str, Any]) -> dict[str, int]:
        """Count a token for each four letters of the prompt: new, read from the cache, or written to it."""
        prompt = json.dumps([body.get("tools", []), body.get("system", []), body["messages"]])
        prefix = prompt[: prompt.rfind('"cache_control"') + 1]
        known = prefix in self.cached
        self.cached |= {prefix} if prefix else set()
        return {
            "input_tokens": (len(prompt) - len(prefix)) // 4,
            "cache_read_input_tokens": len(prefix) // 4 if known else 0,
            "cache_creation_input_tokens": 0 if known else len(prefix) // 4,
        }


class _Handler(BaseHTTPRequestHandler):
    fake: ClassVar[FakeAnthropic]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        if not self._is_accepted():
            return None
        parts = urlsplit(self.path)
        self.fake.requests.append(Received(self.path, self._headers(), {}))
        if parts.path == "/v1/models":
            return self._models(parse_qs(parts.query))
        model = parts.path.removeprefix("/v1/models/")
        if model in MODELS:
            return self._json(200, _model(model))
        return self._refuse(404, "not_found_error", f"model: {model}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._is_accepted():
            return None
        counting = self.path == "/v1/messages/count_tokens"
        if self.path != "/v1/messages" and not counting:
            return self._refuse(404, "not_found_error", "Not Found")
        try:
            check(body, version=self.headers["anthropic-version"], counting=counting)
        except RefusedError as refusal:
            self.fake.refused.append(str(refusal))
            return self._refuse(400, "invalid_request_error", str(refusal))
        self.fake.requests.append(Received(self.path, self._headers(), body))
        if body["model"] not in MODELS:
            return self._refuse(404, "not_found_error", f"model: {body['model']}")
        usage = self.fake.usage(body)
        if counting:
            return self._json(200, {"input_tokens": sum(usage.values())})
        for words, (status, kind, error, details, headers) in _ERRORS.items():
            if words in answers.last_text(body):
                return self._refuse(status, kind, error, details=details, headers=headers)
        message = answers.answer(body, str(len(self.fake.requests)), usage)
        if body.get("stream"):
            return self._stream(message, broken="break off" in answers.last_text(body))
        return self._json(200, message)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _is_accepted(self) -> bool:
        """Return whether the key and the version are right; send an error if not."""
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        if key != KEY:
            self._refuse(401, "authentication_error", "invalid x-api-key")
        elif self.headers.get("anthropic-version") not in VERSIONS:
            self._refuse(400, "invalid_request_error", "anthropic-version: header is required")
        else:
            return True
        return False

    def _models(self, query: Mapping[str, list[str]]) -> None:
        after = query.get("after_id", [""])[0]
        start = MODELS.index(after) + 1 if after else 0
        page = MODELS[start : start + min(_PAGE, int(query.get("limit", ["20"])[0]))]
        more = start + len(page) < len(MODELS)
        data = [_model(name) for name in page]
        self._json(200, {"data": data, "has_more": more, "first_id": page[0], "last_id": page[-1]})

    def _refuse(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        error = {"type": kind, "message": message} | ({"details": details} if details else {})
        self._json(status, {"type": "error", "error": error, "request_id": "req_fake"}, headers)

    def _json(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        payload = json.dumps(body).encode()
        self._head(status, {"content-type": "application/json", "content-length": str(len(payload)), **(headers or {})})
        self.wfile.write(payload)

    def _stream(self, message: dict[str, Any], *, broken: bool) -> None:
        events = answers.events(message, broken=broken)
        text = "".join(f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n" for e in events)
        payload = text.encode()
        self._head(200, {"content-type": "text/event-stream", "content-length": str(len(payload))})
        self.wfile.write(payload)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"request-id": "req_fake", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _model(name: str) -> dict[str, Any]:
    yes, no = {"supported": True}, {"supported": False}
    capabilities = {"image_input": yes, "pdf_input": yes, "structured_outputs": no if name.endswith("4-0") else yes}
    return {
        "type": "model",
        "id": name,
        "display_name": name.title(),
        "created_at": "2025-09-29T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": capabilities,
    }
