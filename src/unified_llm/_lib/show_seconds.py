"""Durations in messages and in tables."""

from __future__ import annotations

from typing import Final

_ROUNDED: Final = 99.95  # from here on, three figures have no decimals


def show_seconds(seconds: float) -> str:
    """Return a duration with its unit: to three figures, or in whole seconds: ``0.125 s``, ``7200 s``."""
    return f"{seconds:.0f} s" if seconds >= _ROUNDED else f"{seconds:.3g} s"


def show_milliseconds(seconds: float) -> str:
    """Return a duration for a table, in milliseconds where it is short: ``250 ms``, ``1.50 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
