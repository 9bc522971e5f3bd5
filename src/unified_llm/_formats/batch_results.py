"""Results of batches: lines of JSON, in any order, one for each entry that was answered or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from unified_llm._core.batch_service import BatchResult
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.json_values import count, is_object, object_or_empty, text_or_none
from unified_llm._lib.bounded_json import JSONError, parse_lenient

# What a result says of an entry that was not answered, by the words of the providers.
_WORDS: Final = {"batch_expired": "expired", "batch_cancelled": "cancelled", "canceled": "cancelled"}
_MAX_STRUCTURE: Final = 32_000_000  # of a line: 5,000 vectors of 3,072 numbers are 15 million
_NO_CODE: Final = "no_response"


def read_lines(body: object, read: Callable[[dict[str, Any]], BatchResult | None]) -> Done | Failure:
    """Read a file of results: a tuple of ``BatchResult``.

    A line that cannot be read is left out: its entry counts as one without a result.

    Args:
        body: The bytes of the file.
        read: Reads a line; None where it names no entry.
    """
    if not isinstance(body, bytes):
        return Failure("malformed")
    return Done(tuple(result for line in _parsed(body) if (result := read(line)) is not None))


def _parsed(body: bytes) -> Iterator[dict[str, Any]]:
    begin = 0
    while begin < len(body):
        end = body.find(b"\n", begin)
        end = len(body) if end < 0 else end
        line = body[begin:end].strip()
        begin = end + 1
        if not line:
            continue
        try:
            value = parse_lenient(line, max_structure=_MAX_STRUCTURE)
        except JSONError:
            continue
        if is_object(value):
            yield value


def read_openai_line(line: dict[str, Any]) -> BatchResult | None:
    """Read a line as OpenAI and Mistral write it: ``custom_id``, and ``response`` or ``error``."""
    identifier = text_or_none(line.get("custom_id"))
    if identifier is None:
        return None
    response = line.get("response")
    if is_object(response) and (status := count(response.get("status_code"))):
        return BatchResult(
            identifier, status, response.get("body"), request_id=text_or_none(response.get("request_id"))
        )
    error = line.get("error")
    code = text_or_none(object_or_empty(error).get("code"))
    return BatchResult(identifier, body=error, unanswered=unanswered_word(code))


def unanswered_word(code: str | None) -> str:
    """Return why an entry was not answered, by the code that its provider gives."""
    return _WORDS.get(code or "", code or _NO_CODE)


def read_time(text: object) -> float | None:
    """Read an RFC 3339 timestamp as seconds since the epoch."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError, OSError):
        return None
