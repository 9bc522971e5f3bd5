"""A conversation as a list of input items, whoever wrote its turns.

Turns, calls and results are items side by side here. Every call must have a result and every result a call, or the
whole request is refused; reasoning may come back only right before what it led to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from unified_llm._core.target import Target
from unified_llm._formats.history import (
    arguments_text,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    shorten_call_id,
    text_of,
)
from unified_llm._formats.openai_responses.provider_state import Kept, restore_state
from unified_llm._formats.request_fields import file_data
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Part, TextPart, data_url
from unified_llm.types.messages import Message

_NOTHING_KEPT: Final = Kept()


def write_items(messages: Sequence[Message], target: Target) -> list[Mapping[str, Any]]:
    """The ``input`` of a request.

    Raises:
        ValidationError: There is content that this format cannot carry, or the arguments of an earlier tool call have
            no JSON form.
    """
    items: list[Mapping[str, Any]] = []
    for index, message in enumerate(pair_tool_results(dedupe_call_ids(messages), answer_all=True)):
        items.extend(_turn(message, f"messages[{index}]", target))
    return items


def _turn(message: Message, path: str, target: Target) -> Iterator[Mapping[str, Any]]:
    match message.role:
        case "assistant":
            yield from _assistant(message, path, target)
        case "tool":
            identifier = shorten_call_id(message.tool_call_id or "", target.quirks)
            yield {"type": "function_call_output", "call_id": identifier, "output": _output(message, path)}
        case "system" if not is_text(message.content):
            raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
        case "system":
            yield _said("system", text_of(message.content))
        case _:
            yield _said("user", _content(message.content, path))


def _said(role: str, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    # Servers tell the items of an assistant's turn by their type; for the others it may be left out.
    return {"type": "message", "role": role, "content": content}


def _assistant(message: Message, path: str, target: Target) -> Iterator[Mapping[str, Any]]:
    """An earlier answer: its text and its calls, each after the reasoning that led to it, if that is ours to give."""
    kept = restore_state(message.provider_state, target) if message.provider_state else _NOTHING_KEPT
    text = text_of(message.content)
    if text or not message.tool_calls:
        if text:
            yield from kept.before_text
        phase = {"phase": kept.phase} if kept.phase else {}
        yield _said("assistant", text) | phase
    for index, call in enumerate(message.tool_calls):
        yield from kept.before_call.get(call.id, ())
        yield {
            "type": "function_call",
            "call_id": shorten_call_id(call.id, target.quirks),
            "name": call.name,
            "arguments": arguments_text(call, f"{path}.tool_calls[{index}]"),
        }


def _output(message: Message, path: str) -> str | list[dict[str, Any]]:
    """What a tool returned: text, or a list of parts where there is more than that."""
    if not is_text(message.content):
        written = _content(message.content, path)
        said = [{"type": "input_text", "text": "Error:"}] if message.is_error else []
        return [*said, *written] if isinstance(written, list) else written
    text = text_of(message.content)
    return f"Error: {text}" if message.is_error and not text.lower().startswith("error") else text


def _content(content: str | tuple[Part, ...], path: str) -> str | list[dict[str, Any]]:
    if is_text(content):
        return text_of(content)
    # Marks for the cache are left out: these providers cache by themselves.
    return [_part(part, path) for part in content if not isinstance(part, (CachePoint, str))]


def _part(part: Part, path: str) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            url = part.url if part.data is None else data_url(part.data, part.media_type)
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case FilePart():
            return {"type": "input_file", **_file(part)}
        case AudioPart() | CachePoint():
            raise ValidationError(f"{path} holds audio, which this format cannot carry.")


def _file(file: FilePart) -> Mapping[str, Any]:
    if file.file_id:
        return {"file_id": file.file_id}
    if file.data is None:
        return {"file_url": file.url}
    return file_data(file)
