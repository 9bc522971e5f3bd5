"""What only the author of an answer can read: signed thoughts, redacted ones, the work of its own tools.

An answer is kept as its list of blocks, without what our message holds anyway: a text is its length, a call lacks its
arguments. It goes back to its author block for block, but only while the message still says what the answer said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.json_values import is_list, is_object, text_or_none
from unified_llm.types.messages import Message, ProviderState, ToolCall


def keep_state(blocks: Sequence[Mapping[str, Any]], target: Target) -> ProviderState | None:
    """What goes back with the message; None where the message says it all."""
    kept = [_kept(block) for block in blocks]
    if all(block.keys() <= {"type", "length", "id", "name"} for block in kept):
        return None
    return response_fields.keep_state({"blocks": kept}, target)


def _kept(block: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in block.items() if value is not None}
    match said.get("type"):
        case "text":
            text = text_or_none(said.pop("text", None)) or ""
            return {**said, "length": len(text)}
        case "tool_use":
            return {name: value for name, value in said.items() if name != "input"}
        case _:
            return said


def restore_state(message: Message, target: Target) -> list[dict[str, Any]] | None:
    """The answer's blocks, with text and arguments as the message has them; None if there are none, or they do not fit.

    Histories are edited by users: what is sealed is only as good as the text and the calls that it belongs to.
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
    return list(_restored(blocks, message))


def written_arguments(call: ToolCall) -> Mapping[str, Any]:
    """What a call was given, as an object: the API takes nothing else, so what is none goes inside of one."""
    return call.arguments if call.error is None else {"invalid_json": call.raw_arguments}


def _restored(blocks: Sequence[dict[str, Any]], message: Message) -> Iterator[dict[str, Any]]:
    text, calls, position = message.text, iter(message.tool_calls), 0
    for block in blocks:
        match block.get("type"):
            case "text":
                piece = text[position : position + block["length"]]
                position += block["length"]
                if piece.strip():
                    yield {**{name: value for name, value in block.items() if name != "length"}, "text": piece}
            case "tool_use":
                yield {**block, "name": (call := next(calls)).name, "input": written_arguments(call)}
            case _:
                yield dict(block)
