"""A conversation in Cohere's format, whoever wrote its turns.

Instructions come first, no turn may be empty, every call needs a name of its own and a result, every result its call,
and a turn that calls holds a plan in place of text (docs.cohere.com/reference/errors and docs/tool-use-overview).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unified_llm._core.target import Target
from unified_llm._formats.history import (
    arguments_text,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    shorten_call_id,
    text_of,
    with_text_results,
)
from unified_llm._formats.json_values import object_or_empty, text_or_none
from unified_llm._formats.request_fields import image_url
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import CachePoint, ImagePart, Part, TextPart
from unified_llm.types.messages import Message


def write_messages(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    """The ``messages`` of a request.

    Raises:
        ValidationError: A message holds something else than text and images, or the arguments of an earlier call have
            no JSON form.
    """
    told = [(index, each.content) for index, each in enumerate(messages) if each.role == "system"]
    for index, content in told:
        if not is_text(content):
            raise ValidationError(f"messages[{index}] holds more than text, which a system message cannot carry.")
    instructions = "\n\n".join(filter(None, (text_of(content) for _, content in told)))
    written = [{"role": "system", "content": instructions}] if instructions else []
    talk = [each for each in messages if each.role != "system"]
    turns = (
        _turn(message, target)
        for message in with_text_results(pair_tool_results(dedupe_call_ids(talk), answer_all=True))
    )
    return [*written, *filter(None, turns)]


def _turn(message: Message, target: Target) -> dict[str, Any]:
    """A turn; an empty one has nothing to say and is left out."""
    match message.role:
        case "assistant" if message.tool_calls:
            return _calling(message, target)
        case "tool":
            identifier = shorten_call_id(message.tool_call_id or "", target.quirks)
            return {"role": "tool", "tool_call_id": identifier, "content": text_of(message.content) or "(no output)"}
        case "user":
            content = _content(message.content)
        case _:
            content = text_of(message.content)
    return {"role": message.role, "content": content} if content else {}


def _calling(message: Message, target: Target) -> dict[str, Any]:
    """A turn that called tools, with what Cohere thought before it if the turn was its own."""
    opened = (
        message.provider_state.restore(target.provider, target.format) if message.provider_state is not None else None
    )
    kept = object_or_empty(opened)
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


def _content(content: str | tuple[Part, ...]) -> str | list[Mapping[str, Any]]:
    if isinstance(content, str) or is_text(content):
        return text_of(content)
    return [_part(part) for part in content if not isinstance(part, CachePoint)]


def _part(part: Part) -> Mapping[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": image_url(part)}
        case _:
            raise ValidationError("messages holds what Cohere cannot read: it takes text and images.")
