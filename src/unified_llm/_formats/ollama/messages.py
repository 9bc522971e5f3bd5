"""Conversations in Ollama's format, from any history, whichever provider its turns came from.

Arguments of calls are objects, results carry the name of their tool, images are bare base64 beside the text. Servers
accept call ids as well (api/types.go); older ones ignore them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from unified_llm._core.target import Target
from unified_llm._formats.history import (
    arguments_object,
    dedupe_call_ids,
    is_media,
    pair_tool_results,
    shorten_call_id,
    text_of,
    with_text_results,
    without_empty_answers,
)
from unified_llm._formats.json_values import object_or_empty, text_or_none
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import ImagePart, Part
from unified_llm.types.messages import Message, ToolCall


def write_messages(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    """Write the ``messages`` of a request.

    Raises:
        ValidationError: A message has a part other than text and images, or an image that is only a URL.
    """
    written: list[dict[str, Any]] = []
    names: dict[str, str] = {}  # call id → name of its tool
    for message in with_text_results(pair_tool_results(dedupe_call_ids(without_empty_answers(messages, target)))):
        names |= {call.id: call.name for call in message.tool_calls}
        written.append(_write_turn(message, names, target))
    return written


def _write_turn(message: Message, names: dict[str, str], target: Target) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": text_of(message.content)}
    if message.role == "assistant":
        return {**turn, **_write_calls(message, target)}
    if message.role == "tool":
        identifier = message.tool_call_id or ""
        return {**turn, "tool_name": names[identifier], "tool_call_id": shorten_call_id(identifier, target.quirks)}
    images = _write_images(message.content)
    return {**turn, "images": images} if images else turn


def _write_calls(message: Message, target: Target) -> dict[str, Any]:
    """Write the calls of an earlier answer, with its reasoning if this provider issued the answer."""
    if not message.tool_calls:
        return {}
    fields: dict[str, Any] = {}
    provider_state = (
        message.provider_state.restore(target.provider, target.format) if message.provider_state is not None else None
    )
    if (thinking := text_or_none(object_or_empty(provider_state).get("thinking"))) is not None:
        fields["thinking"] = thinking
    fields["tool_calls"] = [
        {"id": shorten_call_id(call.id, target.quirks), "function": {"name": call.name, "arguments": _arguments(call)}}
        for call in message.tool_calls
    ]
    return fields


def _arguments(call: ToolCall) -> Mapping[str, Any]:
    """Return the arguments; none for text that is no JSON, since templates show any object as valid arguments."""
    return {} if call.error is not None else arguments_object(call)


def _write_images(content: str | tuple[Part, ...]) -> list[str]:
    images: list[str] = []
    for part in () if isinstance(content, str) else content:
        if isinstance(part, ImagePart) and part.data is not None:
            images.append(b64encode(part.data).decode())
        elif is_media(part):
            raise ValidationError("messages has a part that Ollama does not accept: it takes text, and images as data.")
    return images
