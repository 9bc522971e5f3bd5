"""What is no text, in Gemini's parts: bytes inline, everything else by its address.

Gemini fetches public https addresses itself, and knows those of its Files API and of videos on YouTube
(https://ai.google.dev/gemini-api/docs/file-input-methods).
"""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

from unified_llm.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart
from unified_llm.exceptions import ValidationError
from unified_llm.target import Target

_UNSAID: Final = FilePart().media_type
# What a function's result may hold beside its JSON, in models of the third generation and later.
_IN_RESULTS: Final = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


def write_parts(content: str | tuple[Part, ...], target: Target) -> list[dict[str, Any]]:
    """The parts of what a user said. Marks for the cache are left out: Gemini caches by itself."""
    if isinstance(content, str):
        return [{"text": content}]
    parts = [part for part in content if not isinstance(part, CachePoint)]
    written = [
        {"text": part.text} if isinstance(part, TextPart) else write_media(part, target)
        for part in parts
        if not isinstance(part, TextPart) or part.text
    ]
    return written or [{"text": ""}]


def write_media(part: Media, target: Target) -> dict[str, Any]:
    """One part that is no text.

    Raises:
        ValidationError: It holds neither bytes nor an address.
    """
    match part:
        case ImagePart(data=bytes() as data):
            return _inline(data, part.media_type)
        case ImagePart():
            return _linked(part.url, _guess(part.url))
        case AudioPart():
            return _inline(part.data, f"audio/{part.format}")
        case FilePart(data=bytes() as data):
            return _inline(data, part.media_type)
        case FilePart():
            said = part.media_type if part.media_type != _UNSAID else _guess(part.filename) or _guess(part.url)
            return _linked(part.url or _uploaded(part.file_id, target), said)
        case _:
            assert_never(part)


def fits_result(part: dict[str, Any]) -> bool:
    """Whether a written part may stand inside a function's result."""
    return part.get("inlineData", {}).get("mimeType") in _IN_RESULTS


def _inline(data: bytes, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": b64encode(data).decode()}}


def _linked(address: str | None, media_type: str | None) -> dict[str, Any]:
    if not address:
        raise ValidationError("A content part holds neither data nor a URL.")
    file = {"fileUri": address}
    return {"fileData": {**file, "mimeType": media_type} if media_type else file}


def _uploaded(identifier: str | None, target: Target) -> str | None:
    """The address of a file that was uploaded: Gemini names it ``files/abc``, and wants the whole address."""
    if not identifier or "://" in identifier:
        return identifier
    return f"{target.base_url}/files/{identifier.removeprefix('files/')}"


def _guess(name: str | None) -> str | None:
    """By the ending. Gemini sees for itself what a file is, where that says nothing."""
    return mimetypes.guess_type(urlsplit(name).path)[0] if name else None
