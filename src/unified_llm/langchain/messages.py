"""LangChain's messages, tools and options, read as a request of ours.

Nothing is decided here, and nothing is kept that belongs to the provider that answered earlier: a history may be
continued by any target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from unified_llm.exceptions import ValidationError
from unified_llm.jsonx import dump
from unified_llm.langchain.blocks import Block, Content, read_content
from unified_llm.langchain.names import SEALED
from unified_llm.messages import Message, Role, Sealed, ToolCall

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
        sealed=Sealed.from_dict(message.additional_kwargs.get(SEALED)),
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
