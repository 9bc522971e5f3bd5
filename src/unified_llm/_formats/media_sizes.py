"""Sizes of images and videos, which APIs name in pixels, as a ratio, or as a resolution."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

_PIXELS: Final = re.compile(r"(\d{2,5})\s*[xX×*]\s*(\d{2,5})")
_WORDS: Final = re.compile(r"[^\s,_]+")
_RATIO: Final = re.compile(r"[\d.]{1,4}:[\d.]{1,4}")
_RESOLUTION: Final = re.compile(r"512|\d{1,2}[Kk]")


def pixels_of(size: str | None) -> tuple[int, int] | None:
    """Return the width and the height of a size in pixels (``1536x1024``); None where it is something else."""
    match = _PIXELS.fullmatch((size or "").strip())
    return (int(match[1]), int(match[2])) if match else None


def shape_of(
    size: str | None, ratios: Sequence[str], resolutions: Sequence[tuple[int, str]]
) -> tuple[str | None, str | None]:
    """Return the ratio and the resolution for a size: a ratio (``16:9``), a resolution (``2K``), both, or pixels.

    Args:
        size: The size.
        ratios: The ratios that the API knows, of which pixels get the nearest.
        resolutions: The least pixels of the longer side for each resolution, the largest first. Fewer pixels get none,
            which is the usual one.
    """
    if pixels := pixels_of(size):
        resolution = next((name for least, name in resolutions if max(pixels) >= least), None)
        return nearest_ratio(pixels, ratios), resolution
    words = _WORDS.findall(size or "")
    ratio = next((word for word in words if _RATIO.fullmatch(word)), None)
    return ratio, next((word for word in words if _RESOLUTION.fullmatch(word)), None)


def nearest_ratio(pixels: tuple[int, int], ratios: Sequence[str]) -> str:
    """Return the ratio of width to height (``3:2``) that is nearest to that of the pixels."""
    wanted = math.log(pixels[0] / pixels[1])

    def distance(ratio: str) -> float:
        across, _, down = ratio.partition(":")
        return abs(math.log(float(across) / float(down)) - wanted)

    return min(ratios, key=distance)
