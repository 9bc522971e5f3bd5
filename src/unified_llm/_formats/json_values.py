"""Typed access to parsed JSON: type guards, text, token counts and embedding vectors.

Implausible values (negative counts, numbers that are not finite) are rejected.
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

_LONGEST_DETAIL: Final = 2000


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether the value is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether the value is a JSON array."""
    return isinstance(value, list)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether the value is a JSON number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def object_or_empty(value: object) -> dict[str, Any]:
    """Return the value if it is a JSON object, else an empty object."""
    return value if is_object(value) else {}


def text_or_none(value: object) -> str | None:
    """Return the value if it is a non-empty string, else None."""
    return value if isinstance(value, str) and value else None


def brief(message: object) -> str | None:
    """Return a provider's error message, truncated to 2,000 characters."""
    text = text_or_none(message)
    return text[:_LONGEST_DETAIL] if text else None


def json_text(value: object) -> str:
    """Return a value that should be JSON text as text: some servers send the value itself."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else dump(value)
    except JSONError:  # such as an integer of 5,000 digits; text that is not JSON is reported as the model's mistake
        return "(unreadable)"


_LIMIT: Final = 2**53


def count(value: object) -> int:
    """Return a token count; 0 if the value is not a number or is out of range."""
    return int(value) if is_number(value) and 0 < value < _LIMIT else 0


def non_negative_int(value: object, start: int = 0) -> int | None:
    """Return a non-negative integer (offset or count) plus ``start``; None if it is no number or out of range."""
    return start + int(value) if is_number(value) and 0 <= value < _LIMIT else None


def small_int(value: object) -> int | None:
    """Return an integer of at most 31 bits; None for anything else.

    A server chooses the indexes that become keys of dictionaries. Larger ones may be chosen to have equal hashes.
    """
    return value if isinstance(value, int) and -(2**31) < value < 2**31 else None


def read_vectors(rows: object, wanted: int) -> list[list[float]] | None:
    """Return ``wanted`` vectors of equal length; None if the rows are anything else."""
    if not is_list(rows) or len(rows) != wanted:
        return None
    vectors = [vector for row in rows if (vector := read_vector(row)) is not None]
    return vectors if len(vectors) == wanted and len({len(vector) for vector in vectors}) == 1 else None


def read_vector(value: object) -> list[float] | None:
    """Return a vector from a list of numbers or from base64 of little-endian 32-bit floats; None for anything else."""
    if isinstance(value, str):
        return _unpack_floats(value)
    if not is_list(value) or not value:
        return None
    try:
        vector = array.array("d", value).tolist()
    except (TypeError, OverflowError):
        return None
    return vector if _all_finite(vector) else None


def _unpack_floats(text: str) -> list[float] | None:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not packed or len(packed) % 4:
        return None
    vector = list(struct.unpack(f"<{len(packed) // 4}f", packed))
    return vector if _all_finite(vector) else None


def _all_finite(vector: Sequence[float]) -> bool:
    """Check the sum: it is finite only if every term is, and an embedding has no terms so large that it overflows."""
    return math.isfinite(sum(vector))
