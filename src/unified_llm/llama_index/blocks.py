"""LlamaIndex's content blocks, read as parts of a message.

Histories hold the blocks of whatever model answered earlier. What only its author can read is left behind, unless it
was ours and goes back to the same provider; what a user sent and cannot be sent on is an error, never dropped in
silence. Nothing is fetched from a URL here: that is left to the provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import IOBase
from pathlib import Path
from typing import Any, Final

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.utils import resolve_binary

from unified_llm import content as ours
from unified_llm.content import AudioPart, FilePart, ImagePart, Part, TextPart
from unified_llm.exceptions import ValidationError
from unified_llm.jsonx import dump
from unified_llm.llama_index.names import SEALED
from unified_llm.messages import Sealed, ToolCall

# What LlamaIndex calls a document that nobody named.
_NAMELESS: Final = "input_document"


@dataclass(slots=True)
class Content:
    """What the blocks of one message came to.

    Attributes:
        parts: Text and media, in order.
        reasoning: The assistant's visible reasoning.
        calls: Tool calls.
        sealed: What our own answer's provider wants back.
    """

    parts: list[Part] = field(default_factory=list[Part])
    reasoning: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    sealed: Sealed | None = None

    def flat(self) -> str | tuple[Part, ...]:
        """Plain text where there is nothing but texts, joined as LlamaIndex joins them; else the parts."""
        if all(isinstance(part, TextPart) for part in self.parts):
            return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))
        return tuple(self.parts)


def read_blocks(blocks: Sequence[Any], *, assistant: bool = False) -> Content:
    """Sort the blocks of a message.

    Args:
        blocks: A message's blocks.
        assistant: A model wrote it: what cannot be sent on is then left out.

    Raises:
        ValidationError: A block lacks its data, or is of a kind that cannot be sent to a model.
    """
    found = Content()
    for block in blocks:
        _sort(found, block, assistant=assistant)
    return found


def _sort(found: Content, block: Any, *, assistant: bool) -> None:
    match block:
        case TextBlock():
            found.parts += [TextPart(block.text)] if block.text else []
        case ThinkingBlock():
            found.reasoning.append(block.content or "")
            found.sealed = Sealed.from_dict(block.additional_information.get(SEALED)) or found.sealed
        case ToolCallBlock():
            found.calls.append(_call(block))
        case CitableBlock():
            found.parts += read_blocks(block.content).parts
        case CitationBlock() if assistant:  # the text that rests on it stands beside it
            pass
        case CitationBlock():
            found.parts += read_blocks([block.cited_content]).parts
        case _:
            found.parts += _media(block, assistant=assistant)


def _media(block: Any, *, assistant: bool) -> Sequence[Part]:
    if read := _MEDIA.get(type(block)):
        return (read(block),)
    if assistant:
        return ()
    kind = getattr(block, "block_type", type(block).__name__)
    raise ValidationError(f"A content block of type {kind!r} cannot be sent to a model.")


def _call(block: ToolCallBlock) -> ToolCall:
    identifier, arguments = block.tool_call_id or "", block.tool_kwargs
    if isinstance(arguments, str):
        return ToolCall.from_text(identifier, block.tool_name, arguments)
    return ToolCall(identifier, block.tool_name, arguments, dump(arguments))


def _image(block: ImageBlock) -> Part:
    if (data := _data(block.image, block.path)) is not None:
        return ImagePart(data=data, media_type=block.image_mimetype or "image/png", detail=block.detail)
    return ours.image_from_url(_url(block), block.detail)


def _audio(block: AudioBlock) -> Part:
    data = _data(block.audio, block.path)
    if data is None:
        data, _ = _from_url(block, "A sound")
    return AudioPart(data, block.format or "wav")


def _video(block: VideoBlock) -> Part:
    data = _data(block.video, block.path)
    return FilePart(data, block.video_mimetype or "video/mp4", None, None if data is not None else _url(block))


def _document(block: DocumentBlock) -> Part:
    data = _data(block.data, block.path)
    title = block.title if block.title != _NAMELESS else None
    if data is None:
        return FilePart(None, block.document_mimetype or "application/pdf", title, _url(block))
    kind = block.document_mimetype or ("application/pdf" if data.startswith(b"%PDF") else None)
    if kind is None or kind.startswith("text/"):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ValidationError("A document block of an unknown type: set its document_mimetype.") from None
        return TextPart(f"{title}\n\n{text}" if title else text)
    return FilePart(data, kind, title or Path(str(block.path)).name if block.path else title)


def _cache_point(block: CachePoint) -> Part:
    return ours.CachePoint(block.cache_control.ttl)


_MEDIA: Final[Mapping[type, Callable[[Any], Part]]] = {
    ImageBlock: _image,
    AudioBlock: _audio,
    VideoBlock: _video,
    DocumentBlock: _document,
    CachePoint: _cache_point,
}


def _data(data: bytes | IOBase | None, path: Any) -> bytes | None:
    """The bytes of a block; None where it has only a URL. LlamaIndex keeps bytes in base64."""
    try:
        if isinstance(data, IOBase):
            return _read_again(data)
        if data:
            return resolve_binary(data).read()
        return Path(path).read_bytes() if path else None
    except (OSError, ValueError, TypeError) as problem:
        # The path is not repeated: it may say more than its reader should know.
        reason = getattr(problem, "strerror", None) or "it is no file"
        raise ValidationError(f"The file of a content block cannot be read ({reason}).") from None


def _read_again(stream: Any) -> bytes:
    """All of a stream, which is left where it was: it belongs to the caller."""
    position = stream.tell()
    stream.seek(0)
    data: bytes = stream.read()
    stream.seek(position)
    return data


def _url(block: Any) -> str:
    if not block.url:
        raise ValidationError(f"A content block of type {block.block_type!r} lacks its data.")
    return str(block.url)


def _from_url(block: Any, what: str) -> tuple[bytes, str | None]:
    url = _url(block)
    if not url.startswith("data:"):
        raise ValidationError(f"{what} must be given as data: models do not fetch it from a URL.")
    return ours.split_data_url(url)
