"""What a fake endpoint answers: a body of JSON, text or bytes, the events of a stream, or an error of the API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_KINDS = {
    401: "invalid_request_error",
    403: "permission_error",
    409: "conflict_error",
    429: "requests",
    503: "service_unavailable_error",
}


@dataclass(frozen=True)
class Reply:
    """A response, as the parts in which it is sent; ``is_whole`` says whether its length is known before."""

    parts: tuple[bytes, ...]
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True


class APIError(Exception):
    """A response that is an error, in the shape of OpenAI's."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param = status, param
        self.code = code if code is not None else _CODES.get(status)

    @property
    def body(self) -> JSON:
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def as_json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply((json.dumps(body, ensure_ascii=False).encode(),), status=status, headers=headers or {})


def as_text(text: str) -> Reply:
    return Reply((text.encode(),), "text/plain; charset=utf-8")


def as_bytes(data: bytes, content_type: str, *, chunks: int = 1) -> Reply:
    size = -(-len(data) // chunks)
    parts = tuple(data[start : start + size] for start in range(0, len(data), size))
    return Reply(parts, content_type, is_whole=chunks == 1)


def as_events(events: Iterable[JSON], *, named: bool = False, done: bool = True) -> Reply:
    """Return server-sent events, each in two parts that are cut inside a multi-byte character where there is one."""
    texts = [(event["type"] if named else "", json.dumps(event, ensure_ascii=False)) for event in events]
    parts: list[bytes] = []
    for name, data in (*texts, *([("", "[DONE]")] if done else [])):
        raw = (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()
        cut = next((index + 1 for index, byte in enumerate(raw) if byte >= 0xC0), len(raw) // 2)
        parts += [raw[:cut], raw[cut:]]
    return Reply(tuple(parts), "text/event-stream; charset=utf-8", is_whole=False)
