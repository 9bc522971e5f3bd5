"""Error responses of Ollama's server, and the failure kind of each.

An error is a sentence in ``error``, without a code (docs/api/errors.mdx). It is read as in OpenAI's formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm._formats import openai_errors
from unified_llm._formats.json_values import text_or_none
from unified_llm._lib.bounded_json import JSONError, parse_object

_NOT_SIGNED_IN: Final = "the server is not signed in to ollama.com, which runs this model"
_SIGN_IN: Final = "run: ollama signin"


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Read the failure from an unsuccessful response, with the fix in its detail where one is known."""
    failure = openai_errors.read_failure(status, body, target)
    message = failure.detail or ""
    if failure.kind == "model_not_found" and failure.reason is None:
        return replace(failure, detail=f"{message} (ollama pull {target.model})")
    if status == 401 and (url := _signin_url(body)):
        return replace(failure, reason=_NOT_SIGNED_IN, advice=_SIGN_IN, detail=f"{message} (sign in at {url})")
    return failure


def read_error(line: Mapping[str, Any], target: Target) -> Failure:
    """Read the failure from an error at HTTP 200: a line of a stream, or a response body."""
    return openai_errors.read_error({"error": line.get("error")}, target)


def _signin_url(body: bytes) -> str | None:
    try:
        return text_or_none(parse_object(body).get("signin_url"))
    except JSONError:
        return None
