"""Sizes of memory and files as people write them: a number of bytes, or text such as ``"24GB"`` and ``"1.5 GiB"``."""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE | re.ASCII)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def read_bytes(value: object) -> int:
    """Return a size in bytes: of a whole number greater than 0, or of text with a unit (GB is 10**9, GiB 2**30).

    Raises:
        ValueError: It is no size; the text continues a sentence that names it.
    """
    size: float = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        number, unit, binary = match.groups()
        size = float(number) * (1024 if binary else 1000) ** _POWERS[unit.lower()]
    if size < 1:
        raise ValueError('must be a size in bytes greater than 0, or text such as "24GB"')
    return int(size)


def show_bytes(size: float) -> str:
    """Return a size with two or three digits and a decimal unit, such as ``2.3 GB``."""
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.0f} {_UNITS[power]}" if size >= 10 or power == 0 else f"{size:.1f} {_UNITS[power]}"
