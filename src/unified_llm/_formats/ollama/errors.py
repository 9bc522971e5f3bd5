"""What an error of Ollama's server means: a sentence in ``error``, and no code (docs/api/errors.mdx).

The status decides, read as everywhere. The sentences below are the server's own (server/routes.go, server/images.go,
llm/llama_server.go), and mend what a status leaves open.
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

_WORDS: Final[tuple[tuple[re.Pattern[str], FailureKind], ...]] = (
    (re.compile(r"does not support|invalid think value", re.IGNORECASE), "unsupported"),
    (re.compile(r"(than|exceeds?) the (\w+ )?(maximum )?context (length|size)", re.IGNORECASE), "context"),
    (re.compile(r"exceeds (the model's )?maximum context", re.IGNORECASE), "context"),
    (re.compile(r"^invalid model name", re.IGNORECASE), "model_not_found"),
)


def read_failure(status: int, body: bytes, target: Target) -> Failure:
    """What a response that is no success says, with what mends it where the server knows."""
    failure = openai_errors.read_failure(status, body, target)
    words = failure.detail or ""
    if status in {400, 413}:
        return replace(failure, kind=_by_words(words) or failure.kind)
    if failure.kind == "model_not_found":
        return replace(failure, detail=f"{words} (ollama pull {target.model})")
    if status == 401 and (address := _signin(body)):
        return replace(failure, detail=f"{words} (sign in at {address})")
    return failure


def read_error(line: Mapping[str, Any]) -> Failure:
    """What an error at HTTP 200 says: a line of a stream, or the body of an answer."""
    words = brief(line.get("error"))
    return Failure(_by_words(words or "") or "server", detail=words)


def _by_words(words: str) -> FailureKind | None:
    return next((kind for pattern, kind in _WORDS if pattern.search(words)), None)


def _signin(body: bytes) -> str | None:
    try:
        return text_or_none(parse_object(body).get("signin_url"))
    except JSONError:
        return None
