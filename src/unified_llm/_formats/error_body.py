"""Read the fields of an error body, whatever shape it has.

``{"error": {...}}``, ``{"error": "text"}``, flat shapes, FastAPI's ``detail``, MiniMax's ``base_resp``, a list of
one of them, and the error of an upstream provider inside the error of a gateway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.provider_words import read_name
from unified_llm._formats.error_wording.read_message import without_prefixes
from unified_llm._formats.json_values import count, is_list, is_number, is_object
from unified_llm._lib.bounded_json import JSONError, parse_lenient

_LONGEST_TEXT: Final = 8000  # bytes read of a body that is not JSON, characters of one that is inside another
_DEEPEST: Final = 3  # errors inside errors that are read
_DAY_S: Final = 86_400
# LiteLLM's mark of an exception of the provider behind it: litellm.AuthenticationError: OpenAIException - ...
_LITELLM: Final = re.compile(r"(?:[\w.]{1,80}Error: ){0,3}[\w.]{1,80}Exception - ", re.ASCII)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Fields of an error body.

    Attributes:
        message: The message.
        codes: Codes and types as written, the most specific first.
        http_status: A code that is an HTTP status.
        param: The request field that it is about.
        inner_code: The code of Azure's ``innererror``, or Google's reason.
        flagged: It has the reasons of a moderation.
        retry_after: Seconds until the next request, where the body has them.
        context_window: The context window in tokens, where it has a field for it (llama.cpp).
        structured: It was JSON.
        upstream: The error of the provider behind a gateway.
    """

    message: str | None = field(default=None, repr=False)
    codes: tuple[str, ...] = ()
    http_status: int | None = None
    param: str | None = None
    inner_code: str | None = None
    flagged: bool = False
    retry_after: float | None = None
    context_window: int | None = None
    structured: bool = False
    upstream: ErrorBody | None = None

    @property
    def code(self) -> str | None:
        """The most specific code that looks like one, or the HTTP status inside the body."""
        code = next((code for code in self.codes if read_name(code)), None)
        return str(self.http_status) if code is None and self.http_status is not None else code

    @property
    def subcode(self) -> str | None:
        """The code of the inner error, or of the upstream provider, where that is another one."""
        codes = (self.inner_code, *(self.upstream.codes if self.upstream else ()))
        return next((code for code in codes if code and code != self.code and read_name(code)), None)

    @property
    def field_path(self) -> str | None:
        """The field of the request that the error, or that of the upstream provider, is about."""
        return read_name(self.param) or (self.upstream.field_path if self.upstream else None)


def parse_body(body: bytes) -> ErrorBody:
    """Read the body of an error response."""
    try:
        return read_body(parse_lenient(body))
    except JSONError:
        text = body[:_LONGEST_TEXT].decode(errors="replace").strip()
        # A page of HTML is long and contains nothing useful.
        return ErrorBody(message=None if is_page(body) else text or None)


def is_page(body: bytes) -> bool:
    """Return whether a body is a page of HTML (or XML), as proxies and firewalls send."""
    return body[:_LONGEST_TEXT].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def read_body(value: object, depth: int = 0) -> ErrorBody:
    """Read a parsed error body, or an error inside a response or an event."""
    if is_list(value):
        value = value[0] if value else None
    if isinstance(value, str):
        return ErrorBody(message=value, structured=True, upstream=_read_text(value, depth))
    if not is_object(value):
        return ErrorBody()
    fields = _flatten(value)
    statuses = (_http_status(fields.get(name)) for name in ("code", "status", "status_code"))
    metadata = fields.get("metadata")
    message = _read_message(fields)
    return ErrorBody(
        message=message,
        codes=tuple(_read_codes(fields)),
        http_status=next((status for status in statuses if status is not None), None),
        param=_read_param(fields),
        inner_code=_read_inner_code(fields),
        flagged=is_object(metadata) and ("reasons" in metadata or "flagged_input" in metadata),
        retry_after=_read_retry_after(fields),
        context_window=count(fields.get("n_ctx")) or None,
        structured=True,
        upstream=_read_upstream(metadata, message, depth),
    )


def _flatten(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of the error and those beside it."""
    if is_object(base := body.get("base_resp")):  # MiniMax
        return {**body, "code": str(base.get("status_code")), "message": base.get("status_msg")}
    for name in ("error", "detail", "errors", "message"):  # the last three: FastAPI, Cloudflare, Mistral
        inner = body.get(name)
        if is_list(inner) and inner and is_object(inner[0]) and name != "detail":
            inner = inner[0]
        if is_object(inner):
            return {**{key: item for key, item in body.items() if key != name}, **inner}
    return body


def _read_message(fields: Mapping[str, Any]) -> str | None:
    for name in ("message", "error", "detail", "msg", "title"):
        candidate = fields.get(name)
        if is_list(candidate) and candidate:
            candidate = candidate[0]
        if isinstance(candidate, str) and candidate:
            return candidate
        if is_object(candidate):  # pydantic on the server
            return str(candidate.get("msg") or candidate.get("message") or "") or None
    return None


def _read_codes(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield codes and types from every field that may have them, such as Azure's inner error and Google's details."""
    details = fields.get("details")
    if is_object(details) and isinstance(details.get("error_code"), str):  # Anthropic: more precise than its type
        yield details["error_code"]
    layers: list[Any] = [fields, fields.get("innererror"), fields.get("metadata")]  # the last is OpenRouter's
    layers += details if is_list(details) else [details]
    for layer in layers:
        if is_object(layer):
            for name in ("code", "error_code", "reason", "status", "type", "error_type"):
                value = layer.get(name)
                if isinstance(value, str) and value not in {"", "error"} and _http_status(value) is None:
                    yield value


def _read_param(fields: Mapping[str, Any]) -> str | None:
    """Read the request field: ``param``, the path that FastAPI sends as a list (``loc``), or Google's violation."""
    if isinstance(param := fields.get("param"), str):
        return param
    for entry in (fields, *_objects(fields.get("detail")), *_objects(fields.get("details"))):
        if is_list(path := entry.get("loc")):
            return ".".join(str(part) for part in path if part != "body") or None
        for violation in _objects(entry.get("fieldViolations")):
            if isinstance(path := violation.get("field"), str):
                return path
    return None


def _read_inner_code(fields: Mapping[str, Any]) -> str | None:
    """Read the code of Azure's inner error, or Google's reason."""
    entries = (*_objects(fields.get("innererror")), *_objects(fields.get("details")))
    codes = (entry.get(name) for entry in entries for name in ("code", "reason"))
    return next((code for code in codes if isinstance(code, str)), None)


def _objects(value: object) -> list[dict[str, Any]]:
    """Return an object, or those of a list, as a list."""
    return [item for item in (value if is_list(value) else [value]) if is_object(item)]


def _read_upstream(metadata: object, message: str | None, depth: int) -> ErrorBody | None:
    """Read the error of the provider behind a gateway: OpenRouter's ``metadata.raw``, or JSON in the message."""
    raw = metadata.get("raw") if is_object(metadata) else None
    if depth < _DEEPEST and (is_object(raw) or is_list(raw)):
        return read_body(raw, depth + 1)
    if isinstance(raw, str) and raw.strip():
        return _read_text(raw, depth) or ErrorBody(message=raw)
    return _read_text(message, depth) if message else None


def _read_text(text: str, depth: int) -> ErrorBody | None:
    """Read an upstream error inside text: JSON, or what LiteLLM hands on."""
    if depth >= _DEEPEST:
        return None
    for rest in without_prefixes(text[:_LONGEST_TEXT]) if "{" in text else ():
        if rest.startswith(("{", "[{")):
            end = rest.rfind("}" if rest[0] == "{" else "]") + 1
            try:
                return read_body(parse_lenient(rest[:end].encode(errors="replace")), depth + 1)
            except JSONError:
                continue
    behind = _LITELLM.match(text)
    return ErrorBody(message=text[behind.end() :]) if behind else None


def _http_status(value: object) -> int | None:
    """Return a code that is an HTTP status (OpenRouter, vLLM), given as a number or as text; None for other codes."""
    if isinstance(value, str) and re.fullmatch(r"[1-5]\d\d", value, re.ASCII):
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _read_retry_after(fields: Mapping[str, Any]) -> float | None:
    """Read Google's ``RetryInfo`` ("17s") or Hugging Face's ``estimated_time`` of loading a model, in seconds."""
    estimated = fields.get("estimated_time")
    if is_number(estimated) and 0 <= estimated <= _DAY_S:
        return float(estimated)
    details = fields.get("details")
    for detail in details if is_list(details) else ():
        delay = detail.get("retryDelay") if is_object(detail) else None
        if isinstance(delay, str) and (match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,9})?)s", delay, re.ASCII)):
            return float(match[1])
    return None
