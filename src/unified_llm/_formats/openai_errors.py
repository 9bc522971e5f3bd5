"""Classify errors in OpenAI's shapes: of both of its formats, and of the providers that copied them.

The code decides (``error_codes``), then the message (``error_wording``), then the status. What a gateway hands on from
the provider behind it is read as well, where its own code and message say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from unified_llm._core.outcome import ErrorMeaning, Failure, FailureKind, kind_of_status
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats import error_codes
from unified_llm._formats.error_body import ErrorBody, parse_body, read_body
from unified_llm._formats.error_wording.read_message import WITH_COOLDOWN, Reading, read_message
from unified_llm._formats.json_values import brief
from unified_llm._lib import bounded_json
from unified_llm._lib.bounded_json import JSONError

# Statuses that mean something of their own here.
_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    424: "server",  # text-generation-inference: the model failed
    498: "server",  # Groq: no capacity left in the flex tier
}
_NO_QUIRKS: Final = Quirks()
# For 404 and 410. Not the path "/v1/models", which means that the base URL is wrong.
_MODEL_PATTERN: Final = re.compile(r"(?<![/\w])(models?|deployment)\b", re.IGNORECASE)


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Classify an error response by its status and body."""
    error_body, quirks = parse_body(body), target.quirks
    reading = _read(error_body, status, quirks) if status >= 400 else None
    return _failure(reading or Reading(_by_status(status, error_body, quirks)), error_body, status, quirks)


def read_error(error: object, target: Target) -> Failure:
    """Classify an error at HTTP 200: the body of a response or an event of a stream."""
    error_body, quirks = read_body(error), target.quirks
    status = error_body.http_status
    reading = _read(error_body, status, quirks)
    if reading is None:
        reading = Reading(_by_status(status, error_body, quirks) if status else _at_200(error_body, quirks))
    failure = _failure(reading, error_body, None, quirks)
    return replace(failure, body=_as_text(error))


def _as_text(error: object) -> str | None:
    try:
        return None if error is None else bounded_json.dump(error)
    except JSONError:  # such as NaN, which is accepted in what servers send
        return None


def read_exception(status: int, body: object, code: str | None, message: str) -> Failure | None:
    """Classify the error that an SDK raised for a response; None where code and message say no more than the status.

    Args:
        status: The HTTP status.
        body: The parsed body of the response, or what the SDK kept of it; None where it kept nothing.
        code: The code that the exception has.
        message: The text of the exception.
    """
    error_body = ErrorBody(message=message) if body is None else read_body(body)
    if code is not None:
        error_body = replace(error_body, codes=(code, *error_body.codes))
    reading = _read(error_body, status, _NO_QUIRKS)
    return _failure(reading, error_body, status, _NO_QUIRKS) if reading else None


def _read(error_body: ErrorBody, status: int | None, quirks: Quirks) -> Reading | None:
    """Return what the codes and the message of an error mean; None where they say no more than the status."""
    reading = _read_code(error_body, read_message(error_body.message, status), quirks)
    if reading is None and error_body.flagged and status in {None, 400, 403}:
        reading = Reading(ErrorMeaning("filter"))
    if error_body.upstream is None:
        return reading
    reading = reading or _read(error_body.upstream, status, quirks)
    return replace(reading, meaning=_from_upstream(reading.meaning)) if reading else None


def _read_code(error_body: ErrorBody, by_message: Reading | None, quirks: Quirks) -> Reading | None:
    """Return what the first code that means something means; the reading of the message where there is none."""
    for code in map(str.lower, error_body.codes):
        if meaning := error_codes.meaning_of(code, quirks.codes):
            # The message may be more precise than the code, and name the context window.
            same = by_message is not None and by_message.meaning.kind == meaning.kind
            return by_message if same else Reading(meaning)
    return by_message


def _from_upstream(meaning: ErrorMeaning) -> ErrorMeaning:
    """Return a meaning without a cooldown of the user's key: the upstream provider refused the key of the gateway."""
    return replace(meaning, about_key=False) if meaning.kind in WITH_COOLDOWN else meaning


def _at_200(error_body: ErrorBody, quirks: Quirks) -> ErrorMeaning:
    for code in map(str.lower, error_body.codes):
        if kind := quirks.codes.get(code) or error_codes.AT_200.get(code):
            return ErrorMeaning(kind)
    return ErrorMeaning("server")


def _by_status(status: int, error_body: ErrorBody, quirks: Quirks) -> ErrorMeaning:
    kind = quirks.codes.get(str(status)) if error_body.structured else None
    if kind is None and status == quirks.context_status and error_body.structured:
        kind = "context"
    if kind is None and status in {404, 410}:
        is_model = error_body.param == "model" or _MODEL_PATTERN.search(brief(error_body.message) or "")
        kind = "model_not_found" if error_body.structured and is_model else "not_found"
    kind = kind or _BY_STATUS.get(status) or kind_of_status(status)
    meaning = ErrorMeaning(kind)
    return _from_upstream(meaning) if error_body.upstream else meaning


def _failure(reading: Reading, error_body: ErrorBody, status: int | None, quirks: Quirks) -> Failure:
    meaning, upstream = reading.meaning, error_body.upstream
    window = reading.context_window or error_body.context_window or (upstream.context_window if upstream else None)
    return Failure(
        meaning.kind,
        status=status,
        code=error_body.code,
        subcode=error_body.subcode,
        param=error_body.field_path,
        detail=brief((upstream and upstream.message) or error_body.message),
        retry_after=error_body.retry_after,
        try_again=meaning.try_again,
        reason=meaning.reason,
        advice=meaning.advice,
        about_key=meaning.about_key and not (meaning.kind == "quota" and quirks.has_free_models),
        context_window=window if meaning.kind == "context" else None,
    )
