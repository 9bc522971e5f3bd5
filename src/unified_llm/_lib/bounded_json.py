"""JSON with bounds, in one place.

``pydantic_core`` parses (it is a dependency already, quick, and reads unfinished JSON). It neither recurses without
limit nor chokes on 5,000-digit integers, both of which the standard library's parser does on hostile input.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

__all__ = ["JSONError", "dump", "finite", "parse", "parse_object", "parse_partial"]


class JSONError(ValueError):
    """The text is not the JSON that was expected. The message never contains the text."""


def parse(text: str | bytes) -> Any:
    """Parse any JSON value; a byte order mark is skipped.

    A number beyond what a float can hold (``1e999``) becomes infinity, as with every parser here: see ``finite``.

    Raises:
        JSONError: It is not JSON.
    """
    if isinstance(text, bytes):
        text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        return from_json(text, allow_inf_nan=False)
    except TypeError:
        raise JSONError("the text holds a lone surrogate, which UTF-8 cannot carry") from None
    except ValueError as problem:
        # The parser's message names the place and what it expected, never the text itself.
        raise JSONError(str(problem)) from None


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        JSONError: It is not JSON, or not an object.
    """
    value = parse(text)
    if not isinstance(value, dict):
        raise JSONError(f"expected a JSON object, got {type(value).__name__}")
    return value


def parse_partial(text: str) -> Any:
    """Parse the beginning of a JSON value, as far as it goes; None where nothing can be told yet."""
    try:
        return from_json(text, allow_partial="trailing-strings", allow_inf_nan=False)
    except (TypeError, ValueError):
        return None


def dump(value: Any) -> str:
    """Write compact JSON, non-ASCII as it is.

    Raises:
        JSONError: A value has no JSON form (NaN, a set, bytes, a cycle, a lone surrogate ...).
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
        text.encode()
    except UnicodeEncodeError:
        raise JSONError("a text holds a lone surrogate, which UTF-8 cannot carry") from None
    except (TypeError, ValueError, RecursionError) as problem:
        raise JSONError(f"a value cannot be written as JSON ({type(problem).__name__})") from None
    return text


def _plain(value: Any) -> Any:
    """Mappings of other kinds than dict are objects too."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def finite(value: Any) -> float | None:
    """The value as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None
