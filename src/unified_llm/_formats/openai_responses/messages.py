"""Write a conversation as a list of input items, including turns of other providers' models.

Messages, calls and results are separate items of one list. Every call must have a result and every result a call, or
the API rejects the request; reasoning is accepted only right before the item that followed it in the response.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final

from unified_llm._core.target import Target
from unified_llm._formats.custom_tools import input_of
from unified_llm._formats.history import (
    arguments_text,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    shorten_call_id,
    text_of,
    without_empty_answers,
)
from unified_llm._formats.openai_responses.provider_state import ReasoningItems, restore_state
from unified_llm._formats.request_fields import file_data, registered_type
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Part, TextPart, data_url
from unified_llm.types.messages import Message

_NO_ITEMS: Final = ReasoningItems()


def write_items(
    messages: Sequence[Message], target: Target, custom_tools: frozenset[str] = frozenset()
) -> list[Mapping[str, Any]]:
    """Write the ``input`` of a request.

    Args:
        messages: The conversation.
        target: The target.
        custom_tools: The names of custom tools that the request offers, see ``custom_tools``.

    Raises:
        ValidationError: The format cannot represent some content, or the arguments of an earlier tool call have no
            JSON form.
    """
    items: list[Mapping[str, Any]] = []
    ordered = pair_tool_results(dedupe_call_ids(without_empty_answers(messages, target)), answer_all=True)
    custom_ids = {call.id for message in ordered for call in message.tool_calls if call.name in custom_tools}
    for index, message in enumerate(ordered):
        items.extend(_write_message(message, f"messages[{index}]", target, custom_ids))
    return items


def _write_message(
    message: Message, path: str, target: Target, custom_ids: Container[str | None]
) -> Iterator[Mapping[str, Any]]:
    match message.role:
        case "assistant":
            yield from _write_assistant(message, path, target, custom_ids)
        case "tool":
            kind = "custom_tool_call_output" if message.tool_call_id in custom_ids else "function_call_output"
            identifier = shorten_call_id(message.tool_call_id or "", target.quirks)
            yield {"type": kind, "call_id": identifier, "output": _write_tool_output(message, path)}
        case "system" if not is_text(message.content):
            raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
        case "system":
            yield _message_item("system", text_of(message.content))
        case _:
            yield _message_item("user", _write_content(message.content, path))


def _message_item(role: str, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    # Servers need the type to recognise items of the assistant; it is optional for the other roles.
    return {"type": "message", "role": role, "content": content}


def _write_assistant(
    message: Message, path: str, target: Target, custom_ids: Container[str | None]
) -> Iterator[Mapping[str, Any]]:
    """Write an earlier response: its text and its calls, each after its reasoning, if that came from this target."""
    items = restore_state(message.provider_state, target) if message.provider_state else _NO_ITEMS
    text = text_of(message.content)
    if text or not message.tool_calls:
        if text:
            yield from items.before_text
        phase = {"phase": items.phase} if items.phase else {}
        yield _message_item("assistant", text) | phase
    for index, call in enumerate(message.tool_calls):
        yield from items.before_call.get(call.id, ())
        identifier = shorten_call_id(call.id, target.quirks)
        if call.id in custom_ids:
            yield {"type": "custom_tool_call", "call_id": identifier, "name": call.name, "input": input_of(call)}
            continue
        yield {
            "type": "function_call",
            "call_id": identifier,
            "name": call.name,
            "arguments": arguments_text(call, f"{path}.tool_calls[{index}]"),
        }


def _write_tool_output(message: Message, path: str) -> str | list[dict[str, Any]]:
    """Write the output of a tool: text, or a list of parts where there is more than text."""
    if not is_text(message.content):
        parts = _write_content(message.content, path)
        prefix = [{"type": "input_text", "text": "Error:"}] if message.is_error else []
        return [*prefix, *parts] if isinstance(parts, list) else parts
    text = text_of(message.content)
    return f"Error: {text}" if message.is_error and not text.lower().startswith("error") else text


def _write_content(content: str | tuple[Part, ...], path: str) -> str | list[dict[str, Any]]:
    if is_text(content):
        return text_of(content)
    # Cache points are omitted: these providers cache automatically.
    return [_write_part(part, path) for part in content if not isinstance(part, (CachePoint, str))]


def _write_part(part: Part, path: str) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            url = part.url if part.data is None else data_url(part.data, registered_type(part.media_type))
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case FilePart():
            return {"type": "input_file", **_write_file(part)}
        case AudioPart() | CachePoint():
            raise ValidationError(f"{path} holds audio, which this format cannot carry.")


def _write_file(file: FilePart) -> Mapping[str, Any]:
    if file.file_id:
        return {"file_id": file.file_id}
    if file.data is None:
        return {"file_url": file.url}
    return file_data(file)
