"""LlamaIndex's messages, read as a conversation of ours.

Nothing is decided here, and nothing of the caller's is changed: a history may be continued by any target.

LlamaIndex's content blocks, read as parts of a message.

Histories hold the blocks of whatever model answered earlier. What only its author can read is left behind, unless it
was ours and goes back to the same provider; what a user sent and cannot be sent on is an error, never dropped in
silence. Nothing is fetched from a URL here: that is left to the provider.
"""

from __future__ import annotations

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

from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index._constants import PROVIDER_STATE
from unified_llm.types import content as ours
from unified_llm.types.content import AudioPart, FilePart, ImagePart, Part, TextPart
from unified_llm.types.messages import Message, ProviderState, Role, ToolCall

# What LlamaIndex calls a document that nobody named.
_NAMELESS: Final = "input_document"


@dataclass(slots=True)
class Content:
    """What the blocks of one message came to.

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
            found.provider_state = (
                ProviderState.from_dict(block.additional_information.get(PROVIDER_STATE)) or found.provider_state
            )
        case ToolCallBlock():
            found.calls.append(_call_of(block))
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


def _call_of(block: ToolCallBlock) -> ToolCall:
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
    """Translate a conversation.

    Raises:
        ValidationError: A message has content that cannot be sent.
    """
    pairs = _Pairs()
    return tuple(pairs.keep(_read(message)) for message in messages)


def _read(message: ChatMessage) -> Message:
    role = _ROLES[message.role]
    extras = message.additional_kwargs
    content = read_blocks(message.blocks, assistant=role == "assistant")
    if role == "assistant":
        calls = content.calls or list(_calls(extras))  # most models write them twice, and we do too
        reasoning = "".join(content.reasoning) or extras.get("reasoning_content")
        return Message(
            role,
            content.flat(),
            tool_calls=tuple(calls),
            reasoning=reasoning if isinstance(reasoning, str) and reasoning else None,
            provider_state=content.provider_state,
        )
    name = extras.get("name")
    name = name if isinstance(name, str) and name else None
    if role == "tool":
        return Message(role, content.flat(), name=name, tool_call_id=str(extras.get("tool_call_id") or ""))
    return Message(role, content.flat(), name=name)


def _calls(extras: Mapping[str, Any]) -> Iterator[ToolCall]:
    """Calls among a message's extras, as whichever model wrote them: dicts and objects of OpenAI's, Anthropic's, ..."""
    for call in extras.get("tool_calls") or ():
        function = _get(call, "function") or call
        name = _get(function, "name")
        if isinstance(name, str) and name:
            arguments = next((found for key in ("arguments", "input", "args") if (found := _get(function, key))), "")
            yield _call(str(_get(call, "id") or ""), name, arguments)
    legacy = extras.get("function_call")
    if legacy and not extras.get("tool_calls") and isinstance(name := _get(legacy, "name"), str):
        yield _call("", name, _get(legacy, "arguments") or "")


def _call(identifier: str, name: str, arguments: Any) -> ToolCall:
    if isinstance(arguments, Mapping):
        try:
            return ToolCall(identifier, name, arguments, dump(arguments))
        except JSONError:
            arguments = ""
    return ToolCall.from_text(identifier, name, str(arguments))


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


class _Pairs:
    """Gives calls that share an identifier, or have none, identifiers of their own, and their results too.

    Some models name a call after its tool, so that two calls of one tool are told apart by their order alone.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []

    def keep(self, message: Message) -> Message:
        if message.role == "assistant" and message.tool_calls:
            return self._calls(message)
        if message.role == "tool":
            return self._result(message)
        return message

    def _calls(self, message: Message) -> Message:
        given = [call.id for call in message.tool_calls]
        new = [each if each and given.count(each) == 1 else _numbered(each, given, at) for at, each in enumerate(given)]
        self._open = list(zip(given, new, strict=True))
        calls = tuple(replace(call, id=each) for call, each in zip(message.tool_calls, new, strict=True))
        return message if new == given else replace(message, tool_calls=calls)

    def _result(self, message: Message) -> Message:
        said = message.tool_call_id or ""
        found = next((pair for pair in self._open if pair[0] == said or not said), None)
        if found is None:
            return message
        self._open.remove(found)
        return message if found[1] == said else replace(message, tool_call_id=found[1])


def _numbered(identifier: str, given: Sequence[str], position: int) -> str:
    number = position
    while (new := f"{identifier or 'call'}_{number}") in given:
        number += len(given)
    return new
