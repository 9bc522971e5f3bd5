"""Images of a request: their places in the conversation, and their bytes as pixels, within bounds.

Nothing is opened by its name here, and nothing is downloaded: an image is in the request, or the request is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._backends.mlx.engine_types import EngineError
from unified_llm._lib.byte_sizes import show_bytes
from unified_llm._lib.file_types import type_of_data
from unified_llm.types.content import ImagePart, TextPart
from unified_llm.types.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image

# Of one request. A photograph of 80 megapixels takes 240 MB as pixels, while a file of 100 kB may claim any size.
MAX_IMAGES: Final = 100
MAX_BYTES: Final = 100_000_000
MAX_PIXELS: Final = 80_000_000
# Formats of Pillow (pillow.readthedocs.io/en/stable/handbook/image-file-formats.html): those of the web and of cameras.
# Of the others, some start programs (EPS) or are rarely tested.
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_DETECTED: Final = frozenset(f"image/{name.lower()}" for name in _FORMATS)
_READABLE: Final = "PNG, JPEG, WebP, GIF, BMP or TIFF"


def write_content(message: Message) -> str | list[dict[str, Any]]:
    """Return the content of a message as chat templates take it: a text, or parts if there is an image among them."""
    if not images_of([message]):
        return message.text
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, ImagePart):
            parts.append({"type": "image"})
        elif isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
    return parts


def images_of(messages: Sequence[Message]) -> tuple[bytes, ...]:
    """Return the files of the images in a conversation, in their order."""
    parts = (part for message in messages if not isinstance(message.content, str) for part in message.content)
    return tuple(part.data for part in parts if isinstance(part, ImagePart) and part.data is not None)


def read_images(files: Sequence[bytes]) -> list[Image]:
    """Decode the images of a request to RGB, upright, on white where they are transparent; of several frames the first.

    Raises:
        EngineError: One cannot be read, or they are too many or too large; the message says which one.
    """
    if len(files) > MAX_IMAGES:
        raise _refusal(f"The request has {len(files)} images and at most {MAX_IMAGES} are read: send fewer.")
    if (size := sum(map(len, files))) > MAX_BYTES:
        sizes = f"{show_bytes(size)} and at most {show_bytes(MAX_BYTES)} are read"
        raise _refusal(f"The images of the request have {sizes}: send smaller ones.")
    images: list[Image] = []
    for number, file in enumerate(files, 1):
        which = f"Image {number} of {len(files)}" if len(files) > 1 else "The image"
        left = MAX_PIXELS - sum(image.width * image.height for image in images)
        images.append(_read(file, which, left))
    return images


def _read(file: bytes, which: str, pixels_left: int) -> Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(BytesIO(file), formats=_FORMATS) as image:
            _check_size(image, which, pixels_left)
            image.load()  # until here only the head of the file was read
            return _to_rgb(ImageOps.exif_transpose(image))
    except EngineError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the latter where warnings are errors
        raise _refusal(f"{which} claims more than {MAX_PIXELS:,} pixels: send a smaller one.") from None
    except UnidentifiedImageError as error:
        raise _unknown_format(file, which) from error
    except Exception as error:  # Pillow raises many types for damaged files
        raise _refusal(f"{which} is damaged ({type(error).__name__}): send the whole file.") from error


def _unknown_format(file: bytes, which: str) -> EngineError:
    media_type = type_of_data(file) or "no known format"
    if media_type in _DETECTED:
        return _refusal(f"{which} is damaged ({media_type}): send the whole file.")
    message = f"{which} cannot be read ({media_type}): send it as {_READABLE}."
    # Another target may read what is an image of another format.
    return EngineError("unsupported" if media_type.startswith("image/") else "bad_request", message)


def _check_size(image: Image, which: str, pixels_left: int) -> None:
    if image.width * image.height > pixels_left:
        size = f"{image.width} x {image.height} pixels"
        raise _refusal(f"{which} has {size}, and a request at most {MAX_PIXELS:,}: send smaller images.")


def _to_rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        image = _to_8_bits(image)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _to_8_bits(image: Image) -> Image:
    """Scale shades of 16 bits and more, which Pillow would clip to white; those without a range by their extremes."""
    low, high = (0, 65535) if image.mode.startswith("I;16") else cast("tuple[float, float]", image.getextrema())
    scale = 255 / (high - low or 1)
    return image.convert("F").point(lambda shade: shade * scale - low * scale).convert("L")


def _refusal(message: str) -> EngineError:
    return EngineError("bad_request", message)
