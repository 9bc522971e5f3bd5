"""What an error of Google's APIs means.

Google's errors have a status (``RESOURCE_EXHAUSTED``), an HTTP code, words, and details of known types
(https://cloud.google.com/apis/design/errors). A bad key, a region that is not served and a prompt that is too long
are all 400, so details and words have to be read; what is looked for is listed with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._formats.json_values import is_list, is_object, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse

_LONGEST_DETAIL: Final = 2000
# A day's allowance of one model does not come back within a call; whatever Google says, it is left alone for an hour.
_UNTIL_TOMORROW: Final = 3600.0

# google.rpc.Code, for errors that come without an HTTP status.
_HTTP: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    401: "auth",
    402: "quota",  # discuss.ai.google.dev/t/183654: prepaid credits are used up
    403: "permission",
    407: "connect",  # a proxy of the user's own answered; nothing reached the provider
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    425: "conflict",
    429: "rate_limit",
    499: "server",
}
# For 400, by the words of the message. Sources: ai.google.dev/gemini-api/docs/troubleshooting, and what users report.
_KEY_WORDS: Final = re.compile(r"^api key (not valid|expired|not found)", re.IGNORECASE)
_PLACE_WORDS: Final = re.compile(r"\b(location|country|region|billing)\b", re.IGNORECASE)
_CONTEXT_WORDS: Final = re.compile(r"exceeds the maximum number of tokens allowed", re.IGNORECASE)
_SIZE_WORDS: Final = re.compile(r"payload size exceeds the limit", re.IGNORECASE)
# "Logprobs is not enabled for models/..." and its like; a field that this version of the API does not know.
_UNSUPPORTED_WORDS: Final = re.compile(
    r"is not (enabled|supported|available) (for|by|in)|is unsupported|cannot find field", re.IGNORECASE
)
_PURSE_WORDS: Final = re.compile(r"prepay(ment)? credits are depleted|spend(ing)? cap", re.IGNORECASE)
_MODEL_WORDS: Final = re.compile(r"\bmodels?\b", re.IGNORECASE)
# A file or a cache of another project is 403, which says nothing of the key.
_THING_WORDS: Final = re.compile(r"access the file|cachedcontent", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Said:
    """An error body."""

    message: str = field(default="", repr=False)
    status: str | None = None  # google.rpc.Code
    number: int | None = None
    reasons: frozenset[str] = frozenset()  # ErrorInfo
    quotas: tuple[str, ...] = ()  # QuotaFailure
    retry_after: float | None = None
    structured: bool = False


def read_failure(status: int, body: bytes, _: Target) -> Failure:
    """What a response that is no success says."""
    try:
        said = _read(parse(body))
    except JSONError:
        text = body[: 4 * _LONGEST_DETAIL].decode(errors="replace").strip()
        # A page of HTML says nothing that would help, and a lot of it.
        said = _Said("" if text.startswith("<") else text)
    kind: FailureKind = "redirect" if 300 <= status < 400 else _kind(status, said)
    return _failure(kind, said, status)


def read_error(body: object) -> Failure:
    """What an error at HTTP 200 says: the body of an answer, an event of a stream, or the bare JSON after one."""
    said = _read(body)
    status = said.number or _HTTP.get(said.status or "", 500)
    return _failure(_kind(status, said), said, None)


def is_error(body: object) -> bool:
    """Whether a parsed body is an error, or the list of one error that Google sends in places."""
    first = body[0] if is_list(body) and body else body
    return is_object(first) and bool(first.get("error"))


def _failure(kind: FailureKind, said: _Said, status: int | None) -> Failure:
    names = (_daily(said), said.status, str(said.number) if said.number else None)
    code = next((name for name in names if name and re.fullmatch(r"[\w.\-]{1,80}", name, re.ASCII)), None)
    wait = _UNTIL_TOMORROW if kind == "rate_limit" and _daily(said) else said.retry_after
    return Failure(kind, status=status, code=code, detail=said.message[:_LONGEST_DETAIL] or None, retry_after=wait)


def _kind(status: int, said: _Said) -> FailureKind:
    words = said.message[:_LONGEST_DETAIL]
    if status in {400, 422}:
        return _kind_of_bad_request(said, words)
    if status == 403 and _THING_WORDS.search(words):
        return "bad_request"
    if status == 404:
        return "model_not_found" if said.structured and _MODEL_WORDS.search(words) else "not_found"
    if status == 429 and (_PURSE_WORDS.search(words) or _for_all_models(said)):
        return "quota"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "server" if status >= 500 else "bad_request"


def _kind_of_bad_request(said: _Said, words: str) -> FailureKind:
    if any(reason.startswith("API_KEY_") for reason in said.reasons) or _KEY_WORDS.search(words):
        return "auth"
    if said.status == "FAILED_PRECONDITION" and _PLACE_WORDS.search(words):
        return "permission"  # whatever this key asks for from here, it will not be answered
    if _CONTEXT_WORDS.search(words):
        return "context"
    if _SIZE_WORDS.search(words):
        return "too_large"
    return "unsupported" if _UNSUPPORTED_WORDS.search(words) else "bad_request"


def _daily(said: _Said) -> str | None:
    """The day's allowance that is used up, if it is one: ``GenerateRequestsPerDayPerProjectPerModel-FreeTier``."""
    return next((quota for quota in said.quotas if "perday" in quota.lower().replace("_", "")), None)


def _for_all_models(said: _Said) -> bool:
    """Whether a day's allowance is used up that all models of the key share."""
    daily = _daily(said)
    return daily is not None and "permodel" not in daily.lower().replace("_", "")


def _read(value: object) -> _Said:
    """``{"error": {...}}``, or a list that wraps it."""
    first = value[0] if is_list(value) and value else value
    error = first.get("error") if is_object(first) else None
    if isinstance(error, str):
        return _Said(error, structured=True)
    if not is_object(error):
        return _Said(structured=is_object(first))
    details = error.get("details")
    every = [each for each in details if is_object(each)] if is_list(details) else []
    number = error.get("code")
    return _Said(
        message=text_or_none(error.get("message")) or "",
        status=text_or_none(error.get("status")),
        number=number if type(number) is int and 400 <= number < 600 else None,
        reasons=frozenset(each["reason"] for each in every if isinstance(each.get("reason"), str)),
        quotas=tuple(_quotas(every)),
        retry_after=next((wait for each in every if (wait := _seconds(each.get("retryDelay"))) is not None), None),
        structured=True,
    )


def _quotas(details: list[dict[str, Any]]) -> Iterator[str]:
    for each in details:
        violations = each.get("violations")
        for violation in violations if is_list(violations) else ():
            quota = violation.get("quotaId") if is_object(violation) else None
            if isinstance(quota, str):
                yield quota


def _seconds(delay: object) -> float | None:
    """A ``google.protobuf.Duration``: ``"17s"``, ``"20.04466179s"``."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,9})?)s", delay, re.ASCII) if isinstance(delay, str) else None
    return float(match[1]) if match else None
