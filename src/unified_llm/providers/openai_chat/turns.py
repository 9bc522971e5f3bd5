"""The order of turns, for providers that insist on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from unified_llm.content import Part, TextPart
from unified_llm.messages import Message

# Mistral wants a word of the model's between the results of tools and the user (invalid_request_message_order).
_CLOSING: Final = "Noted."


def alternating(messages: Sequence[Message]) -> list[Message]:
    """System messages first, then the user and the model by turns; calls of tools and their results become text.

    Perplexity refuses everything else (type ``invalid_message``), and has no tools.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    ordered = [message for message in messages if message.role == "system"]
    for message in messages:
        if message.role == "system":
            continue
        turn = _without_tools(message, names)
        if ordered and ordered[-1].role == turn.role:
            ordered[-1] = replace(ordered[-1], content=_joined(ordered[-1].content, turn.content))
        else:
            ordered.append(turn)
    return ordered


def _without_tools(message: Message, names: dict[str, str]) -> Message:
    if message.role == "tool":
        name = names.get(message.tool_call_id or "", "tool")
        said = f"The function {name} {'failed' if message.is_error else 'returned'}:"
        return replace(message, role="user", content=_joined(said, message.content), tool_call_id=None, is_error=False)
    if not message.tool_calls:
        return message
    calls = "\n".join(f"(Called {call.name}({call.raw_arguments}).)" for call in message.tool_calls)
    content = _joined(message.content, calls) if message.content else calls
    return replace(message, content=content, tool_calls=())


def _joined(before: str | tuple[Part, ...], after: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n\n{after}"
    return (*_parts(before), *_parts(after))


def _parts(content: str | tuple[Part, ...]) -> tuple[Part, ...]:
    return (TextPart(content),) if isinstance(content, str) else content


def closed(written: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages, with a word of the model's wherever the user would follow upon the results of tools."""
    whole: list[dict[str, Any]] = []
    for message in written:
        if whole and whole[-1]["role"] == "tool" and message["role"] in {"user", "system"}:
            whole.append({"role": "assistant", "content": _CLOSING})
        whole.append(message)
    return whole
