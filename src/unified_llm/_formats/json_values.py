"""Asking what shape a piece of parsed JSON has, in a way that type checkers understand.

Numbers in a provider's JSON: tokens and vectors. What cannot be right is not taken.
"""

from __future__ import annotations

import array
import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from unified_llm._lib.bounded_json import JSONError, dump

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


_ABSURD: Final = 2**53


def count(value: object) -> int:
    """A number of tokens; whatever is none, or cannot be right, counts 0."""
    return int(value) if is_number(value) and 0 < value < _ABSURD else 0


def place(value: object, start: int = 0) -> int | None:
    """A place in a text, so many characters after ``start``; None if it is none."""
    return start + int(value) if is_number(value) and 0 <= value < _ABSURD else None


def read_vectors(rows: object, wanted: int) -> list[list[float]] | None:
    """As many vectors as were wanted, all of one length; None if they are anything else."""
    if not is_list(rows) or len(rows) != wanted:
        return None
    vectors = [vector for row in rows if (vector := read_vector(row)) is not None]
    return vectors if len(vectors) == wanted and len({len(vector) for vector in vectors}) == 1 else None


def read_vector(value: object) -> list[float] | None:
    """A vector from numbers, or from base64 of little-endian 32-bit floats; None if it is neither."""
    if isinstance(value, str):
        return _unpacked(value)
    if not is_list(value) or not value:
        return None
    try:
        vector = array.array("d", value).tolist()
    except (TypeError, OverflowError):
        return None
    return vector if _all_finite(vector) else None


def _unpacked(text: str) -> list[float] | None:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not packed or len(packed) % 4:
        return None
    vector = list(struct.unpack(f"<{len(packed) // 4}f", packed))
    return vector if _all_finite(vector) else None


def _all_finite(vector: Sequence[float]) -> bool:
    """A sum is finite only if every term is. One so large that the sum overflows is no component of an embedding."""
    return math.isfinite(sum(vector))
