"""LangChain's messages, tools and options, read as a request of ours.

Nothing is decided here, and nothing is kept that belongs to the provider that answered earlier: a history may be
continued by any target.

LangChain's content blocks, read as parts of a message.

A block may be of LangChain's own kinds (versions 0 and 1), of OpenAI's, or of Anthropic's: histories hold all of them,
because each provider's package wrote its own. Anthropic's marks for the cache and its wish for citations are kept. What
only its author can read (signatures, server tools) is left behind; what a user sent and cannot be sent on is an error,
never dropped in silence.
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

from unified_llm._lib.bounded_json import dump
from unified_llm.exceptions import ValidationError
from unified_llm.langchain._constants import PROVIDER_STATE
from unified_llm.types.content import (
    AudioPart,
    CachePoint,
    FilePart,
    ImagePart,
    Part,
    TextPart,
    cache_points,
    decode_base64,
    image_from_url,
    split_data_url,
)
from unified_llm.types.messages import Message, ProviderState, Role, ToolCall

Block: TypeAlias = Mapping[str, Any]

# Names under which the media types of sounds go as a format.
_SOUNDS: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}


@dataclass(slots=True)
class Content:
    """What the content of one message came to.

    Attributes:
        parts: Text, media and marks for the cache, in order.
        reasoning: The assistant's visible reasoning.
        calls: Tool calls that stand among the content.
        results: Anthropic's tool results, which travel inside a user's message.
    """

    parts: list[Part] = field(default_factory=list[Part])
    reasoning: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    results: list[Block] = field(default_factory=list[Block])

    def flat(self, *, join: bool = False) -> str | tuple[Part, ...]:
        """Plain text where there is but one text, or, with ``join``, nothing but texts; else the parts."""
        texts = [part.text for part in self.parts if isinstance(part, TextPart)]
        if len(texts) == len(self.parts) and (join or len(texts) < 2):
            return "".join(texts)
        return tuple(self.parts)


def read_content(content: str | list[str | dict[Any, Any]], *, assistant: bool = False) -> Content:
    """Sort the blocks of a message.

    Args:
        content: A message's content.
        assistant: A model wrote it: blocks that belong to its own provider are then left out.

    Raises:
        ValidationError: A block lacks its data, or is of a kind that cannot be sent to a model.
    """
    found = Content()
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            if block:
                found.parts.append(TextPart(block))
            continue
        kind = str(block.get("type") or ("text" if "text" in block else ""))
        try:
            _sort(found, kind, block, assistant=assistant)
        except (KeyError, TypeError, AttributeError):
            raise ValidationError(f"A content block of type {kind!r} lacks its data.") from None
    return found


def _sort(found: Content, kind: str, block: Block, *, assistant: bool) -> None:
    if read := _PARTS.get(kind):
        part = read(block)
        if not isinstance(part, TextPart) or part.text:
            found.parts.append(part)
        found.parts.extend(_cache_points(block))
    elif kind in {"thinking", "reasoning"}:
        found.reasoning.append(_reasoning(block))
    elif kind in {"tool_use", "tool_call"}:
        arguments = block.get("input" if kind == "tool_use" else "args") or {}
        found.calls.append(ToolCall(str(block["id"] or ""), block["name"], arguments, dump(arguments)))
    elif kind == "invalid_tool_call":
        found.calls.append(ToolCall.from_text(str(block["id"] or ""), block["name"] or "", block["args"] or ""))
    elif kind == "tool_result" and not assistant:
        found.results.append(block)
    elif kind == "non_standard" and block["value"].get("type") in _PARTS:
        _sort(found, block["value"]["type"], block["value"], assistant=assistant)
    elif not assistant:
        raise ValidationError(
            f"A content block of type {kind!r} cannot be sent to a model. Blocks that can: {', '.join(sorted(_PARTS))}."
        )


def _cache_points(block: Block) -> Iterator[CachePoint]:
    """The mark for the cache on a block; standard blocks have it among their extras."""
    for place in (block, block.get("extras")):
        if isinstance(place, Mapping) and place.get("cache_control"):
            yield from cache_points(place)
            return


def _text(block: Block) -> Part:
    return TextPart(str(block["text"]))


def _refusal(block: Block) -> Part:
    return TextPart(str(block["refusal"]))


def _image_url(block: Block) -> Part:
    image = block["image_url"]
    url, detail = (image, None) if isinstance(image, str) else (image["url"], image.get("detail"))
    return image_from_url(url, detail)


def _image(block: Block) -> Part:
    data, url, file_id, media_type = _source(block)
    if file_id:
        # No provider takes an image by identifier in the same way; the codec that can sees it as a file.
        return FilePart(media_type=media_type or "image/png", file_id=file_id)
    return ImagePart(data=data, media_type=media_type or "image/png") if data else image_from_url(url or "")


def _audio(block: Block) -> Part:
    data, _, _, media_type = _source(block)
    if not data:
        raise ValidationError("A sound must be given as base64 data: models do not fetch it from a URL.")
    subtype = (media_type or "audio/wav").partition("/")[2].partition(";")[0]
    return AudioPart(data, _SOUNDS.get(subtype, subtype))


def _input_audio(block: Block) -> Part:
    return AudioPart(decode_base64(block["input_audio"]["data"]), block["input_audio"].get("format") or "wav")


def _file(block: Block) -> Part:
    if isinstance(wrapped := block.get("file"), Mapping):  # OpenAI's
        if file_id := wrapped.get("file_id"):
            return FilePart(file_id=str(file_id), filename=wrapped.get("filename"))
        decoded, named = split_data_url(wrapped["file_data"])
        return FilePart(decoded, named or "application/pdf", wrapped.get("filename"))
    if block.get("source_type") == "text":  # LangChain's version 0
        return TextPart(str(block["text"] if "text" in block else block["data"]))
    cite = _is_cited(block)
    if isinstance(source := block.get("source"), Mapping) and source.get("type") == "text":  # Anthropic's
        text = str(source["data"])
        if not cite:
            return TextPart(text)
        return FilePart(text.encode(errors="replace"), "text/plain", _filename(block), cite=True)
    data, url, file_id, media_type = _source(block)
    return FilePart(data, media_type or "application/pdf", _filename(block), url, file_id, cite)


def _is_cited(block: Block) -> bool:
    wish = block.get("citations")
    return isinstance(wish, Mapping) and bool(wish.get("enabled"))


def _plain_text(block: Block) -> Part:
    if isinstance(text := block.get("text"), str):
        return TextPart(text)
    return TextPart(decode_base64(block["base64"]).decode(errors="replace"))


def _video(block: Block) -> Part:
    data, url, file_id, media_type = _source(block)
    return FilePart(data, media_type or "video/mp4", _filename(block), url, file_id)


# Every kind of block that is a part of a message.
_PARTS: Final[Mapping[str, Callable[[Block], Part]]] = {
    "text": _text,
    "refusal": _refusal,
    "text-plain": _plain_text,
    "image": _image,
    "image_url": _image_url,
    "audio": _audio,
    "input_audio": _input_audio,
    "file": _file,
    "document": _file,
    "video": _video,
}


def _source(block: Block) -> tuple[bytes | None, str | None, str | None, str | None]:
    """Data, URL, identifier and media type, wherever the block's author put them."""
    source = block.get("source")
    place: Block = source if isinstance(source, Mapping) else block
    encoded = place.get("base64") or place.get("data")
    url = place.get("url")
    file_id = place.get("file_id") or (place.get("id") if place.get("source_type") == "id" else None)
    media_type = place.get("mime_type") or place.get("media_type")
    if encoded is None and isinstance(url, str) and url.startswith("data:"):
        decoded, named = split_data_url(url)
        return decoded, None, None, media_type or named
    if encoded is None and not url and not file_id:
        raise KeyError
    return decode_base64(encoded) if encoded else None, url, file_id, media_type


def _filename(block: Block) -> str | None:
    for place in (block, block.get("extras") or {}, block.get("metadata") or {}):
        for name in ("filename", "name", "title"):
            if isinstance(place.get(name), str):
                return str(place[name])
    return None


def _reasoning(block: Block) -> str:
    """Readable reasoning: Anthropic's, LangChain's, or the summary of OpenAI's Responses API."""
    text = block.get("thinking") or block.get("reasoning")
    if isinstance(text, str):
        return text
    return "".join(str(each.get("text", "")) for each in block.get("summary") or ())


# What a chat message, whose role is free text, may call the roles.
_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}


def read_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """Translate a conversation.

    Raises:
        ValidationError: A message has no role that a model knows, or content that cannot be sent.
    """
    return tuple(each for message in messages for each in _read(message))


def _read(message: BaseMessage) -> Iterable[Message]:
    match message:
        case AIMessage():
            return (_assistant(message),)
        case ToolMessage():
            return (_tool_result(message),)
        case HumanMessage():
            return _user(message)
        case SystemMessage():
            return (Message("system", read_content(message.content).flat(), name=message.name),)
        case FunctionMessage():
            content = read_content(message.content).flat()
            return (Message("tool", content, name=message.name, tool_call_id=_function_id(message.name)),)
        case ChatMessage():
            return _chat(message)
        case _:
            raise ValidationError(f"A {type(message).__name__} cannot be sent to a model.")


def _user(message: BaseMessage) -> Iterable[Message]:
    """A user's turn. Anthropic's tool results travel in it, and come first: they answer the turn before."""
    content = read_content(message.content)
    for result in content.results:
        yield _anthropic_result(result)
    if content.parts or not content.results:
        yield Message("user", content.flat(), name=message.name)


def _anthropic_result(block: Block) -> Message:
    inner = read_content(block.get("content") or "").flat()
    return Message("tool", inner, tool_call_id=str(block.get("tool_use_id", "")), is_error=bool(block.get("is_error")))


def _tool_result(message: ToolMessage) -> Message:
    return Message(
        "tool",
        read_content(message.content).flat(),
        name=message.name,
        tool_call_id=message.tool_call_id,
        is_error=message.status == "error",
    )


def _chat(message: ChatMessage) -> Iterable[Message]:
    role = _ROLES.get(message.role.lower())
    if role is None:
        raise ValidationError(f"A ChatMessage needs a role that models know, one of {', '.join(_ROLES)}.")
    content = read_content(message.content, assistant=role == "assistant")
    return (Message(role, content.flat(), name=message.name),)


def _assistant(message: AIMessage) -> Message:
    content = read_content(message.content, assistant=True)
    reasoning = "".join(content.reasoning) or message.additional_kwargs.get("reasoning_content")
    return Message(
        "assistant",
        content.flat(join=True),
        name=message.name,
        tool_calls=tuple(_calls(message, content)),
        reasoning=reasoning if isinstance(reasoning, str) and reasoning else None,
        provider_state=ProviderState.from_dict(message.additional_kwargs.get(PROVIDER_STATE)),
    )


def _calls(message: AIMessage, content: Content) -> Iterable[ToolCall]:
    """Every call once: LangChain repeats the calls that stand among the content in fields of the message."""
    seen: set[str] = set()
    for call in message.tool_calls:
        seen.add(call["id"] or "")
        yield ToolCall(call["id"] or "", call["name"], call["args"], dump(call["args"]))
    for broken in message.invalid_tool_calls:
        seen.add(broken["id"] or "")
        yield ToolCall.from_text(broken["id"] or "", broken["name"] or "", broken["args"] or "")
    yield from (call for call in content.calls if call.id not in seen)
    legacy = message.additional_kwargs.get("function_call")
    if isinstance(legacy, Mapping) and not seen:
        name = str(legacy.get("name", ""))
        yield ToolCall.from_text(_function_id(name), name, str(legacy.get("arguments") or ""))


def _function_id(name: str) -> str:
    """The identifier of a call from before calls had identifiers."""
    return f"call_{name}"
