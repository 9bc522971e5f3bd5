"""Parts of a message: text, images, audio, files, and cache points.

``parse_content`` reads content parts in OpenAI's shape, ``image_part`` a path, a URL or bytes. Codecs write parts in
each provider's own format.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from os import PathLike
from typing import Any, TypeAlias, cast

from unified_llm._lib.local_files import read_file
from unified_llm.exceptions import ValidationError

# The first bytes of the image types that vision models accept (RFC 2083, JFIF, GIF89a, RIFF/WebP).
_IMAGE_SIGNATURES = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))

# A path in an error message is no longer than this, in characters, and no base64.
_LONGEST_PATH = 200
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{64,}")


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part that is text."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, by URL or as bytes (then with its media type); ``detail`` is OpenAI's ``low``/``high``/``auto``."""

    url: str | None = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)
    media_type: str = "image/png"
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A recording; ``format`` is ``wav`` or ``mp3`` with most providers."""

    data: bytes = field(repr=False)
    format: str = "wav"


@dataclass(frozen=True, slots=True)
class FilePart:
    """A document, as bytes, by URL, or by the identifier of an earlier upload.

    ``cite`` asks for citations of it, where a provider returns them only on request (Anthropic).
    """

    data: bytes | None = field(default=None, repr=False)
    media_type: str = "application/pdf"
    filename: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    file_id: str | None = None
    cite: bool = False


@dataclass(frozen=True, slots=True)
class CachePoint:
    """A mark without content: the prompt up to here may be cached.

    Formats whose providers cache automatically omit it. ``ttl`` is how long, ``5m`` or ``1h`` with Anthropic.
    """

    ttl: str | None = None


Media: TypeAlias = ImagePart | AudioPart | FilePart
Part: TypeAlias = TextPart | Media | CachePoint


def parse_content(content: str | Sequence[Any]) -> str | tuple[Part, ...]:
    """Read a message's content: a string, or a list of strings and content parts.

    ``cache_control`` on a part, as Anthropic's users write it, is read as a ``CachePoint`` after that part.

    Raises:
        ValidationError: A part has no known type or lacks its data.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping) or not isinstance(content, Sequence):
        raise ValidationError("A message's content is a string or a list of content parts.")
    return tuple(parsed for part in content for parsed in _parts_of(part))


def _parts_of(part: Any) -> Iterator[Part]:
    yield TextPart(part) if isinstance(part, str) else _parse_part(part)
    if isinstance(part, Mapping):
        yield from cache_points(part)


def cache_points(part: Mapping[str, Any]) -> Iterator[CachePoint]:
    """Yield a ``CachePoint`` if the part has Anthropic's ``cache_control``: the prompt up to here may be cached."""
    mark = part.get("cache_control")
    if isinstance(mark, Mapping):
        ttl = mark.get("ttl")
        yield CachePoint(ttl if isinstance(ttl, str) else None)


def _parse_part(part: Any) -> Part:
    if isinstance(part, (TextPart, ImagePart, AudioPart, FilePart, CachePoint)):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    try:
        match kind:
            case "text":
                return TextPart(_text(part["text"]))
            case "image_url":
                image = part["image_url"]
                url, detail = (image, None) if isinstance(image, str) else (image["url"], image.get("detail"))
                return image_from_url(url, detail)
            case "input_audio":
                audio = part["input_audio"]
                return AudioPart(decode_base64(audio["data"]), audio.get("format") or "wav")
            case "file":
                return _parse_file(part["file"])
            case _:
                pass
    except (KeyError, TypeError, AttributeError):
        raise ValidationError(f"A content part of type {kind!r} lacks its data.") from None
    raise ValidationError("A content part needs a type: text, image_url, input_audio or file.")


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text


def _parse_file(file: Mapping[str, Any]) -> FilePart:
    if file.get("file_id"):
        return FilePart(file_id=str(file["file_id"]), filename=file.get("filename"))
    data, media_type = split_data_url(file["file_data"])
    return FilePart(data, media_type or "application/pdf", file.get("filename"))


def image_from_url(url: str, detail: str | None = None) -> ImagePart:
    """Make an image from an ``http(s)`` or ``data:`` URL; decode data URLs, so that every format can carry them."""
    if not url.startswith("data:"):
        return ImagePart(url=url, detail=detail)
    data, media_type = split_data_url(url)
    return ImagePart(data=data, media_type=media_type or "image/png", detail=detail)


Image: TypeAlias = str | bytes | PathLike[str] | ImagePart
"""A path, a URL (``http(s)://`` or ``data:``), bytes, or a part; an image of Pillow is accepted as well."""


def image_parts(images: Image | Iterable[Image] | None) -> tuple[ImagePart, ...]:
    """Make images from one or several.

    Raises:
        ValidationError: One of them cannot be read, or they are no list.
    """
    if images is None or (isinstance(images, (tuple, list)) and not images):
        return ()
    if isinstance(images, (str, bytes, PathLike, ImagePart)) or _is_of_pillow(images):
        return (image_part(cast("Image", images)),)
    if isinstance(images, Mapping) or not isinstance(images, Iterable):
        raise ValidationError(f"images is a list of paths, URLs or bytes; got {type(images).__name__}.")
    return tuple(map(image_part, images))


def image_part(image: Image) -> ImagePart:
    """Make an image from a path, a URL, bytes or an image of Pillow.

    A path is read on this machine, so it must not come from untrusted input.

    Raises:
        ValidationError: It is no regular file of at most 64 MiB, or the type of the image is not recognised.
    """
    if isinstance(image, ImagePart):
        return image
    if isinstance(image, str) and image.startswith(("http://", "https://", "data:")):
        return image_from_url(image)
    if _is_of_pillow(image):
        image = _png_of(image)
    if isinstance(image, bytes):
        return ImagePart(data=image, media_type=_media_type_of(image))
    import mimetypes  # importing it reads its tables

    try:
        media_type_of = partial(_media_type_of, guess=mimetypes.guess_type(image)[0])
        data = read_file(image, media_type_of)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "that is no path"
        raise ValidationError(
            f"{_name_of(image, error)} cannot be read ({reason}): pass a path, bytes, or an http(s):// or data: URL."
        ) from None
    return ImagePart(data=data, media_type=media_type_of(data))


def _name_of(image: object, error: Exception) -> str:
    """Name the file, but no text that may be the image itself: base64 that was passed as a path by mistake."""
    path = str(image) if isinstance(image, (str, PathLike)) and isinstance(error, OSError) else ""
    if not path or len(path) > _LONGEST_PATH or _BASE64.fullmatch(path):
        return "An image"
    return f"The image {path!r}"


def _is_of_pillow(image: object) -> bool:
    return any(base.__module__ == "PIL.Image" for base in type(image).__mro__)


def _png_of(image: Any) -> bytes:
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _media_type_of(data: bytes, guess: str | None = None) -> str:
    """Return the media type by the first bytes, which are reliable; else the guess from the file's name."""
    for signature, media_type in _IMAGE_SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if guess and guess.startswith("image/"):
        return guess
    raise ValidationError("The image is neither PNG, JPEG, GIF nor WebP.")


def split_data_url(url: str) -> tuple[bytes, str | None]:
    """Return the bytes and media type of a ``data:`` URL (RFC 2397), or of bare base64.

    Raises:
        ValidationError: It is not valid base64.
    """
    if not url.startswith("data:"):
        return decode_base64(url), None
    header, _, payload = url[5:].partition(",")
    return decode_base64(payload), header.split(";")[0] or None


def decode_base64(text: str) -> bytes:
    """Decode base64.

    Raises:
        ValidationError: It is not valid base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValidationError("The data of a content part is not valid base64.") from None


def data_url(data: bytes, media_type: str) -> str:
    """Return a ``data:`` URL that contains these bytes."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
