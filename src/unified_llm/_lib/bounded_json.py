"""Parse and write JSON, with bounds on hostile input.

``pydantic_core`` parses: it is a dependency already, fast, and reads incomplete JSON. It bounds recursion and accepts
5,000-digit integers; the standard library's parser fails on both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

__all__ = ["JSONError", "dump", "finite", "parse", "parse_object", "parse_partial"]


class JSONError(ValueError):
    """The text is not the expected JSON. The message never contains the text."""


def parse(text: str | bytes) -> Any:
    """Parse any JSON value; skip a byte order mark.

    A number beyond the range of a float (``1e999``) becomes infinity, as with every parser here: see ``finite``.

    Raises:
        JSONError: The text is not JSON.
    """
    if isinstance(text, bytes):
        text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        return from_json(text, allow_inf_nan=False)
    except TypeError:
        raise JSONError("the text holds a lone surrogate, which UTF-8 cannot carry") from None
    except ValueError as error:
        # The parser's message names the position and the expected token, never the text itself.
        raise JSONError(str(error)) from None


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        JSONError: The text is not JSON, or not an object.
    """
    value = parse(text)
    if not isinstance(value, dict):
        raise JSONError(f"expected a JSON object, got {type(value).__name__}")
    return value


def parse_partial(text: str) -> Any:
    """Parse the beginning of a JSON value; return None if it is too short or invalid."""
    try:
        return from_json(text, allow_partial="trailing-strings", allow_inf_nan=False)
    except (TypeError, ValueError):
        return None


def dump(value: Any) -> str:
    """Write compact JSON; keep non-ASCII characters unescaped.

    Raises:
        JSONError: A value has no JSON form (NaN, a set, bytes, a cycle, a lone surrogate ...).
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_mapping_to_dict)
        text.encode()
    except UnicodeEncodeError:
        raise JSONError("a text holds a lone surrogate, which UTF-8 cannot carry") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise JSONError(f"a value cannot be written as JSON ({type(error).__name__})") from None
    return text


def _mapping_to_dict(value: Any) -> Any:
    """Convert mappings other than dict, which are JSON objects too."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def finite(value: Any) -> float | None:
    """Return the value as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None
