"""Error responses of Anthropic's format, and the failure kind of each.

The shape is close enough to OpenAI's that one reader serves both, and local servers send either. This module adds what
is specific to Anthropic: a used-up budget arrives as a bad request, and only the message tells the two apart.
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
from unified_llm._lib.bounded_json import JSONError, parse_lenient

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
# For a bad request without a more specific code: patterns of the API's own messages. The first match counts.
_MESSAGE_PATTERNS: Final[tuple[tuple[str, FailureKind], ...]] = (
    (r"credit balance is too low|api usage limits|spend(ing)? limit", "quota"),
    (r"exceeds? context limit|exceeds? the (model's )?context window", "context"),
    (r"(is|are) not supported (for|by|with|on) th(is|e) model|cannot both be specified", "unsupported"),
    (r"does not support|is deprecated for this", "unsupported"),
)


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Read the failure from an unsuccessful response."""
    try:
        error = parse_lenient(body)
    except JSONError:
        error = None
    return _refine(openai_errors.read_failure(status, body, target), error)


def read_error(error: object, target: Target) -> Failure:
    """Read the failure from an error at HTTP 200: a response body or an event of a stream."""
    return _refine(openai_errors.read_error(error, target), error)


def _refine(failure: Failure, body: object) -> Failure:
    details = object_or_empty(object_or_empty(object_or_empty(body).get("error")).get("details"))
    code = details.get("error_code")
    if isinstance(code, str) and _CODE.fullmatch(code):
        failure = replace(failure, code=code)
    kind = _BY_CODE.get(failure.code or "")
    if kind is None and failure.kind == "bad_request":
        message = failure.detail or ""
        kind = next((kind for pattern, kind in _MESSAGE_PATTERNS if re.search(pattern, message, re.IGNORECASE)), None)
    return failure if kind is None else replace(failure, kind=kind)
