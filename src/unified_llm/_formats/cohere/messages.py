"""Conversations in Cohere's format, from any history, whichever provider its turns came from.

Instructions come first, no turn may be empty, every call needs a unique id and a result, every result needs its call,
and a turn with calls has a plan in place of text (docs.cohere.com/reference/errors and docs/tool-use-overview).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unified_llm._core.target import Target
from unified_llm._formats.history import (
    NO_CONTENT,
    arguments_text,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    shorten_call_id,
    text_of,
    with_last_question,
    with_text_results,
)
from unified_llm._formats.json_values import object_or_empty, text_or_none
from unified_llm._formats.request_fields import image_url
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import CachePoint, ImagePart, Part, TextPart
from unified_llm.types.messages import Message


def write_messages(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    """Write the ``messages`` of a request.

    Raises:
        ValidationError: A message has a part other than text and images, the arguments of an earlier call have no JSON
            form, or no message has any content.
    """
    system = [(index, message.content) for index, message in enumerate(messages) if message.role == "system"]
    for index, content in system:
        if not is_text(content):
            raise ValidationError(f"messages[{index}] holds more than text, which a system message cannot carry.")
    instructions = "\n\n".join(filter(None, (text_of(content) for _, content in system)))
    written = [{"role": "system", "content": instructions}] if instructions else []
    others = with_last_question([message for message in messages if message.role != "system"])
    turns = (
        _write_turn(message, target)
        for message in with_text_results(pair_tool_results(dedupe_call_ids(others), answer_all=True))
    )
    written += filter(None, turns)
    if not written:
        raise ValidationError(NO_CONTENT)
    return written


def _write_turn(message: Message, target: Target) -> dict[str, Any]:
    """Write a turn; the result is empty for an empty turn, which the API refuses."""
    match message.role:
        case "assistant" if message.tool_calls:
            return _write_call_turn(message, target)
        case "tool":
            identifier = shorten_call_id(message.tool_call_id or "", target.quirks)
            return {"role": "tool", "tool_call_id": identifier, "content": text_of(message.content) or "(no output)"}
        case "user":
            content = _write_content(message.content)
        case _:
            content = text_of(message.content)
    return {"role": message.role, "content": content} if not isinstance(content, str) or content.strip() else {}


def _write_call_turn(message: Message, target: Target) -> dict[str, Any]:
    """Write a turn with tool calls, and with the thinking and the plan before them if Cohere issued the turn."""
    state = (
        message.provider_state.restore(target.provider, target.format) if message.provider_state is not None else None
    )
    kept = object_or_empty(state)
    turn: dict[str, Any] = {"role": "assistant"}
    plan = "\n".join(filter(None, (text_or_none(kept.get("tool_plan")), text_of(message.content))))
    if plan:
        turn["tool_plan"] = plan
    if (thinking := text_or_none(kept.get("thinking"))) is not None:
        turn["content"] = [{"type": "thinking", "thinking": thinking}]
    turn["tool_calls"] = [
        {
            "id": shorten_call_id(call.id, target.quirks),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call, f"tool_calls[{index}]")},
        }
        for index, call in enumerate(message.tool_calls)
    ]
    return turn


def _write_content(content: str | tuple[Part, ...]) -> str | list[Mapping[str, Any]]:
    if isinstance(content, str) or is_text(content):
        return text_of(content)
    return [_write_part(part) for part in content if not isinstance(part, CachePoint) and not _is_blank(part)]


def _is_blank(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.text.strip()


def _write_part(part: Part) -> Mapping[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": image_url(part)}
        case _:
            raise ValidationError("messages has a part that Cohere does not accept: it takes text and images.")
