"""What an error of this format means.

Its shape is near enough to OpenAI's that one reader serves both, as local servers send either. What is Anthropic's own
is added here: a spent budget comes as a bad request, which only its words tell from one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._formats import openai_errors
from unified_llm._formats.json_values import object_or_empty
from unified_llm._lib.bounded_json import JSONError, parse

_CODE: Final = re.compile(r"[a-z0-9_]{1,80}")
# error.details.error_code, from the official SDK's list of error classes.
_BY_CODE: Final[Mapping[str, FailureKind]] = {
    "contract_spend_limit_reached": "quota",
    "enforced_spend_limit_reached": "quota",
    "linked_organization_spend_limit_reached": "quota",
    "linked_organization_billing_unavailable": "quota",
    "organization_on_hold": "quota",
    "request_body_too_large_after_decoding": "too_large",
    "timeout_error": "server",
}
# For a bad request that says no more in its code, in the words of the API itself. The first match counts.
_BY_WORDS: Final[tuple[tuple[str, FailureKind], ...]] = (
    (r"credit balance is too low|api usage limits|spend(ing)? limit", "quota"),
    (r"exceeds? context limit|exceeds? the (model's )?context window", "context"),
    (r"(is|are) not supported (for|by|with|on) th(is|e) model|cannot both be specified", "unsupported"),
    (r"does not support|is deprecated for this", "unsupported"),
)


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """What a response that is no success says."""
    try:
        error = parse(body)
    except JSONError:
        error = None
    return _sharpened(openai_errors.read_failure(status, body, target), error)


def read_error(error: object, target: Target) -> Failure:
    """What an error at HTTP 200 says: the body of an answer or an event of a stream."""
    return _sharpened(openai_errors.read_error(error, target), error)


def _sharpened(failure: Failure, body: object) -> Failure:
    details = object_or_empty(object_or_empty(object_or_empty(body).get("error")).get("details"))
    code = details.get("error_code")
    if isinstance(code, str) and _CODE.fullmatch(code):
        failure = replace(failure, code=code)
    kind = _BY_CODE.get(failure.code or "")
    if kind is None and failure.kind == "bad_request":
        words = failure.detail or ""
        kind = next((kind for pattern, kind in _BY_WORDS if re.search(pattern, words, re.IGNORECASE)), None)
    return failure if kind is None else replace(failure, kind=kind)
