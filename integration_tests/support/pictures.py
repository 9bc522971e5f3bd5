"""Pictures for models with random weights, as files in memory."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from PIL import Image

RED: Final = "red"
BLUE: Final = "blue"


def picture(color: Any = RED, *, kind: str = "PNG", size: tuple[int, int] = (56, 56), **options: Any) -> bytes:
    """Return a picture of one colour as a file.

    Args:
        color: The colour, by a name or by its numbers.
        kind: The format: PNG, JPEG ...
        size: Width and height in pixels.
        options: Of Pillow's writer.
    """
    written = BytesIO()
    Image.new("RGB", size, color).save(written, kind, **options)
    return written.getvalue()
