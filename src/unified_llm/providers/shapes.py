"""Asking what shape a piece of parsed JSON has, in a way that type checkers understand."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

from unified_llm.jsonx import JSONError, dump

_LONGEST: Final = 2000


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a JSON number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def object_or_empty(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if is_object(value) else {}


def text_or_none(value: object) -> str | None:
    """The value if it is a text that says something."""
    return value if isinstance(value, str) and value else None


def brief(words: object) -> str | None:
    """A provider's own words about a failure, as much of them as anybody reads."""
    text = text_or_none(words)
    return text[:_LONGEST] if text else None


def json_text(value: object) -> str:
    """A value that should be JSON in a text, as that text: some servers send the value itself."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else dump(value)
    except JSONError:  # such as an integer of 5,000 digits; a text that is no JSON is reported as the model's mistake
        return "(unreadable)"
