"""Error responses of Google's APIs, and the failure kind of each.

Google's errors have a status (``RESOURCE_EXHAUSTED``), an HTTP code, a message, and details of known types
(https://cloud.google.com/apis/design/errors). A bad key, a region that is not served and a prompt that is too long
are all 400: the details tell them apart, and the message as in ``error_wording``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.outcome import ErrorMeaning, Failure, kind_of_status
from unified_llm._core.provider_words import read_name
from unified_llm._core.target import Target
from unified_llm._formats.error_body import is_page
from unified_llm._formats.error_codes import meaning_of
from unified_llm._formats.error_wording.read_message import Reading, read_message
from unified_llm._formats.json_values import count, is_list, is_object, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse_lenient

_MAX_DETAIL: Final = 2000
# A daily quota of one model does not reset within a call: cooldown of an hour (in seconds), whatever ``retryDelay`` is.
_DAILY_LIMIT_WAIT: Final = 3600.0

# google.rpc.Code, for errors that come without an HTTP status.
_HTTP_STATUS: Final[Mapping[str, int]] = {
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
# The same by number, for the entries of a batch.
_STATUS_NAMES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_MODEL: Final = re.compile(r"\bmodels?\b", re.IGNORECASE)
# A file or a cache of another project is 403, although the key is valid.
_OTHER_PROJECT: Final = re.compile(r"access the file|cachedcontent", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _ErrorBody:
    """A parsed error body."""

    message: str = field(default="", repr=False)
    status: str | None = None  # google.rpc.Code
    number: int | None = None
    reasons: frozenset[str] = frozenset()  # ErrorInfo
    quotas: tuple[str, ...] = ()  # QuotaFailure
    param: str | None = None  # BadRequest
    retry_after: float | None = None
    structured: bool = False


def read_failure(status: int, body: bytes, _: Target) -> Failure:
    """Read the failure from an unsuccessful response."""
    try:
        error = _parse_error(parse_lenient(body))
    except JSONError:
        # An HTML page is long and has nothing useful.
        error = _ErrorBody("" if is_page(body) else body[: 4 * _MAX_DETAIL].decode(errors="replace").strip())
    reading = Reading(ErrorMeaning(kind_of_status(status))) if status < 400 else _classify(status, error)
    return _failure(reading, error, status)


def read_error(body: object) -> Failure:
    """Read the failure from an error at HTTP 200: a response body, an event of a stream, or bare JSON after one."""
    error = _parse_error(body)
    status = error.number or _HTTP_STATUS.get(error.status or "", 500)
    return _failure(_classify(status, error), error, None)


def name_of_status(error: Mapping[str, Any]) -> str:
    """Return the name of an error's status, which has a name, or a number of ``google.rpc.Code``, or neither."""
    number = error.get("code")
    by_number = _STATUS_NAMES[number] if type(number) is int and 0 <= number < len(_STATUS_NAMES) else ""
    return text_or_none(error.get("status")) or by_number


def http_status(error: Mapping[str, Any]) -> int:
    """Return the HTTP status of the error of one entry of a batch."""
    number = count(error.get("code"))
    return number if 400 <= number < 600 else _HTTP_STATUS.get(name_of_status(error), 500)


def is_error(body: object) -> bool:
    """Return whether a parsed body is an error, or the list of one error that some methods send."""
    first = body[0] if is_list(body) and body else body
    return is_object(first) and bool(first.get("error"))


def _failure(reading: Reading, error: _ErrorBody, status: int | None) -> Failure:
    names = (_daily_quota(error), error.status, str(error.number) if error.number else None)
    code = next(filter(None, map(read_name, names)), None)
    meaning = reading.meaning
    return Failure(
        meaning.kind,
        status=status,
        code=code,
        subcode=next((reason for reason in sorted(error.reasons) if reason != code), None),
        param=error.param,
        detail=error.message[:_MAX_DETAIL] or None,
        retry_after=_DAILY_LIMIT_WAIT if meaning.kind == "rate_limit" and _daily_quota(error) else error.retry_after,
        try_again=meaning.try_again,
        reason=meaning.reason,
        advice=meaning.advice,
        about_key=meaning.about_key,
        context_window=reading.context_window if meaning.kind == "context" else None,
    )


def _classify(status: int, error: _ErrorBody) -> Reading:
    for reason in sorted(error.reasons):
        if meaning := _meaning_of_reason(reason, status):
            return Reading(meaning)
    message = error.message[:_MAX_DETAIL]
    if status == 403 and _OTHER_PROJECT.search(message):
        return Reading(ErrorMeaning("bad_request"))
    if reading := read_message(message, status):
        return reading
    if status == 404:
        return Reading(ErrorMeaning("model_not_found" if error.structured and _MODEL.search(message) else "not_found"))
    if status == 429 and _is_shared_daily_quota(error):
        return Reading(ErrorMeaning("quota"))
    return Reading(ErrorMeaning(kind_of_status(status)))


def _meaning_of_reason(reason: str, status: int) -> ErrorMeaning | None:
    if status in {400, 422} and reason.startswith("API_KEY_"):
        return ErrorMeaning("auth")
    return meaning_of(reason.lower(), {})


def _daily_quota(error: _ErrorBody) -> str | None:
    """Return the used-up daily quota, if there is one: ``GenerateRequestsPerDayPerProjectPerModel-FreeTier``."""
    return next((quota for quota in error.quotas if "perday" in quota.lower().replace("_", "")), None)


def _is_shared_daily_quota(error: _ErrorBody) -> bool:
    """Return whether a used-up daily quota is shared by all models of the key."""
    daily = _daily_quota(error)
    return daily is not None and "permodel" not in daily.lower().replace("_", "")


def _parse_error(value: object) -> _ErrorBody:
    """Parse ``{"error": {...}}``, or a list that wraps it."""
    first = value[0] if is_list(value) and value else value
    error = first.get("error") if is_object(first) else None
    if isinstance(error, str):
        return _ErrorBody(error, structured=True)
    if not is_object(error):
        return _ErrorBody(structured=is_object(first))
    details = error.get("details")
    infos = [detail for detail in details if is_object(detail)] if is_list(details) else []
    number = error.get("code")
    return _ErrorBody(
        message=text_or_none(error.get("message")) or "",
        status=text_or_none(error.get("status")),
        number=number if type(number) is int and 400 <= number < 600 else None,
        reasons=frozenset(detail["reason"] for detail in infos if isinstance(detail.get("reason"), str)),
        quotas=tuple(_violations(infos, "violations", "quotaId")),
        param=next(_violations(infos, "fieldViolations", "field"), None),
        retry_after=next((wait for detail in infos if (wait := _seconds(detail.get("retryDelay"))) is not None), None),
        structured=True,
    )


def _violations(details: list[dict[str, Any]], name: str, field_name: str) -> Iterator[str]:
    """Yield a field of each violation that the details list under a name."""
    for detail in details:
        violations = detail.get(name)
        for violation in violations if is_list(violations) else ():
            value = violation.get(field_name) if is_object(violation) else None
            if isinstance(value, str):
                yield value


def _seconds(delay: object) -> float | None:
    """Convert a ``google.protobuf.Duration`` to seconds: ``"17s"``, ``"20.04466179s"``."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,9})?)s", delay, re.ASCII) if isinstance(delay, str) else None
    return float(match[1]) if match else None
