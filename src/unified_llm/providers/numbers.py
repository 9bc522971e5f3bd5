"""Numbers in a provider's JSON: tokens and vectors. What cannot be right is not taken."""

from __future__ import annotations

import array
import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Final

from unified_llm.providers.shapes import is_list, is_number

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
