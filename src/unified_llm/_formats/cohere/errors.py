"""Error responses of Cohere, and the failure kind of each.

An error is a sentence in ``message``, without a code (docs.cohere.com/reference/errors). It is read as in OpenAI's
formats; one status means something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm._formats import openai_errors

# The request or the answer has a word of the deny list (InvalidToken in the API's description).
_DENY_LIST_STATUS: Final = 498


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Read the failure from an unsuccessful response."""
    failure = openai_errors.read_failure(status, body, target)
    return replace(failure, kind="filter") if status == _DENY_LIST_STATUS else failure


def read_error(body: Mapping[str, Any], target: Target) -> Failure:
    """Read the failure from an error at HTTP 200."""
    return openai_errors.read_error({"message": body.get("message")}, target)


def read_broken_off(failure: Failure, error: object, target: Target) -> Failure:
    """Return the failure of a response that ended with an error, by its message where that says what went wrong.

    Args:
        failure: The failure by the reason to end.
        error: The message, from ``error`` in the response or in the delta of ``message-end``.
        target: The target.
    """
    by_message = openai_errors.read_error({"message": error}, target)
    return failure if by_message.kind == "server" else replace(by_message, code=failure.code)
