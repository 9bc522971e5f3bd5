"""Checks of single fields by the scripted upstream: base64, media types, JSON schemas."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

_MAGIC = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
    "wav": (b"RIFF",),
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
}
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)


def media(kind: str, data: str) -> None:
    try:
        start = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if not start.startswith(_MAGIC[kind]):
        raise ValueError(f"the data are not {kind}")


def image_url(url: str) -> str:
    if url.startswith(("http://", "https://")):
        return url
    match = _DATA_URL.fullmatch(url)
    if not match or not match[1].startswith("image/") or match[1] not in _MAGIC:
        raise ValueError("an image is an http(s) URL or a base64 data URL of png, jpeg, gif or webp")
    media(match[1], match[2])
    return url


def pdf(url: str) -> str:
    match = _DATA_URL.fullmatch(url)
    if not match or match[1] != "application/pdf":
        raise ValueError("file_data is a base64 data URL of application/pdf")
    media(match[1], match[2])
    return url


def object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise ValueError("a schema is an object with properties")
    for inner in _subschemas(schema):
        if inner.get("type") == "array" and "items" not in inner:
            raise ValueError("an array schema needs items")
    return schema


def _subschemas(schema: Any) -> list[dict[str, Any]]:
    """Return every object inside a JSON schema; not all of them are schemas, but that is exact enough here."""
    if isinstance(schema, list):
        return [inner for item in schema for inner in _subschemas(item)]
    if isinstance(schema, dict):
        return [schema, *(inner for value in schema.values() for inner in _subschemas(value))]
    return []


def check_strict(schema: Mapping[str, Any]) -> None:
    for inner in _subschemas(schema):
        properties = inner.get("properties")
        if inner.get("type") != "object" or not isinstance(properties, dict):
            continue
        if inner.get("additionalProperties") is not False:
            raise ValueError("with strict, additionalProperties must be false in every object")
        if set(inner.get("required", ())) != set(properties):
            raise ValueError("with strict, every property must be required")
