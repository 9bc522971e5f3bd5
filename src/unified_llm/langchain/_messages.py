"""Convert LangChain's messages and content blocks into ours.

Any target may continue a history, so blocks that only the provider of an earlier response can read (signatures, server
tools) are dropped from the assistant's messages. A block of a user that cannot be sent is an error, never dropped
silently.

A block may be of LangChain's own kinds (versions 0 and 1), of OpenAI's or of Anthropic's: histories contain all of
them, because each provider's package writes its own. Anthropic's cache points and its request for citations are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from unified_llm.exceptions import ValidationError
from unified_llm.langchain._constants import PROVIDER_STATE
from unified_llm.types.content import (
    AudioPart,
    CachePoint,
    FilePart,
    ImagePart,
    Part,
    TextPart,
    audio_format,
    cache_points,
    decode_base64,
    image_from_url,
    is_data_url,
    read_image_url,
    read_input_audio,
    read_openai_file,
    split_data_url,
)
from unified_llm.types.messages import Message, ProviderState, Role, ToolCall

Block: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Content:
    """The content of one message, sorted.

    Attributes:
        parts: Text, media and cache points, in order.
        reasoning: The assistant's visible reasoning.
        tool_calls: Tool calls that are content blocks.
        tool_results: Anthropic's tool results, which are content blocks of a user's message.
    """

    parts: list[Part] = field(default_factory=list[Part])
    reasoning: list[str] = field(default_factory=list[str])
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    tool_results: list[Block] = field(default_factory=list[Block])

    def flatten(self, *, join: bool = False) -> str | tuple[Part, ...]:
        """Return plain text if there is at most one text, or, with ``join``, texts alone; otherwise the parts."""
        texts = [part.text for part in self.parts if isinstance(part, TextPart)]
        if len(texts) == len(self.parts) and (join or len(texts) < 2):
            return "".join(texts)
        return tuple(self.parts)


def read_content(content: str | list[str | dict[Any, Any]], *, assistant: bool = False) -> Content:
    """Sort the blocks of a message.

    Args:
        content: A message's content.
        assistant: A model wrote it: blocks that only its own provider can read are then dropped.

    Raises:
        ValidationError: A block lacks its data, or is of a kind that cannot be sent to a model.
    """
    sorted_content = Content()
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            if block:
                sorted_content.parts.append(TextPart(block))
            continue
        kind = _kind_of(block)
        try:
            _add_block(sorted_content, kind, block, assistant=assistant)
        except (KeyError, TypeError, AttributeError):
            raise ValidationError(f"A content block of type {kind!r} lacks its data.") from None
    return sorted_content


def _kind_of(block: Block) -> str:
    """Return the type of a block; Bedrock's have none, but one field with that name (``cachePoint``)."""
    if kind := block.get("type"):
        return str(kind)
    return "text" if "text" in block else next(iter(block), "")


def _add_block(content: Content, kind: str, block: Block, *, assistant: bool) -> None:
    if read_part := _PART_READERS.get(kind):
        part = read_part(block)
        if not isinstance(part, TextPart) or part.text:
            content.parts.append(part)
        content.parts.extend(_read_cache_points(block))
    elif kind in {"thinking", "reasoning"}:
        content.reasoning.append(_read_reasoning(block))
    elif kind in {"tool_use", "tool_call"}:
        arguments = block.get("input" if kind == "tool_use" else "args") or {}
        content.tool_calls.append(ToolCall.from_arguments(str(block["id"] or ""), block["name"], arguments))
    elif kind == "invalid_tool_call":
        content.tool_calls.append(ToolCall.parse(str(block["id"] or ""), block["name"] or "", block["args"] or ""))
    elif kind == "tool_result" and not assistant:
        content.tool_results.append(block)
    elif kind == "non_standard" and (wrapped := _kind_of(block["value"])) in _PART_READERS:
        _add_block(content, wrapped, block["value"], assistant=assistant)
    elif not assistant:
        kinds = ", ".join(sorted(_PART_READERS))
        raise ValidationError(f"A content block of type {kind!r} cannot be sent to a model. Blocks that can: {kinds}.")


def _read_cache_points(block: Block) -> Iterator[CachePoint]:
    """Read the cache point of a block; LangChain's standard blocks have it in their extras."""
    for fields in (block, block.get("extras")):
        if isinstance(fields, Mapping) and fields.get("cache_control"):
            yield from cache_points(fields)
            return


def _read_text(block: Block) -> Part:
    return TextPart(str(block["text"]))


def _read_refusal(block: Block) -> Part:
    return TextPart(str(block["refusal"]))


def _read_image_url(block: Block) -> Part:
    return read_image_url(block["image_url"])


def _read_image(block: Block) -> Part:
    data, url, file_id, media_type = _read_source(block)
    if file_id:
        # Providers that take an image by identifier do so in different ways: a codec that supports it gets a file.
        return FilePart(media_type=media_type or "image/png", file_id=file_id)
    return ImagePart(data=data, media_type=media_type or "image/png") if data else image_from_url(url or "")


def _read_audio(block: Block) -> Part:
    data, _, _, media_type = _read_source(block)
    if not data:
        raise ValidationError("Audio must be given as base64 data: models do not fetch it from a URL.")
    return AudioPart(data, audio_format(media_type or "audio/wav"))


def _read_input_audio(block: Block) -> Part:
    return read_input_audio(block["input_audio"])


def _read_file(block: Block) -> Part:
    if isinstance(openai_file := block.get("file"), Mapping):
        return read_openai_file(openai_file)
    if block.get("source_type") == "text":  # LangChain's version 0
        return TextPart(str(block["text"] if "text" in block else block["data"]))
    cite = _asks_for_citations(block)
    if isinstance(source := block.get("source"), Mapping) and source.get("type") == "text":  # Anthropic's
        text = str(source["data"])
        if not cite:
            return TextPart(text)
        return FilePart(text.encode(errors="replace"), "text/plain", _read_filename(block), cite=True)
    data, url, file_id, media_type = _read_source(block)
    return FilePart(data, media_type or "application/pdf", _read_filename(block), url, file_id, cite)


def _asks_for_citations(block: Block) -> bool:
    citations = block.get("citations")
    return isinstance(citations, Mapping) and bool(citations.get("enabled"))


def _read_plain_text(block: Block) -> Part:
    if isinstance(text := block.get("text"), str):
        return TextPart(text)
    return TextPart(decode_base64(block["base64"]).decode(errors="replace"))


def _read_video(block: Block) -> Part:
    data, url, file_id, media_type = _read_source(block)
    return FilePart(data, media_type or "video/mp4", _read_filename(block), url, file_id)


def _read_bedrock_cache_point(block: Block) -> Part:
    """Read Bedrock's mark: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CachePointBlock.html."""
    mark = block.get("cachePoint")
    ttl = (mark if isinstance(mark, Mapping) else block).get("ttl")
    return CachePoint(ttl if isinstance(ttl, str) else None)


# Kind of block -> function that reads it as a part of a message.
_PART_READERS: Final[Mapping[str, Callable[[Block], Part]]] = {
    "text": _read_text,
    "refusal": _read_refusal,
    "text-plain": _read_plain_text,
    "image": _read_image,
    "image_url": _read_image_url,
    "audio": _read_audio,
    "input_audio": _read_input_audio,
    "file": _read_file,
    "document": _read_file,
    "video": _read_video,
    "cachePoint": _read_bedrock_cache_point,
}


def _read_source(block: Block) -> tuple[bytes | None, str | None, str | None, str | None]:
    """Read data, URL, file identifier and media type, whichever of the formats the block has.

    Raises:
        KeyError: The block has neither data nor URL nor file identifier.
    """
    source = block.get("source")
    fields: Block = source if isinstance(source, Mapping) else block
    encoded = fields.get("base64") or fields.get("data")
    url = fields.get("url")
    file_id = fields.get("file_id") or (fields.get("id") if fields.get("source_type") == "id" else None)
    media_type = fields.get("mime_type") or fields.get("media_type")
    if encoded is None and isinstance(url, str) and is_data_url(url):
        decoded, url_media_type = split_data_url(url)
        return decoded, None, None, media_type or url_media_type
    if encoded is None and not url and not file_id:
        raise KeyError
    return decode_base64(encoded) if encoded else None, url, file_id, media_type


def _read_filename(block: Block) -> str | None:
    for fields in (block, block.get("extras") or {}, block.get("metadata") or {}):
        for name in ("filename", "name", "title"):
            if isinstance(fields.get(name), str):
                return str(fields[name])
    return None


def _read_reasoning(block: Block) -> str:
    """Read plain-text reasoning: Anthropic's, LangChain's, or the summary of OpenAI's Responses API."""
    text = block.get("thinking") or block.get("reasoning")
    if isinstance(text, str):
        return text
    return "".join(str(part.get("text", "")) for part in block.get("summary") or ())


# Our role by the role of a ChatMessage, which is free text.
_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}


def read_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """Convert a conversation.

    Raises:
        ValidationError: A message has an unknown role, or content that cannot be sent.
    """
    return tuple(converted for message in messages for converted in _read_message(message))


def _read_message(message: BaseMessage) -> Iterable[Message]:
    match message:
        case AIMessage():
            return (_read_assistant_message(message),)
        case ToolMessage():
            return (_read_tool_message(message),)
        case HumanMessage():
            return _read_user_message(message)
        case SystemMessage():
            return (Message("system", read_content(message.content).flatten(), name=message.name),)
        case FunctionMessage():
            content = read_content(message.content).flatten()
            return (Message("tool", content, name=message.name, tool_call_id=_make_function_call_id(message.name)),)
        case ChatMessage():
            return _read_chat_message(message)
        case _:
            raise ValidationError(f"A {type(message).__name__} cannot be sent to a model.")


def _read_user_message(message: BaseMessage) -> Iterable[Message]:
    """Convert a user's message. Anthropic's tool results in it come first: they answer the turn before."""
    content = read_content(message.content)
    for result in content.tool_results:
        yield _read_anthropic_result(result)
    if content.parts or not content.tool_results:
        yield Message("user", content.flatten(), name=message.name)


def _read_anthropic_result(block: Block) -> Message:
    content = read_content(block.get("content") or "").flatten()
    call_id = str(block.get("tool_use_id", ""))
    return Message("tool", content, tool_call_id=call_id, is_error=bool(block.get("is_error")))


def _read_tool_message(message: ToolMessage) -> Message:
    return Message(
        "tool",
        read_content(message.content).flatten(),
        name=message.name,
        tool_call_id=message.tool_call_id,
        is_error=message.status == "error",
    )


def _read_chat_message(message: ChatMessage) -> Iterable[Message]:
    role = _ROLES.get(message.role.lower())
    if role is None:
        raise ValidationError(f"The role of a ChatMessage must be one of {', '.join(_ROLES)}.")
    content = read_content(message.content, assistant=role == "assistant")
    return (Message(role, content.flatten(), name=message.name),)


def _read_assistant_message(message: AIMessage) -> Message:
    content = read_content(message.content, assistant=True)
    reasoning = "".join(content.reasoning) or message.additional_kwargs.get("reasoning_content")
    return Message(
        "assistant",
        content.flatten(join=True),
        name=message.name,
        tool_calls=tuple(_read_tool_calls(message, content)),
        reasoning=reasoning if isinstance(reasoning, str) and reasoning else None,
        provider_state=ProviderState.from_dict(message.additional_kwargs.get(PROVIDER_STATE)),
    )


def _read_tool_calls(message: AIMessage, content: Content) -> Iterable[ToolCall]:
    """Return each tool call once: LangChain repeats those in the content blocks in fields of the message."""
    seen: set[str] = set()
    for call in message.tool_calls:
        seen.add(call["id"] or "")
        yield ToolCall.from_arguments(call["id"] or "", call["name"], call["args"])
    for invalid in message.invalid_tool_calls:
        seen.add(invalid["id"] or "")
        yield ToolCall.parse(invalid["id"] or "", invalid["name"] or "", invalid["args"] or "")
    yield from (call for call in content.tool_calls if call.id not in seen)
    legacy = message.additional_kwargs.get("function_call")
    if isinstance(legacy, Mapping) and not seen:
        name = str(legacy.get("name", ""))
        yield ToolCall.parse(_make_function_call_id(name), name, str(legacy.get("arguments") or ""))


def _make_function_call_id(name: str) -> str:
    """Return an identifier for a legacy ``function_call``, which has none."""
    return f"call_{name}"
