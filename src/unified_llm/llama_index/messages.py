"""LlamaIndex's messages, read as a conversation of ours.

Nothing is decided here, and nothing of the caller's is changed: a history may be continued by any target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from unified_llm.jsonx import JSONError, dump
from unified_llm.llama_index.blocks import read_blocks
from unified_llm.messages import Message, Role, ToolCall

_ROLES: Final[Mapping[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def read_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Translate a conversation.

    Raises:
        ValidationError: A message has content that cannot be sent.
    """
    pairs = _Pairs()
    return tuple(pairs.keep(_read(message)) for message in messages)


def _read(message: ChatMessage) -> Message:
    role = _ROLES[message.role]
    extras = message.additional_kwargs
    content = read_blocks(message.blocks, assistant=role == "assistant")
    if role == "assistant":
        calls = content.calls or list(_calls(extras))  # most models write them twice, and we do too
        reasoning = "".join(content.reasoning) or extras.get("reasoning_content")
        return Message(
            role,
            content.flat(),
            tool_calls=tuple(calls),
            reasoning=reasoning if isinstance(reasoning, str) and reasoning else None,
            sealed=content.sealed,
        )
    name = extras.get("name")
    name = name if isinstance(name, str) and name else None
    if role == "tool":
        return Message(role, content.flat(), name=name, tool_call_id=str(extras.get("tool_call_id") or ""))
    return Message(role, content.flat(), name=name)


def _calls(extras: Mapping[str, Any]) -> Iterator[ToolCall]:
    """Calls among a message's extras, as whichever model wrote them: dicts and objects of OpenAI's, Anthropic's, ..."""
    for call in extras.get("tool_calls") or ():
        function = _get(call, "function") or call
        name = _get(function, "name")
        if isinstance(name, str) and name:
            arguments = next((found for key in ("arguments", "input", "args") if (found := _get(function, key))), "")
            yield _call(str(_get(call, "id") or ""), name, arguments)
    legacy = extras.get("function_call")
    if legacy and not extras.get("tool_calls") and isinstance(name := _get(legacy, "name"), str):
        yield _call("", name, _get(legacy, "arguments") or "")


def _call(identifier: str, name: str, arguments: Any) -> ToolCall:
    if isinstance(arguments, Mapping):
        try:
            return ToolCall(identifier, name, arguments, dump(arguments))
        except JSONError:
            arguments = ""
    return ToolCall.from_text(identifier, name, str(arguments))


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


class _Pairs:
    """Gives calls that share an identifier, or have none, identifiers of their own, and their results too.

    Some models name a call after its tool, so that two calls of one tool are told apart by their order alone.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []

    def keep(self, message: Message) -> Message:
        if message.role == "assistant" and message.tool_calls:
            return self._calls(message)
        if message.role == "tool":
            return self._result(message)
        return message

    def _calls(self, message: Message) -> Message:
        given = [call.id for call in message.tool_calls]
        new = [each if each and given.count(each) == 1 else _numbered(each, given, at) for at, each in enumerate(given)]
        self._open = list(zip(given, new, strict=True))
        calls = tuple(replace(call, id=each) for call, each in zip(message.tool_calls, new, strict=True))
        return message if new == given else replace(message, tool_calls=calls)

    def _result(self, message: Message) -> Message:
        said = message.tool_call_id or ""
        found = next((pair for pair in self._open if pair[0] == said or not said), None)
        if found is None:
            return message
        self._open.remove(found)
        return message if found[1] == said else replace(message, tool_call_id=found[1])


def _numbered(identifier: str, given: Sequence[str], position: int) -> str:
    number = position
    while (new := f"{identifier or 'call'}_{number}") in given:
        number += len(given)
    return new
