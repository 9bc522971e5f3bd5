"""Error responses of Cohere, and the failure kind of each.

An error is a sentence in ``message``, without a code (docs.cohere.com/reference/errors). The HTTP status decides, as in
other formats; the patterns below match the provider's own sentences where a status is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._formats import openai_errors
from unified_llm._formats.json_values import brief

# For 400 and 422. A too large max_tokens is no context overflow: another model may accept it, whatever its window.
_BAD_REQUEST_PATTERNS: Final[tuple[tuple[re.Pattern[str], FailureKind], ...]] = (
    (re.compile(r"^too many tokens: max tokens must", re.IGNORECASE), "unsupported"),
    (re.compile(r"^too many tokens", re.IGNORECASE), "context"),
    # github.com/OpenRouterTeam/openrouter-examples/issues/71
    (re.compile(r"^unknown field: parameter|is not supported|for this model", re.IGNORECASE), "unsupported"),
)
# For 429: the monthly limit of a trial key is used up (github.com/diegosouzapw/OmniRoute/pull/12252).
_MONTHLY_LIMIT: Final = re.compile(r"calls / month", re.IGNORECASE)
# The request or the answer has a word of the deny list (InvalidToken in the API's description).
_DENY_LIST_STATUS: Final = 498


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Read the failure from an unsuccessful response."""
    failure = openai_errors.read_failure(status, body, target)
    message = failure.detail or ""
    if status == _DENY_LIST_STATUS:
        return replace(failure, kind="filter")
    if status == 429 and _MONTHLY_LIMIT.search(message):
        return replace(failure, kind="quota")
    if status in {400, 422}:
        kinds = (kind for pattern, kind in _BAD_REQUEST_PATTERNS if pattern.search(message))
        return replace(failure, kind=next(kinds, failure.kind))
    return failure


def read_error(body: Mapping[str, Any]) -> Failure:
    """Read the failure from an error at HTTP 200."""
    return Failure("server", detail=brief(body.get("message")))
