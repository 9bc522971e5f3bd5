"""The parts of a message as content blocks: text, images, documents, and marks for the cache."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, TypeAlias, assert_never

from unified_llm.content import AudioPart, CachePoint, FilePart, ImagePart, Part, TextPart
from unified_llm.exceptions import ValidationError
from unified_llm.providers.history import text_of_file

Block: TypeAlias = dict[str, Any]


def write_parts(content: str | tuple[Part, ...], path: str) -> list[Block]:
    """Content blocks; texts that say nothing are left out, since the API refuses them.

    A mark for the cache goes onto the block before it. One that stands before everything is left out.

    Args:
        content: A message's content.
        path: Where it is, for messages about what is wrong.

    Raises:
        ValidationError: A part is a sound, or a file that is neither PDF, text nor image.
    """
    blocks: list[Block] = []
    for index, part in enumerate([TextPart(content)] if isinstance(content, str) else content):
        match part:
            case CachePoint():
                if blocks:
                    blocks[-1]["cache_control"] = cache_control(part)
            case TextPart():
                if part.text.strip():
                    blocks.append({"type": "text", "text": part.text})
            case ImagePart():
                blocks.append({"type": "image", "source": _image_source(part)})
            case FilePart():
                blocks.append(_file(part, f"{path}[{index}]"))
            case AudioPart():
                raise ValidationError(f"{path}[{index}] is a sound, which this format cannot carry.")
            case _:
                assert_never(part)
    return blocks


def cache_control(point: CachePoint) -> Block:
    """The mark that ends what may be cached."""
    mark = {"type": "ephemeral"}
    return mark if point.ttl is None else {**mark, "ttl": point.ttl}


def flat(blocks: list[Block]) -> str | list[Block]:
    """The text itself where there is nothing but one plain text: every server takes that."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def limit_marks(blocks: Iterable[Block], most: int) -> int:
    """Keep the last marks for the cache, so many as the API takes; returns how many were taken away."""
    marked = [block for block in blocks if "cache_control" in block]
    extra = marked[: max(0, len(marked) - most)]
    for block in extra:
        del block["cache_control"]
    return len(extra)


def _image_source(image: ImagePart) -> Block:
    if image.data is None:
        return {"type": "url", "url": image.url}
    media_type = "image/jpeg" if image.media_type == "image/jpg" else image.media_type  # a common slip
    return {"type": "base64", "media_type": media_type, "data": b64encode(image.data).decode()}


def _file(file: FilePart, path: str) -> Block:
    if file.media_type.startswith("image/"):
        return {"type": "image", "source": _file_source(file, path)}
    block: Block = {"type": "document", "source": _file_source(file, path)}
    if file.filename:
        block["title"] = file.filename
    if file.cite:
        block["citations"] = {"enabled": True}
    return block


def _file_source(file: FilePart, path: str) -> Block:
    if file.file_id:
        return {"type": "file", "file_id": file.file_id}
    if file.data is None:
        return {"type": "url", "url": file.url}
    if (text := text_of_file(file)) is not None:  # the format takes it as ``text/plain`` alone
        return {"type": "text", "media_type": "text/plain", "data": text}
    if file.media_type == "application/pdf" or file.media_type.startswith("image/"):
        return {"type": "base64", "media_type": file.media_type, "data": b64encode(file.data).decode()}
    raise ValidationError(f"{path} is a file of a kind that this format cannot carry: it takes PDF, text and images.")
