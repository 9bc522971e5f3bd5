"""What an error in OpenAI's shapes means, whichever of its formats the request had, and whoever copied the shape.

Codes decide, and the status where there is no code. Words decide nothing across providers, since one writes
"insufficient quota" where another means a plain rate limit; the few patterns below are for servers that send no code,
hold for one status each, and read nothing but the error's own message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.json_values import brief, is_list, is_number, is_object
from unified_llm._lib.bounded_json import JSONError, parse

_READ: Final = 8000  # bytes of a body that is no JSON
_A_DAY: Final = 86_400

# Codes and types, in lower case, that outweigh the status. Sources: the OpenAI SDK's error reference, Azure's content
# filter (learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter), llama.cpp's server, Mistral, Groq.
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
    "model_not_supported": "model_not_found",  # Hugging Face: by none of those that the user chose
    "unsupported_parameter": "unsupported",
    "unsupported_value": "unsupported",
    "unknown_parameter": "unsupported",
    "not_supported_error": "unsupported",
    "operationnotsupported": "unsupported",  # Azure: the model behind the deployment does something else
}
# Codes that say no more than a status would: they count where there is no status, in a body or an event at HTTP 200.
_IN_BAND: Final[Mapping[str, FailureKind]] = {
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
    # What a response of OpenAI's that failed says of an image.
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
_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    401: "auth",
    402: "quota",
    403: "permission",
    407: "connect",  # a proxy of the user's own answered; nothing reached the provider
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    424: "server",  # text-generation-inference: the model failed
    425: "conflict",
    429: "rate_limit",
    451: "permission",
    498: "server",  # Groq: no capacity left in the flex tier
    499: "server",
}
# For 400, 413, 422 and a row's context_status. vLLM, Anthropic, Gemini, Mistral, xAI, TGI, Together,
# Moonshot and LiteLLM write these.
_CONTEXT_WORDS: Final = re.compile(
    r"maximum (context|prompt) length|prompt is too long|exceeds? the (available )?(context|maximum number of tokens)"
    r"|tokens \+ `?max_new_tokens`? must be|exceeded model token limit|\bContextWindowExceededError\b",
    re.IGNORECASE,
)
# For 400 and 422. OpenAI and Groq write the first, pydantic on the server the second.
_UNSUPPORTED_WORDS: Final = re.compile(
    r"^(unsupported parameter|unrecognized request argument|property '[^']*' is unsupported)"
    r"|extra inputs are not permitted",
    re.IGNORECASE,
)
# For 400. xAI and Gemini refuse a key that way.
_KEY_WORDS: Final = re.compile(r"^(incorrect api key|invalid api key|api key not valid)", re.IGNORECASE)
# For 403 and 412. Fireworks says so of an account without credit.
_SUSPENDED_WORDS: Final = re.compile(r"\baccount\b.{0,80}\bis suspended\b", re.IGNORECASE)
# For 400. LiteLLM says so of a filter that it met behind itself, and of a model that it does not know.
_FILTERED_WORDS: Final = re.compile(r"\bContentPolicyViolationError\b")
_UNKNOWN_MODEL_WORDS: Final = re.compile(r"\bInvalid model name passed in model=")
# For 404 and 410. Not the path "/v1/models", which says that the base URL is wrong.
_MODEL_WORDS: Final = re.compile(r"(?<![/\w])(models?|deployment)\b", re.IGNORECASE)
# For a row's filter_status.
_FILTER_WORDS: Final = re.compile(r"moderation|flagged", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Said:
    """An error body, whatever its shape."""

    message: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()  # codes and types as written, the most telling first
    number: int | None = None  # a code that is an HTTP status
    param: str | None = None
    flagged: bool = False  # it carries the reasons of a moderation
    retry_after: float | None = None
    structured: bool = False  # it was JSON


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """What a response that is no success says."""
    said = _read_bytes(body)
    kind: FailureKind = "redirect" if 300 <= status < 400 else _kind(status, said, target.quirks)
    return _failure(kind, said, status)


def read_error(error: object, target: Target) -> Failure:
    """What an error at HTTP 200 says: the body of an answer or an event of a stream."""
    said = _read(error)
    if said.number is not None:
        return _failure(_kind(said.number, said, target.quirks), said, None)
    return _failure(_by_code(said, target.quirks) or _in_band(said), said, None)


def _in_band(said: _Said) -> FailureKind:
    for name in map(str.lower, said.names):
        if name in _IN_BAND:
            return _IN_BAND[name]
    return "server"


def _failure(kind: FailureKind, said: _Said, status: int | None) -> Failure:
    code = next((name for name in said.names if re.fullmatch(r"[\w.\-:/ ]{1,80}", name, re.ASCII)), None)
    if code is None and said.number is not None:
        code = str(said.number)
    return Failure(kind, status=status, code=code, detail=brief(said.message), retry_after=said.retry_after)


def _kind(status: int, said: _Said, quirks: Quirks) -> FailureKind:
    words = brief(said.message) or ""
    by_code = _by_code(said, quirks)
    if by_code is not None:
        return by_code
    if status in {403, 412} and _SUSPENDED_WORDS.search(words):
        return "quota"
    own = quirks.codes.get(str(status)) if said.structured else None
    if own is not None:
        return own
    if status == quirks.context_status or (status in {400, 413, 422} and _CONTEXT_WORDS.search(words)):
        return "context"
    if status == quirks.filter_status and (said.flagged or _FILTER_WORDS.search(words)):
        return "filter"
    if status in {400, 422}:
        return _kind_of_bad_request(words)
    if status in {404, 410}:
        is_model = said.structured and (said.param == "model" or _MODEL_WORDS.search(words))
        return "model_not_found" if is_model else "not_found"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "server" if status >= 500 else "bad_request"


def _kind_of_bad_request(words: str) -> FailureKind:
    if _UNSUPPORTED_WORDS.search(words):
        return "unsupported"
    if _FILTERED_WORDS.search(words):
        return "filter"
    if _UNKNOWN_MODEL_WORDS.search(words):
        return "model_not_found"
    return "auth" if _KEY_WORDS.search(words) else "bad_request"


def _by_code(said: _Said, quirks: Quirks) -> FailureKind | None:
    own = quirks.codes
    for name in map(str.lower, said.names):
        if name in own:
            return own[name]
        if name in _BY_CODE:
            return _BY_CODE[name]
        if name.endswith("_spend_limit_exceeded"):
            return "quota"
    return None


def _read_bytes(body: bytes) -> _Said:
    try:
        said = _read(parse(body))
    except JSONError:
        text = body[:_READ].decode(errors="replace").strip()
        # A page of HTML says nothing that would help, and a lot of it.
        return _Said(message=None if text.startswith("<") else text or None)
    return said


def _read(value: object) -> _Said:
    """``{"error": {...}}``, ``{"error": "text"}``, the flat shapes, and a list that wraps one of them."""
    if is_list(value):
        value = value[0] if value else None
    if isinstance(value, str):
        return _Said(message=value, structured=True)
    if not is_object(value):
        return _Said()
    inner = value.get("error")
    outer: Mapping[str, Any] = value
    if is_object(base := value.get("base_resp")):  # MiniMax
        outer = {**value, "code": str(base.get("status_code")), "message": base.get("status_msg")}
    elif is_object(inner):
        outer = {**{name: each for name, each in value.items() if name != "error"}, **inner}
    numbers = (_status(outer.get(name)) for name in ("code", "status", "status_code"))
    metadata = outer.get("metadata")
    return _Said(
        message=_message(outer, inner),
        names=tuple(_names(outer)),
        number=next((number for number in numbers if number is not None), None),
        param=outer["param"] if isinstance(outer.get("param"), str) else None,
        flagged=is_object(metadata) and ("reasons" in metadata or "flagged_input" in metadata),
        retry_after=_retry_after(outer),
        structured=True,
    )


def _message(outer: Mapping[str, Any], inner: object) -> str | None:
    for candidate in (outer.get("message"), inner, outer.get("detail"), outer.get("msg")):
        if isinstance(candidate, str) and candidate:
            return candidate
        if is_list(candidate) and candidate and is_object(candidate[0]):  # pydantic on the server
            return str(candidate[0].get("msg") or "") or None
    return None


def _names(outer: Mapping[str, Any]) -> Iterator[str]:
    """Codes and types, wherever providers put them: Azure's inner error, Google's and Anthropic's details ..."""
    details = outer.get("details")
    places: list[Any] = [outer, outer.get("innererror"), outer.get("metadata")]  # the last is OpenRouter's
    places += details if is_list(details) else [details]
    for place in places:
        if is_object(place):
            for name in ("code", "error_code", "reason", "status", "type", "error_type"):
                value = place.get(name)
                if isinstance(value, str) and value not in {"", "error"} and _status(value) is None:
                    yield value


def _status(value: object) -> int | None:
    """A code that is really an HTTP status (OpenRouter, vLLM), as a number or as text."""
    if isinstance(value, str) and re.fullmatch(r"[1-5]\d\d", value, re.ASCII):
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _retry_after(outer: Mapping[str, Any]) -> float | None:
    """Google's ``RetryInfo`` ("17s"), or Hugging Face's ``estimated_time`` while a model is being loaded."""
    estimated = outer.get("estimated_time")
    if is_number(estimated) and 0 <= estimated <= _A_DAY:
        return float(estimated)
    details = outer.get("details")
    for each in details if is_list(details) else ():
        delay = each.get("retryDelay") if is_object(each) else None
        if isinstance(delay, str) and (match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,9})?)s", delay, re.ASCII)):
            return float(match[1])
    return None
