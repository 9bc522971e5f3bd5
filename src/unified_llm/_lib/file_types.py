"""What a file is, by its first bytes, which are reliable, or by its name; and the text of one that is text."""

from __future__ import annotations

import codecs
from typing import Final
from urllib.parse import unquote, urlsplit

# First bytes -> media type: RFC 2083, JFIF, GIF89a, TIFF 6.0, ISO 32000, ID3v2, RFC 9639, RFC 3533, Matroska.
_SIGNATURES: Final = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
# What a text may begin with, too, tells a bitmap only together with the size of its second header (wingdi.h).
_BITMAP: Final = b"BM"
_BITMAP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
# Containers: (first bytes, what stands at byte 8) -> media type.
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_AIFF: Final = {b"AIFF": "audio/aiff", b"AIFC": "audio/aiff"}
# The brands of ISO base media files (mp4ra.org); any other one is video.
_BRANDS: Final = {
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"avif": "image/avif", b"heic": "image/heic", b"heix": "image/heic",
    b"mif1": "image/heif", b"qt  ": "video/quicktime",
}  # fmt: skip
# The second byte of a frame without a tag: MPEG layer III with and without a checksum, and ADTS.
_MP3_FRAMES: Final = frozenset(b"\xfb\xfa\xf3\xf2\xe3\xe2")
_AAC_FRAMES: Final = frozenset(b"\xf1\xf0\xf9\xf8")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def type_of_data(data: bytes) -> str | None:
    """Return the media type of an image, a recording, a video or a PDF by its first bytes; None for anything else."""
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    kind, brand = data[4:8], data[8:12]
    if kind == b"ftyp":
        return _BRANDS.get(brand, "video/mp4")
    if data[:4] in {b"RIFF", b"FORM"}:
        return (_RIFF if data[:1] == b"R" else _AIFF).get(brand)
    if data[:2] == _BITMAP and int.from_bytes(data[14:18], "little") in _BITMAP_HEADERS:
        return "image/bmp"
    if data[:1] == b"\xff" and len(data) > 1:
        return "audio/mpeg" if data[1] in _MP3_FRAMES else "audio/aac" if data[1] in _AAC_FRAMES else None
    return None


def type_of_name(name: str | None) -> str | None:
    """Return the media type that belongs to the ending of a file's name."""
    if not name:
        return None
    import mimetypes  # importing it reads its tables

    return mimetypes.guess_type(name)[0]


def path_of_url(url: str) -> str:
    """Return the path of a URL; empty where it cannot be one."""
    try:
        return urlsplit(url).path
    except ValueError:  # an address in brackets without an end
        return ""


def name_in_url(url: str) -> str | None:
    """Return the file's name at the end of a URL's path; None where nothing there has an ending."""
    name = unquote(path_of_url(url).rpartition("/")[2])
    return name if "." in name.strip(".") else None


def decode_text(data: bytes) -> str:
    """Return a text in UTF-8, or in UTF-16 if it begins with the mark of that, as PowerShell writes it.

    Raises:
        UnicodeDecodeError: It is neither.
    """
    return data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
