"""Parts of a message: text, images, audio, files, and cache points.

``parse_content`` reads content parts in OpenAI's shape: it opens no file, whatever a part says. Codecs write parts in
each provider's own format.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

from unified_llm._lib.file_types import name_in_url, type_of_data, type_of_name
from unified_llm.exceptions import ValidationError

# A scheme has two characters or more: one letter is a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")
# The format of a recording by the subtype of its media type, where the two differ.
_AUDIO_FORMATS = {
    "mpeg": "mp3", "mpga": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a", "x-flac": "flac",
    "x-aiff": "aiff", "x-aac": "aac", "aacp": "aac", "mp4a-latm": "m4a",
}  # fmt: skip


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
                return read_image_url(part["image_url"])
            case "input_audio":
                return read_input_audio(part["input_audio"])
            case "file":
                return read_openai_file(part["file"])
            case _:
                pass
    except (KeyError, TypeError, AttributeError):
        raise ValidationError(f"A content part of type {kind!r} lacks its data.") from None
    raise ValidationError("A content part needs a type: text, image_url, input_audio or file.")


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text


def read_image_url(image: str | Mapping[str, Any]) -> ImagePart:
    """Read the field ``image_url`` of OpenAI's content parts: a URL, or ``{"url", "detail"}``."""
    url, detail = (image, None) if isinstance(image, str) else (image["url"], image.get("detail"))
    return image_from_url(url, detail)


def read_input_audio(audio: Mapping[str, Any]) -> AudioPart:
    """Read the field ``input_audio`` of OpenAI's content parts: ``{"data", "format"}``."""
    return AudioPart(decode_base64(audio["data"]), audio.get("format") or "wav")


def read_openai_file(file: Mapping[str, Any]) -> FilePart:
    """Read the field ``file`` of OpenAI's content parts: ``{"file_id"}``, or ``{"file_data", "filename"}``.

    In place of the data there may be a URL, as at OpenRouter.
    """
    filename = file.get("filename")
    if file.get("file_id"):
        return FilePart(file_id=str(file["file_id"]), filename=filename)
    if is_web_url(file["file_data"]):
        return file_from_url(file["file_data"], filename)
    data, media_type = split_data_url(file["file_data"])
    return FilePart(data, media_type or "application/pdf", filename)


def image_from_url(url: str, detail: str | None = None) -> ImagePart:
    """Make an image from an ``http(s)`` or ``data:`` URL; decode data URLs, so that every format can carry them.

    Raises:
        ValidationError: It is a path, or no valid data URL.
    """
    if is_data_url(url):
        data, media_type = split_data_url(url)
        return ImagePart(data=data, media_type=media_type or type_of_data(data) or "image/png", detail=detail)
    if not _SCHEME.match(url):
        raise ValidationError(
            "The URL of a content part has no scheme, such as https: or data:. Files are not read because of a path in "
            "a message: send the file's bytes as a data: URL."
        )
    return ImagePart(url=url, detail=detail)


def file_from_url(url: str, filename: str | None = None) -> FilePart:
    """Make a file from an ``http(s)`` URL, whose path may end in its name."""
    filename = filename or name_in_url(url)
    return FilePart(None, type_of_name(filename) or "application/pdf", filename, url)


def audio_format(media_type: str) -> str:
    """Return the format of a recording with this media type: ``mp3`` for ``audio/mpeg``."""
    subtype = media_type.partition("/")[2].partition(";")[0].strip().lower()
    return _AUDIO_FORMATS.get(subtype, subtype)


def is_web_url(text: str) -> bool:
    """Return whether a text is an ``http(s)`` URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def is_data_url(text: str) -> bool:
    """Return whether a text is a ``data:`` URL."""
    return text[:5].lower() == "data:"


def split_data_url(url: str) -> tuple[bytes, str | None]:
    """Return the bytes and media type of a ``data:`` URL (RFC 2397), or of bare base64.

    Raises:
        ValidationError: It is not valid base64.
    """
    if not is_data_url(url):
        return decode_base64(url), None
    header, _, payload = url[5:].partition(",")
    media_type, *parameters = header.split(";")
    is_base64 = any(parameter.strip().lower() == "base64" for parameter in parameters)
    data = decode_base64(unquote(payload) if "%" in payload else payload) if is_base64 else unquote_to_bytes(payload)
    return data, media_type.strip().lower() or None


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
