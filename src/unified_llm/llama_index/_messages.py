"""Conversion of LlamaIndex's messages and content blocks to ``Message`` and its parts.

The conversion does not depend on the target, since any target may continue a conversation, and it does not change the
caller's objects.

A history has the blocks of whichever model answered earlier. Opaque data of a model is dropped, except provider state
that ``UnifiedLLM`` stored, which goes back to its provider. A user's block that cannot be sent is an error; it is never
dropped silently. URLs are not fetched here but passed on to the provider.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import IOBase
from pathlib import Path
from typing import Any, Final

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.utils import resolve_binary

from unified_llm._lib.file_types import type_of_data, type_of_name
from unified_llm._lib.local_files import read_file, read_open_file
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._constants import PROVIDER_STATE
from unified_llm.types import content as ours
from unified_llm.types.content import AudioPart, FilePart, ImagePart, Part, TextPart
from unified_llm.types.local_parts import image_type, recording_format
from unified_llm.types.messages import Message, ProviderState, Role, ToolCall

# LlamaIndex's title of a document that was given none.
_DEFAULT_TITLE: Final = "input_document"


@dataclass(slots=True)
class MessageContent:
    """The converted blocks of one message.

    Attributes:
        parts: Text and media, in order.
        reasoning: The assistant's visible reasoning.
        calls: Tool calls.
        provider_state: Opaque state of the provider that wrote the answer, to be sent back to it.
    """

    parts: list[Part] = field(default_factory=list[Part])
    reasoning: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    provider_state: ProviderState | None = None

    def text_or_parts(self) -> str | tuple[Part, ...]:
        """Return plain text if all parts are text (joined by line breaks, as LlamaIndex does), otherwise the parts."""
        if all(isinstance(part, TextPart) for part in self.parts):
            return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))
        return tuple(self.parts)


def read_blocks(blocks: Sequence[Any], *, assistant: bool = False) -> MessageContent:
    """Convert the blocks of a message.

    Args:
        blocks: A message's blocks.
        assistant: A model wrote the message: blocks that cannot be sent are then dropped.

    Raises:
        ValidationError: A block lacks its data, or is of a kind that cannot be sent to a model.
    """
    content = MessageContent()
    for block in blocks:
        _add_block(content, block, assistant=assistant)
    return content


def _add_block(content: MessageContent, block: Any, *, assistant: bool) -> None:
    match block:
        case TextBlock():
            content.parts += [TextPart(block.text)] if block.text else []
        case ThinkingBlock():
            content.reasoning.append(block.content or "")
            content.provider_state = (
                ProviderState.from_dict(block.additional_information.get(PROVIDER_STATE)) or content.provider_state
            )
        case ToolCallBlock():
            content.calls.append(_read_call_block(block))
        case CitableBlock():
            content.parts += read_blocks(block.content).parts
        case CitationBlock() if assistant:  # the text that it supports is a block of its own
            pass
        case CitationBlock():
            content.parts += read_blocks([block.cited_content]).parts
        case _:
            content.parts += _read_media(block, assistant=assistant)


def _read_media(block: Any, *, assistant: bool) -> Sequence[Part]:
    if read := _MEDIA_READERS.get(type(block)):
        return (read(block),)
    if assistant:
        return ()
    kind = getattr(block, "block_type", type(block).__name__)
    raise ValidationError(f"A content block of type {kind!r} cannot be sent to a model.")


def _read_call_block(block: ToolCallBlock) -> ToolCall:
    call_id, arguments = block.tool_call_id or "", block.tool_kwargs
    if isinstance(arguments, str):
        return ToolCall.parse(call_id, block.tool_name, arguments)
    return ToolCall.from_arguments(call_id, block.tool_name, arguments)


def _image(block: ImageBlock) -> Part:
    if (data := _data(block.image, block.path, image_type)) is not None:
        return ImagePart(data=data, media_type=block.image_mimetype or "image/png", detail=block.detail)
    return ours.image_from_url(_url(block), block.detail)


def _audio(block: AudioBlock) -> Part:
    data = _data(block.audio, block.path, recording_format)
    if data is None:
        data, _ = _from_url(block, "Audio")
    return AudioPart(data, block.format or "wav")


def _check_video(start: bytes, name: str) -> None:
    if not (type_of_data(start) or type_of_name(name) or "").startswith("video/"):
        raise ValidationError("The file of a video block is no video.")


def _video(block: VideoBlock) -> Part:
    data = _data(block.video, block.path, _check_video)
    return FilePart(data, block.video_mimetype or "video/mp4", None, None if data is not None else _url(block))


def _document(block: DocumentBlock) -> Part:
    data = _data(block.data, block.path)
    title = block.title if block.title != _DEFAULT_TITLE else None
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


_MEDIA_READERS: Final[Mapping[type, Callable[[Any], Part]]] = {
    ImageBlock: _image,
    AudioBlock: _audio,
    VideoBlock: _video,
    DocumentBlock: _document,
    CachePoint: _cache_point,
}


def _data(
    data: bytes | IOBase | None, path: Any, check_start: Callable[[bytes, str], object] | None = None
) -> bytes | None:
    """Return the bytes of a block, or None if it has only a URL. LlamaIndex stores bytes in base64.

    ``check_start`` refuses a file that is not what the block says, by its first bytes and its name, before the rest of
    it is read: the path may have come with a message.
    """
    try:
        if isinstance(data, IOBase):
            return read_open_file(data)
        if data:
            return resolve_binary(data).read()
        if not path:
            return None
        name = Path(path).name
        return read_file(path, lambda start: check_start(start, name) if check_start else None)
    except (OSError, ValueError, TypeError) as error:
        # The path is not in the message: whoever reads the log may not be allowed to see it.
        reason = getattr(error, "strerror", None) or "it is not a file"
        raise ValidationError(f"The file of a content block cannot be read ({reason}).") from None


def _url(block: Any) -> str:
    if not block.url:
        raise ValidationError(f"A content block of type {block.block_type!r} lacks its data.")
    return str(block.url)


def _from_url(block: Any, kind: str) -> tuple[bytes, str | None]:
    url = _url(block)
    if not url.startswith("data:"):
        raise ValidationError(f"{kind} must be given as data: models do not fetch it from a URL.")
    return ours.split_data_url(url)


_ROLES: Final[Mapping[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def read_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Convert a conversation.

    Raises:
        ValidationError: A message has content that cannot be sent.
    """
    call_ids = _CallIds()
    return tuple(call_ids.make_unique(_read(message)) for message in messages)


def _read(message: ChatMessage) -> Message:
    role = _ROLES[message.role]
    extras = message.additional_kwargs
    content = read_blocks(message.blocks, assistant=role == "assistant")
    if role == "assistant":
        calls = content.calls or list(_calls(extras))  # most adapters write them twice, this one too
        reasoning = "".join(content.reasoning) or extras.get("reasoning_content")
        return Message(
            role,
            content.text_or_parts(),
            tool_calls=tuple(calls),
            reasoning=reasoning if isinstance(reasoning, str) and reasoning else None,
            provider_state=content.provider_state,
        )
    name = extras.get("name")
    name = name if isinstance(name, str) and name else None
    if role == "tool":
        return Message(role, content.text_or_parts(), name=name, tool_call_id=str(extras.get("tool_call_id") or ""))
    return Message(role, content.text_or_parts(), name=name)


def _calls(extras: Mapping[str, Any]) -> Iterator[ToolCall]:
    """Read calls from ``additional_kwargs``: dicts and objects in the format of OpenAI, Anthropic and others."""
    for call in extras.get("tool_calls") or ():
        function = _get(call, "function") or call
        name = _get(function, "name")
        if isinstance(name, str) and name:
            arguments = next((value for key in ("arguments", "input", "args") if (value := _get(function, key))), "")
            yield _call(str(_get(call, "id") or ""), name, arguments)
    legacy = extras.get("function_call")
    if legacy and not extras.get("tool_calls") and isinstance(name := _get(legacy, "name"), str):
        yield _call("", name, _get(legacy, "arguments") or "")


def _call(call_id: str, name: str, arguments: Any) -> ToolCall:
    if isinstance(arguments, Mapping):
        try:
            return ToolCall.from_arguments(call_id, name, arguments)
        except ValidationError:
            arguments = ""
    return ToolCall.parse(call_id, name, str(arguments))


def _get(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)


class _CallIds:
    """Gives a unique id to tool calls that share one or have none, and to their results.

    Some models use the tool's name as the id, so that two calls of one tool differ only by their order.
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, str]] = {}  # position of a call without a result yet → its old and new id
        self._positions: dict[str, deque[int]] = {}  # old id → positions of its calls

    def make_unique(self, message: Message) -> Message:
        if message.role == "assistant" and message.tool_calls:
            return self._calls(message)
        if message.role == "tool":
            return self._result(message)
        return message

    def _calls(self, message: Message) -> Message:
        old = [call.id for call in message.tool_calls]
        counts = Counter(old)
        new = [
            call_id if call_id and counts[call_id] == 1 else _numbered(call_id, counts, position)
            for position, call_id in enumerate(old)
        ]
        self._open = dict(enumerate(zip(old, new, strict=True)))
        self._positions = {}
        for position, call_id in enumerate(old):
            self._positions.setdefault(call_id, deque()).append(position)
        calls = tuple(replace(call, id=call_id) for call, call_id in zip(message.tool_calls, new, strict=True))
        return message if new == old else replace(message, tool_calls=calls)

    def _result(self, message: Message) -> Message:
        old = message.tool_call_id or ""
        position = self._next_position(old)
        if position is None:
            return message
        _, new = self._open.pop(position)
        return message if new == old else replace(message, tool_call_id=new)

    def _next_position(self, old: str) -> int | None:
        """Return the position of the next call of that id, or of any call for a result without an id."""
        if not old:
            return next(iter(self._open), None)
        positions = self._positions.get(old, deque())
        while positions:
            if (position := positions.popleft()) in self._open:
                return position
        return None


def _numbered(call_id: str, taken: Counter[str], position: int) -> str:
    number = position
    while (new := f"{call_id or 'call'}_{number}") in taken:
        number += taken.total()
    return new
