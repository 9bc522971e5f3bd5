"""Durations in messages."""

from __future__ import annotations

from typing import Final

_ROUNDED: Final = 99.95  # from here on, three figures have no decimals


def show_seconds(seconds: float) -> str:
    """Return a duration with its unit: to three figures, or in whole seconds: ``0.125 s``, ``7200 s``."""
    return f"{seconds:.0f} s" if seconds >= _ROUNDED else f"{seconds:.3g} s"
