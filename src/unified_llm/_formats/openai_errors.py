"""Classify errors in OpenAI's shapes: of both of its formats, and of the providers that copied them.

The code decides, and the status where there is no code. The text of a message decides nothing across providers, since
one writes "insufficient quota" where another means a plain rate limit; the few patterns below are for servers that send
no code, apply to certain statuses only, and match nothing but the error's own message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.outcome import Failure, FailureKind, kind_of_status
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.json_values import brief, is_list, is_number, is_object
from unified_llm._lib.bounded_json import JSONError, parse_lenient

_LONGEST_TEXT: Final = 8000  # bytes read of a body that is not JSON
_DAY_S: Final = 86_400

# Codes and types, in lower case, that take precedence over the status. Sources: the OpenAI SDK's error reference,
# Azure's content filter (learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter), llama.cpp's server,
# Mistral, Groq.
_BY_CODE: Final[Mapping[str, FailureKind]] = {
    "context_length_exceeded": "context",
    "exceed_context_size_error": "context",
    "content_filter": "filter",
    "content_policy_violation": "filter",
    "responsibleaipolicyviolation": "filter",
    "moderation_blocked": "filter",
    "invalid_prompt": "filter",
    "bio_policy": "filter",
    "misalignment_policy_violation": "filter",
    "image_content_policy_violation": "filter",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "billing_error": "quota",
    "credit_balance_exhausted": "quota",
    "organization_usage_limit_exceeded": "quota",
    "enforced_spend_limit_reached": "quota",
    "invalid_api_key": "auth",
    "api_key_invalid": "auth",
    "authentication_error": "auth",
    "invalid_authentication_error": "auth",
    "model_not_found": "model_not_found",
    "model_decommissioned": "model_not_found",
    "invalid_model": "model_not_found",
    "deploymentnotfound": "model_not_found",
    "model_not_supported": "model_not_found",  # Hugging Face: by none of the providers that the user selected
    "unsupported_parameter": "unsupported",
    "unsupported_value": "unsupported",
    "unknown_parameter": "unsupported",
    "not_supported_error": "unsupported",
    "operationnotsupported": "unsupported",  # Azure: the model behind the deployment does something else
}
# Codes that are no more specific than a status: used where there is no status, in a body or an event at HTTP 200.
_BY_CODE_AT_200: Final[Mapping[str, FailureKind]] = {
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "slow_down": "rate_limit",
    "too_many_requests": "rate_limit",
    "resource_exhausted": "rate_limit",
    "permission_error": "permission",
    "permission_denied": "permission",
    "request_too_large": "too_large",
    "not_found_error": "model_not_found",
    "invalid_argument": "bad_request",
    "invalid_request_error": "bad_request",
    "badrequesterror": "bad_request",
    # Hugging Face's error_type
    "overloaded": "rate_limit",
    "validation": "bad_request",
    # OpenAI's codes for an image in a failed response.
    "invalid_image": "bad_request",
    "invalid_image_format": "bad_request",
    "invalid_base64_image": "bad_request",
    "invalid_image_url": "bad_request",
    "invalid_image_mode": "bad_request",
    "image_too_large": "bad_request",
    "image_too_small": "bad_request",
    "image_parse_error": "bad_request",
    "image_file_too_large": "bad_request",
    "unsupported_image_media_type": "bad_request",
    "empty_image_file": "bad_request",
    "failed_to_download_image": "bad_request",
    "image_file_not_found": "bad_request",
}
# Statuses that mean something of their own here.
_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    424: "server",  # text-generation-inference: the model failed
    498: "server",  # Groq: no capacity left in the flex tier
}
# For 400, 413, 422 and a row's context_status. vLLM, Anthropic, Gemini, Mistral, xAI, TGI, Together,
# Moonshot and LiteLLM write these.
_CONTEXT_PATTERN: Final = re.compile(
    r"maximum (context|prompt) length|prompt is too long|exceeds? the (available )?(context|maximum number of tokens)"
    r"|tokens \+ `?max_new_tokens`? must be|exceeded model token limit|\bContextWindowExceededError\b",
    re.IGNORECASE,
)
# For 400 and 422. OpenAI and Groq write the first, pydantic on the server the second.
_UNSUPPORTED_PATTERN: Final = re.compile(
    r"^(unsupported parameter|unrecognized request argument|property '[^']*' is unsupported)"
    r"|extra inputs are not permitted",
    re.IGNORECASE,
)
# For 400. xAI and Gemini reject a key that way.
_KEY_PATTERN: Final = re.compile(r"^(incorrect api key|invalid api key|api key not valid)", re.IGNORECASE)
# For 403 and 412. Fireworks, of an account without credit.
_SUSPENDED_PATTERN: Final = re.compile(r"\baccount\b.{0,80}\bis suspended\b", re.IGNORECASE)
# For 400. LiteLLM, of a content filter of its upstream provider, and of an unknown model.
_LITELLM_FILTER_PATTERN: Final = re.compile(r"\bContentPolicyViolationError\b")
_LITELLM_MODEL_PATTERN: Final = re.compile(r"\bInvalid model name passed in model=")
# For 404 and 410. Not the path "/v1/models", which means that the base URL is wrong.
_MODEL_PATTERN: Final = re.compile(r"(?<![/\w])(models?|deployment)\b", re.IGNORECASE)
# For a row's filter_status.
_FILTER_PATTERN: Final = re.compile(r"moderation|flagged", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _ErrorBody:
    """Fields of an error body, independent of its shape."""

    message: str | None = field(default=None, repr=False)
    codes: tuple[str, ...] = ()  # codes and types as written, the most specific first
    http_status: int | None = None  # a code that is an HTTP status
    param: str | None = None
    flagged: bool = False  # it contains the reasons of a moderation
    retry_after: float | None = None
    structured: bool = False  # it was JSON


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Classify an error response by its status and body."""
    error_body = _parse_body(body)
    kind = kind_of_status(status) if status < 400 else _kind_for_status(status, error_body, target.quirks)
    return _failure(kind, error_body, status)


def read_error(error: object, target: Target) -> Failure:
    """Classify an error at HTTP 200: the body of a response or an event of a stream."""
    error_body = _read_error_body(error)
    if error_body.http_status is not None:
        return _failure(_kind_for_status(error_body.http_status, error_body, target.quirks), error_body, None)
    return _failure(_kind_by_code(error_body, target.quirks) or _kind_at_200(error_body), error_body, None)


def _kind_at_200(error_body: _ErrorBody) -> FailureKind:
    for code in map(str.lower, error_body.codes):
        if code in _BY_CODE_AT_200:
            return _BY_CODE_AT_200[code]
    return "server"


def _failure(kind: FailureKind, error_body: _ErrorBody, status: int | None) -> Failure:
    code = next((code for code in error_body.codes if re.fullmatch(r"[\w.\-:/ ]{1,80}", code, re.ASCII)), None)
    if code is None and error_body.http_status is not None:
        code = str(error_body.http_status)
    return Failure(kind, status=status, code=code, detail=brief(error_body.message), retry_after=error_body.retry_after)


def _kind_for_status(status: int, error_body: _ErrorBody, quirks: Quirks) -> FailureKind:
    message = brief(error_body.message) or ""
    by_code = _kind_by_code(error_body, quirks)
    if by_code is not None:
        return by_code
    if status in {403, 412} and _SUSPENDED_PATTERN.search(message):
        return "quota"
    by_status = quirks.codes.get(str(status)) if error_body.structured else None
    if by_status is not None:
        return by_status
    if status == quirks.context_status or (status in {400, 413, 422} and _CONTEXT_PATTERN.search(message)):
        return "context"
    if status == quirks.filter_status and (error_body.flagged or _FILTER_PATTERN.search(message)):
        return "filter"
    if status in {400, 422}:
        return _kind_of_bad_request(message)
    if status in {404, 410}:
        is_model = error_body.structured and (error_body.param == "model" or _MODEL_PATTERN.search(message))
        return "model_not_found" if is_model else "not_found"
    return _BY_STATUS.get(status) or kind_of_status(status)


def _kind_of_bad_request(message: str) -> FailureKind:
    if _UNSUPPORTED_PATTERN.search(message):
        return "unsupported"
    if _LITELLM_FILTER_PATTERN.search(message):
        return "filter"
    if _LITELLM_MODEL_PATTERN.search(message):
        return "model_not_found"
    return "auth" if _KEY_PATTERN.search(message) else "bad_request"


def _kind_by_code(error_body: _ErrorBody, quirks: Quirks) -> FailureKind | None:
    provider_codes = quirks.codes
    for code in map(str.lower, error_body.codes):
        if code in provider_codes:
            return provider_codes[code]
        if code in _BY_CODE:
            return _BY_CODE[code]
        if code.endswith("_spend_limit_exceeded"):
            return "quota"
    return None


def _parse_body(body: bytes) -> _ErrorBody:
    try:
        error_body = _read_error_body(parse_lenient(body))
    except JSONError:
        text = body[:_LONGEST_TEXT].decode(errors="replace").strip()
        # A page of HTML is long and contains nothing useful.
        return _ErrorBody(message=None if text.startswith("<") else text or None)
    return error_body


def _read_error_body(value: object) -> _ErrorBody:
    """Read ``{"error": {...}}``, ``{"error": "text"}``, the flat shapes, and a list that wraps one of them."""
    if is_list(value):
        value = value[0] if value else None
    if isinstance(value, str):
        return _ErrorBody(message=value, structured=True)
    if not is_object(value):
        return _ErrorBody()
    inner = value.get("error")
    fields: Mapping[str, Any] = value
    if is_object(base := value.get("base_resp")):  # MiniMax
        fields = {**value, "code": str(base.get("status_code")), "message": base.get("status_msg")}
    elif is_object(inner):
        fields = {**{name: item for name, item in value.items() if name != "error"}, **inner}
    statuses = (_http_status(fields.get(name)) for name in ("code", "status", "status_code"))
    metadata = fields.get("metadata")
    return _ErrorBody(
        message=_read_message(fields, inner),
        codes=tuple(_read_codes(fields)),
        http_status=next((status for status in statuses if status is not None), None),
        param=fields["param"] if isinstance(fields.get("param"), str) else None,
        flagged=is_object(metadata) and ("reasons" in metadata or "flagged_input" in metadata),
        retry_after=_read_retry_after(fields),
        structured=True,
    )


def _read_message(fields: Mapping[str, Any], inner: object) -> str | None:
    for candidate in (fields.get("message"), inner, fields.get("detail"), fields.get("msg")):
        if isinstance(candidate, str) and candidate:
            return candidate
        if is_list(candidate) and candidate and is_object(candidate[0]):  # pydantic on the server
            return str(candidate[0].get("msg") or "") or None
    return None


def _read_codes(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield codes and types from every field that may have them, such as Azure's inner error and Google's details."""
    details = fields.get("details")
    layers: list[Any] = [fields, fields.get("innererror"), fields.get("metadata")]  # the last is OpenRouter's
    layers += details if is_list(details) else [details]
    for layer in layers:
        if is_object(layer):
            for name in ("code", "error_code", "reason", "status", "type", "error_type"):
                value = layer.get(name)
                if isinstance(value, str) and value not in {"", "error"} and _http_status(value) is None:
                    yield value


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
