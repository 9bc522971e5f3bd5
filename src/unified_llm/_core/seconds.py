"""The one rule for times in seconds: of constructors, calls, ``configure()``, the environment and ``BreakerConfig``."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from typing import Any, Final, cast

FOREVER: Final = math.inf
"""A limit that never passes."""

# What other packages have for timeouts, by the name of its class: those of httpx, urllib3 and aiohttp, and pairs.
_COMBINED: Final = frozenset({"Timeout", "ClientTimeout", "tuple", "list"})

# The fields and options that are times.
TIMES: Final = frozenset({
    "timeout", "request_timeout", "connect_timeout", "deadline", "hedge_after", "retry_delay", "retry_max_delay",
    "cache_ttl",
})  # fmt: skip


class SecondsError(ValueError):
    """A value is no time in seconds; the text continues a sentence that names it."""


def read_seconds(value: object, *, or_zero: bool = False, or_none: bool = True) -> float:
    """Return a time in seconds, which any kind of number may give.

    Args:
        value: The time.
        or_zero: Whether 0 is allowed.
        or_none: Whether the caller takes None in its place, which the error then mentions.

    Raises:
        SecondsError: It is no finite number, or negative, or 0.
    """
    if isinstance(value, (bool, str, bytes)) or not hasattr(type(value), "__float__"):
        raise SecondsError(_problem(value))
    seconds = value if isinstance(value, (int, float)) else float(cast("Any", value))
    if not abs(seconds) <= sys.float_info.max:  # which compares whole numbers of any length
        raise SecondsError("must be a finite number of seconds")
    if seconds < 0 and or_zero:
        raise SecondsError("must be a number of seconds, 0 or greater")
    if seconds <= 0 and not or_zero:
        raise SecondsError(f"must be greater than 0 seconds{', or None' if or_none else ''}")
    return seconds


def _problem(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, (str, bytes)):
        number = number_from_text(value)
        hint = f": write {number:g} without quotes" if isinstance(number, float) and math.isfinite(number) else ""
        return f"must be a number of seconds, not text{hint}"
    if isinstance(value, bool) or value is None:
        return f"must be a number of seconds, not {value}"
    how = ""
    if isinstance(value, timedelta):
        how = ": pass its total_seconds()"
    elif kind in _COMBINED:
        how = ": timeout= limits an attempt, connect_timeout= each step of connecting"
    return f"must be a number of seconds, not {kind}{how}"


def number_from_text(text: object) -> object:
    """Return the number that a text holds; anything else as it is."""
    try:
        return float(text) if isinstance(text, (str, bytes)) else text
    except ValueError:
        return text
