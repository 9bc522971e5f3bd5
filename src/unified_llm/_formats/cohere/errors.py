"""What an error of Cohere's means: a sentence in ``message``, and no code (docs.cohere.com/reference/errors).

The status decides, read as everywhere. The sentences below are the provider's own, and mend what a status leaves open.
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

# For 400 and 422. To ask for too long an answer is no overflow: what helps is another model, whatever its window.
_REFUSED: Final[tuple[tuple[re.Pattern[str], FailureKind], ...]] = (
    (re.compile(r"^too many tokens: max tokens must", re.IGNORECASE), "unsupported"),
    (re.compile(r"^too many tokens", re.IGNORECASE), "context"),
    # github.com/OpenRouterTeam/openrouter-examples/issues/71
    (re.compile(r"^unknown field: parameter|is not supported|for this model", re.IGNORECASE), "unsupported"),
)
# For 429: what a trial key may do in a month is used up (github.com/diegosouzapw/OmniRoute/pull/12252).
_USED_UP: Final = re.compile(r"calls / month", re.IGNORECASE)
# The request or the answer holds a word of the deny list (InvalidToken in the API's description).
_DENIED: Final = 498


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """What a response that is no success says."""
    failure = openai_errors.read_failure(status, body, target)
    words = failure.detail or ""
    if status == _DENIED:
        return replace(failure, kind="filter")
    if status == 429 and _USED_UP.search(words):
        return replace(failure, kind="quota")
    if status in {400, 422}:
        kinds = (kind for pattern, kind in _REFUSED if pattern.search(words))
        return replace(failure, kind=next(kinds, failure.kind))
    return failure


def read_error(body: Mapping[str, Any]) -> Failure:
    """What an error at HTTP 200 says."""
    return Failure("server", detail=brief(body.get("message")))
