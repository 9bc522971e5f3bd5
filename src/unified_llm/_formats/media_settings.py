"""Settings of media that APIs name in different ways: sizes, and voices."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

_PIXELS: Final = re.compile(r"(\d{2,5})\s*[xX×*]\s*(\d{2,5})")

OPENAI_VOICES: Final = frozenset({
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
})  # fmt: skip
"""Voices of OpenAI's API (types/audio/speech_create_params.py of its SDK), which a fallback may not have."""


def pixels_of(size: str | None) -> tuple[int, int] | None:
    """Return the width and the height of a size in pixels (``1536x1024``); None where it is something else."""
    match = _PIXELS.fullmatch((size or "").strip())
    return (int(match[1]), int(match[2])) if match else None


def nearest_ratio(pixels: tuple[int, int], ratios: Sequence[str]) -> str:
    """Return the ratio of width to height (``3:2``) that is nearest to that of the pixels."""
    wanted = math.log(pixels[0] / pixels[1])

    def distance(ratio: str) -> float:
        across, _, down = ratio.partition(":")
        return abs(math.log(int(across) / int(down)) - wanted)

    return min(ratios, key=distance)
