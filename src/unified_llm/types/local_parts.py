"""Parts of a message from what a caller hands to a helper: paths, bytes, URLs, open files.

``Message.user(images=, audio=, files=)`` and the command line pass on arguments of their caller. Content parts in dicts
and LangChain's messages never come here, so a path in a prompt or in a URL is text. (A block of LlamaIndex with
``path=`` is read by its adapter.)
"""

import errno
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from os import PathLike
from pathlib import Path, PurePath
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from unified_llm._lib.file_types import decode_text, path_of_url, type_of_data, type_of_name
from unified_llm._lib.local_files import LARGEST_FILE, read_file, read_open_file
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import (
    AudioPart,
    FilePart,
    ImagePart,
    Media,
    Part,
    TextPart,
    audio_format,
    file_from_url,
    image_from_url,
    is_data_url,
    is_web_url,
    split_data_url,
)

_NOTHING: tuple[()] = ()  # the default of these arguments; a single object in CPython
# A path in an error message is no longer than this, in characters, and no base64.
_LONGEST_PATH = 200
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{64,}")
# The endings of recordings, for those whose first bytes do not tell; and other spellings of a format.
_AUDIO_ENDINGS = frozenset(
    {"aac", "aif", "aiff", "flac", "m4a", "mp3", "mp4", "mpga", "oga", "ogg", "opus", "wav", "webm"}
)
_AUDIO_ALIASES = {"aif": "aiff", "mpga": "mp3", "oga": "ogg"}
# Media types besides ``text/`` whose files are text.
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml", "application/x-ndjson"})


class OpenFile(Protocol):
    """A file that is open in binary mode, or anything else with such a ``read``: ``BytesIO``, an upload."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most ``size`` bytes."""
        ...


Source: TypeAlias = str | bytes | PathLike[str] | OpenFile
"""A path, a URL, bytes, or a file that is open in binary mode."""
Image: TypeAlias = Source | ImagePart
"""A path, a URL (``http(s)://`` or ``data:``), bytes, an open file, or a part; an image of Pillow is accepted too."""
Images: TypeAlias = Image | Iterable[Image] | None
"""One image or several."""
Audio: TypeAlias = Source | AudioPart | Iterable[Source | AudioPart] | None
"""One recording or several."""
Files: TypeAlias = Source | Media | Iterable[Source | Media] | None
"""One file or several."""

_P = TypeVar("_P")


@dataclass(frozen=True, slots=True)
class _Kind(Generic[_P]):
    """Rule for one argument of ``Message.user``: what it takes, and how it is called in errors.

    Attributes:
        argument: Its name.
        noun: What one of its values is called.
        parts: The parts that it takes as they are.
        hint: What to pass, for errors.
        from_data: Make a part of bytes, the file's name, and the media type that a ``data:`` URL states.
        from_url: Make a part of an ``http(s)`` URL.
        check_start: Refuse, by its first bytes and its name, a file that need not be read to its end.
    """

    argument: str
    noun: str
    parts: tuple[type, ...]
    hint: str
    from_data: Callable[[bytes, str | None, str | None], _P]
    from_url: Callable[[str], _P]
    check_start: Callable[[bytes, str | None], object]


def user_content(content: object, images: Images, audio: Audio, files: Files) -> str | tuple[Part, ...]:
    """Return the content of a user's message: the text, which text files are added to, then all other parts.

    Raises:
        ValidationError: One of the sources cannot be read, is of an unknown type, or has no form as that part; or the
            text is none.
    """
    if not isinstance(content, str):
        raise ValidationError(
            "The content of Message.user is a text; images, recordings and files are arguments of it."
        )
    if images is _NOTHING and audio is _NOTHING and files is _NOTHING:
        return content
    parts = [*_make_parts(images, _IMAGE), *_make_parts(audio, _AUDIO), *_make_parts(files, _FILE)]
    texts = [content, *(part.text for part in parts if isinstance(part, TextPart))]
    media = tuple(part for part in parts if not isinstance(part, TextPart))
    text = "\n\n".join(filter(None, texts)) if len(texts) > 1 else content
    if not media:
        return text
    return (TextPart(text), *media) if text else media


def image_part(image: Image) -> ImagePart:
    """Make an image from a path, a URL, bytes, an open file or an image of Pillow.

    A path is read on this machine, so it must not come from untrusted input.

    Raises:
        ValidationError: It is no regular file of at most 64 MiB, or the type of the image is not recognised.
    """
    return _make_part(image, _IMAGE)


def uploaded_image(image: Image) -> ImagePart:
    """Do the same for an image that is sent as a file, which no URL is.

    Raises:
        ValidationError: As of ``image_part``. (The part of a URL has no data, which is for the caller to refuse.)
    """
    return _make_part(image, _UPLOADED_IMAGE)


def audio_part(audio: Source | AudioPart) -> AudioPart:
    """Make a recording from a path, a ``data:`` URL, bytes or an open file; its first bytes tell the format.

    Raises:
        ValidationError: It is no regular file of at most 64 MiB, it is an ``http(s)`` URL, or its format is not
            recognised.
    """
    return _make_part(audio, _AUDIO)


def _make_parts(sources: object, kind: _Kind[_P]) -> Iterator[_P]:
    if sources is None:
        return
    if (
        isinstance(sources, (str, bytes, bytearray, PathLike, *kind.parts))
        or _is_open_file(sources)
        or _is_of_pillow(sources)
    ):
        sources = (sources,)
    if isinstance(sources, Mapping) or not isinstance(sources, Iterable):
        raise ValidationError(f"{kind.argument} is a list of paths, URLs or bytes; got {type(sources).__name__}.")
    yield from (_make_part(source, kind) for source in sources)


def _make_part(source: Any, kind: _Kind[_P]) -> _P:
    if isinstance(source, kind.parts):
        return cast("_P", source)
    if isinstance(source, str) and is_web_url(source):
        return kind.from_url(source)
    if isinstance(source, str) and is_data_url(source):
        data, media_type = split_data_url(source)
        return kind.from_data(data, None, media_type)
    data, name = _read(_png_of(source) if _is_of_pillow(source) else source, kind)
    return kind.from_data(data, name, None)


def _read(source: Any, kind: _Kind[Any]) -> tuple[bytes, str | None]:
    """Return the bytes of a source, and its file name."""
    name: str | None = None
    try:
        if isinstance(source, (bytes, bytearray)):
            data = bytes(source)
        elif _is_open_file(source):
            data, name = read_open_file(source), _name_of_open_file(source)
        else:
            name = _path_of(source).name
            data = read_file(source, lambda start: kind.check_start(start, name))
    except (OSError, TypeError, ValueError) as error:
        reason = _reason(source, error)
        raise ValidationError(f"{_describe(source, error, kind)} cannot be read ({reason}): {kind.hint}") from None
    if len(data) > LARGEST_FILE:
        raise ValidationError(f"The {kind.noun} is larger than {LARGEST_FILE >> 20} MiB.")
    return data, name


def _path_of(source: Any) -> Path:
    """Return the path.

    Raises:
        OSError: It is a ``file:`` URL, or empty, which would be the working directory.
        TypeError: It is no path.
    """
    if isinstance(source, str) and (not source or source[:7].lower() == "file://"):
        raise OSError(
            errno.EINVAL, "a file: URL is no path" if source else "the path is empty, which is the working directory"
        )
    return Path(source)


def _reason(source: object, error: Exception) -> str:
    if reason := getattr(error, "strerror", None):
        return str(reason)
    if _is_open_file(source):
        return str(error)
    return "that is no path" if isinstance(source, (str, PathLike)) else f"{type(source).__name__} is no path"


def _describe(source: object, error: Exception, kind: _Kind[Any]) -> str:
    """Name the file, but no text that may be its content: base64 that was passed as a path by mistake."""
    path = str(source) if isinstance(source, (str, PathLike)) and isinstance(error, OSError) else ""
    if not path or len(path) > _LONGEST_PATH or _BASE64.fullmatch(path):
        return f"{'An' if kind.noun[0] in 'aeiou' else 'A'} {kind.noun}"
    return f"The {kind.noun} {path!r}"


def _is_open_file(source: object) -> bool:
    return callable(getattr(source, "read", None)) and not isinstance(source, PurePath)


def _name_of_open_file(file: object) -> str | None:
    """Return its name: uploads of web frameworks have ``filename``; the ``name`` of some files is a number."""
    names = (getattr(file, attribute, None) for attribute in ("filename", "name"))
    return next((PurePath(name).name for name in names if isinstance(name, str) and name), None)


def _is_of_pillow(image: object) -> bool:
    return any(base.__module__ == "PIL.Image" for base in type(image).__mro__)


def _png_of(image: Any) -> bytes:
    """Write an image of Pillow as PNG, one in a mode that PNG lacks (CMYK ...) in RGB.

    Raises:
        ValidationError: Pillow cannot.
    """
    file = BytesIO()
    try:
        try:
            image.save(file, format="PNG")
        except OSError:
            image.convert("RGB").save(file, format="PNG")
    except (OSError, ValueError):
        raise ValidationError("An image of Pillow cannot be written as PNG: pass its file or bytes.") from None
    return file.getvalue()


def _image_of(data: bytes, name: str | None, media_type: str | None) -> ImagePart:
    return ImagePart(data=data, media_type=image_type(data, name, media_type))


def image_type(data: bytes, name: str | None, media_type: str | None = None) -> str:
    """Return the media type of an image by its first bytes; else the stated one, or that of the file's name.

    Raises:
        ValidationError: It is no image.
    """
    detected = type_of_data(data) or media_type or type_of_name(name)
    if detected and detected.startswith("image/") and data:
        return detected
    raise ValidationError("The image is neither PNG, JPEG, GIF nor WebP.")


def _audio_of(data: bytes, name: str | None, media_type: str | None) -> AudioPart:
    return AudioPart(data, recording_format(data, name, media_type))


def recording_format(data: bytes, name: str | None, media_type: str | None = None) -> str:
    """Return the format of a recording by its first bytes; else the stated one, or the ending of the file's name.

    Raises:
        ValidationError: It is no recording, or its format is unknown.
    """
    detected = type_of_data(data)
    ending = PurePath(name or "").suffix[1:].lower()
    if detected in {"video/mp4", "video/webm"} and ending in _AUDIO_ENDINGS:  # containers of either
        return ending
    if detected and detected.startswith(("audio/", "video/")):
        return "m4a" if detected == "audio/mp4" else audio_format(detected)
    if not detected and data and media_type and media_type.startswith("audio/"):
        return audio_format(media_type)
    if not detected and data and ending in _AUDIO_ENDINGS:
        return _AUDIO_ALIASES.get(ending, ending)
    raise ValidationError(
        "The recording is neither WAV, MP3, FLAC, Ogg, AAC, AIFF, MP4 nor WebM: for another format pass "
        "AudioPart(data, format)."
    )


def _no_audio_url(_: str) -> AudioPart:
    raise ValidationError(
        "A recording is sent as data, not by URL: download it and pass its bytes. Gemini reads one by URL as "
        'files=FilePart(url=..., media_type="audio/mpeg").'
    )


def _file_of(data: bytes, name: str | None, media_type: str | None) -> TextPart | Media:
    detected = type_of_data(data)
    if detected and detected.startswith("image/"):
        return ImagePart(data=data, media_type=detected)
    if detected and detected.startswith("audio/"):
        return AudioPart(data, recording_format(data, name))
    if detected:
        return FilePart(data, detected, name)
    stated = media_type or type_of_name(name)
    try:
        text = decode_text(data)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text and data:
        return TextPart(f"{name}:\n\n{text}" if name else text)
    if stated and not stated.startswith("text/") and stated not in _TEXT_TYPES and data:
        return FilePart(data, stated, name)
    raise ValidationError(
        "The file is neither PDF nor text in UTF-8, and its name does not tell its type: pass "
        "FilePart(data, media_type, filename)."
        if data
        else "The file is empty."
    )


def _file_at(url: str) -> TextPart | Media:
    media_type = type_of_name(path_of_url(url))
    return ImagePart(url=url) if media_type and media_type.startswith("image/") else file_from_url(url)


_HINT = "pass a path, bytes, or an http(s):// or data: URL."
_IMAGE = _Kind("images", "image", (ImagePart,), _HINT, _image_of, image_from_url, image_type)
_UPLOADED_IMAGE = replace(_IMAGE, hint="pass a path, bytes, or a data: URL.")
_AUDIO = _Kind(
    "audio",
    "recording",
    (AudioPart,),
    "pass a path, bytes, or a data: URL.",
    _audio_of,
    _no_audio_url,
    recording_format,
)
_FILE = _Kind(
    "files",
    "file",
    (TextPart, ImagePart, AudioPart, FilePart),
    "pass a path, bytes, or an http(s):// or data: URL; a file that the provider has is FilePart(file_id=...).",
    _file_of,
    _file_at,
    lambda _start, _name: None,
)
