"""Opaque provider state: signed thoughts, redacted thoughts, and blocks of the provider's built-in tools.

An answer is kept as its list of blocks, without what ``Message`` has anyway: a text block keeps only its length, a
tool call lacks its arguments. The blocks are returned to the provider that issued them, in order, as long as the
message still has the text and the calls of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.history import arguments_object
from unified_llm._formats.json_values import is_list, is_object, text_or_none
from unified_llm.types.messages import Message, ProviderState


def keep_state(blocks: Sequence[Mapping[str, Any]], target: Target) -> ProviderState | None:
    """Return the state to send back with the message; None if the message alone has everything."""
    kept = [_without_duplicates(block) for block in blocks]
    if all(block.keys() <= {"type", "length", "id", "name"} for block in kept):
        return None
    return response_fields.keep_state({"blocks": kept}, target)


def _without_duplicates(block: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in block.items() if value is not None}
    match fields.get("type"):
        case "text":
            text = text_or_none(fields.pop("text", None)) or ""
            return {**fields, "length": len(text)}
        case "tool_use":
            return {name: value for name, value in fields.items() if name != "input"}
        case _:
            return fields


def restore_state(message: Message, target: Target) -> list[dict[str, Any]] | None:
    """Restore the answer's blocks, with text and arguments from the message; None if they are missing or do not fit.

    Users edit histories, so the state is used only with the text and the calls that it was kept for.
    """
    data = message.provider_state.restore(target.provider, target.format) if message.provider_state else None
    blocks = data.get("blocks") if is_object(data) else None
    if not is_list(blocks) or not all(map(is_object, blocks)):
        return None
    lengths = [block.get("length") for block in blocks if block.get("type") == "text"]
    identifiers = [block.get("id") for block in blocks if block.get("type") == "tool_use"]
    if not all(isinstance(length, int) and length >= 0 for length in lengths):
        return None
    if sum(lengths) != len(message.text) or identifiers != [call.id for call in message.tool_calls]:
        return None
    return list(_restore_blocks(blocks, message))


def _restore_blocks(blocks: Sequence[dict[str, Any]], message: Message) -> Iterator[dict[str, Any]]:
    text, calls, position = message.text, iter(message.tool_calls), 0
    for block in blocks:
        match block.get("type"):
            case "text":
                piece = text[position : position + block["length"]]
                position += block["length"]
                if piece.strip():
                    yield {**{name: value for name, value in block.items() if name != "length"}, "text": piece}
            case "tool_use":
                yield {**block, "name": (call := next(calls)).name, "input": arguments_object(call)}
            case _:
                yield dict(block)
