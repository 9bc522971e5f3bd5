"""Lines of a batch file: OpenAI's format, one request in each and one response in each.

{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": ..., "messages": [...]}}
{"custom_id": "1", "response": {"status_code": 200, "request_id": ..., "body": {...}}, "error": null}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from unified_llm._core.redaction import looks_like_a_key
from unified_llm._lib.bounded_json import scrub
from unified_llm._lib.close_names import closest
from unified_llm.exceptions import LLMError

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
ENDPOINTS: Final = (CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS)

_LONGEST_SHOWN: Final = 64
# What no response of a batch can be.
_REFUSED: Final[Mapping[str, str]] = {
    "stream": "a batch has whole responses: leave out stream",
    "background": "a batch waits for its responses: leave out background",
}


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A request of a batch.

    Attributes:
        number: The number of its line in the file, from 1.
        custom_id: What names it in the output; that of a line without one is made of its number.
        url: The endpoint, one of ``ENDPOINTS``.
        body: The body, as OpenAI's API has it.
        fields: The line or row that it was read from.
        is_row: It is a row with a prompt in a column.
    """

    number: int
    custom_id: str
    url: str
    body: Mapping[str, Any] = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)
    is_row: bool = False


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no request.

    Attributes:
        number: The number of its line in the file, from 1.
        problem: What is wrong with it, and what to do.
        custom_id: What names it in the output.
        fields: The line that was read; None where it could not be.
    """

    number: int
    problem: str
    custom_id: str
    fields: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def message(self) -> str:
        """The problem as a sentence, with the number of the line."""
        return f"Line {self.number}: {self.problem}{'' if self.problem.endswith('?') else '.'}"


Line: TypeAlias = BatchLine | BadLine


def read_line(number: int, fields: object) -> Line:
    """Read a line that was parsed.

    Args:
        number: The number of the line, from 1.
        fields: The JSON value of the line.
    """
    if not isinstance(fields, dict):
        return BadLine(
            number, 'it is no JSON object: {"custom_id": ..., "url": ..., "body": {...}}', default_id(number)
        )
    line = cast("dict[str, Any]", fields)
    custom_id = line.get("custom_id")
    if custom_id is None:
        custom_id = default_id(number)
    if not isinstance(custom_id, str) or not custom_id:
        return BadLine(number, "its custom_id is no text, or an empty one", default_id(number), line)
    problem = _problem(line)
    if problem is not None:
        return BadLine(number, problem, custom_id, line)
    return BatchLine(number, custom_id, line["url"], line["body"], line)


def default_id(number: int) -> str:
    """Return what stands for the ``custom_id`` of a line that has none."""
    return f"line-{number}"


def _problem(line: Mapping[str, Any]) -> str | None:
    url, body = line.get("url"), line.get("body")
    if not isinstance(url, str):
        return f"it names no url, which is one of {', '.join(ENDPOINTS)}"
    if url not in ENDPOINTS:
        near = closest(url, ENDPOINTS)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(ENDPOINTS)}"
        return f"its url {shown(url)} is none of a batch: {hint}"
    if line.get("method", "POST") != "POST":
        return "its method is not POST"
    if not isinstance(body, dict):
        return "it has no body, which is the JSON object of the request"
    request = cast("dict[str, Any]", body)
    extra = request.get("extra_body")
    wanted = {**request, **extra} if isinstance(extra, dict) else request
    return next((reason for name, reason in _REFUSED.items() if wanted.get(name)), None)


def without_nulls(value: Any) -> Any:
    """Return JSON without the fields that are null: an object in a column of Parquet has the fields of all rows."""
    if isinstance(value, dict):
        return {name: without_nulls(child) for name, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def shown(text: str) -> str:
    """Quote a text of a file for a message: cut where it is long, hidden where it may be a key."""
    if looks_like_a_key(text):
        return "(hidden)"
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def error_of(error: LLMError) -> dict[str, Any]:
    """Return what a file says of an error; ``detail`` is the provider's own message, which may quote the request."""
    last = next((made.outcome for made in reversed(error.attempts) if made.outcome not in {"ok", "skipped"}), None)
    fields = {
        "code": last or getattr(error, "code", None) or "invalid_request",
        "message": str(error).replace(".detail holds", "detail holds"),
        "detail": error.detail,
        "status_code": error.status_code,
        "request_id": error.request_id,
    }
    return cast("dict[str, Any]", scrub(fields))  # half of a surrogate pair in a custom_id or a provider's message


def bad_line_error(line: BadLine) -> dict[str, Any]:
    """Return the error of a line that is no request."""
    return {
        "code": "invalid_line", "message": line.message, "status_code": None, "request_id": None,
    }  # fmt: skip
