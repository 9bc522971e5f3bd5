"""Error responses of Ollama's server, and the failure kind of each.

An error is a sentence in ``error``, without a code (docs/api/errors.mdx). The HTTP status decides, as in other formats;
the patterns below match the server's own sentences (server/routes.go, server/images.go, llm/llama_server.go) where a
status is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._formats import openai_errors
from unified_llm._formats.json_values import brief, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse_object

_MESSAGE_PATTERNS: Final[tuple[tuple[re.Pattern[str], FailureKind], ...]] = (
    (re.compile(r"does not support|invalid think value", re.IGNORECASE), "unsupported"),
    (re.compile(r"(than|exceeds?) the (\w+ )?(maximum )?context (length|size)", re.IGNORECASE), "context"),
    (re.compile(r"exceeds (the model's )?maximum context", re.IGNORECASE), "context"),
    (re.compile(r"^invalid model name", re.IGNORECASE), "model_not_found"),
)


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """Read the failure from an unsuccessful response, with the fix in its detail where one is known."""
    failure = openai_errors.read_failure(status, body, target)
    message = failure.detail or ""
    if status in {400, 413}:
        return replace(failure, kind=_classify(message) or failure.kind)
    if failure.kind == "model_not_found":
        return replace(failure, detail=f"{message} (ollama pull {target.model})")
    if status == 401 and (url := _signin_url(body)):
        return replace(failure, detail=f"{message} (sign in at {url})")
    return failure


def read_error(line: Mapping[str, Any]) -> Failure:
    """Read the failure from an error at HTTP 200: a line of a stream, or a response body."""
    message = brief(line.get("error"))
    return Failure(_classify(message or "") or "server", detail=message)


def _classify(message: str) -> FailureKind | None:
    return next((kind for pattern, kind in _MESSAGE_PATTERNS if pattern.search(message)), None)


def _signin_url(body: bytes) -> str | None:
    try:
        return text_or_none(parse_object(body).get("signin_url"))
    except JSONError:
        return None
