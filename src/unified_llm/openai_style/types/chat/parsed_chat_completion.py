"""A chat completion whose content was parsed to an object of the class that the request asked for."""

from __future__ import annotations

from typing import Generic, TypeVar

from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion, Choice
from unified_llm.openai_style.types.chat.chat_completion_message import ChatCompletionMessage
from unified_llm.openai_style.types.chat.chat_completion_message_tool_call import (
    ChatCompletionMessageCustomToolCall,
    ParsedFunctionToolCall,
)

ContentT = TypeVar("ContentT")


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[ContentT]):
    """The message of an answer, with the object that its content is."""

    parsed: ContentT | None
    tool_calls: list[ParsedFunctionToolCall | ChatCompletionMessageCustomToolCall] | None  # type: ignore[assignment]


class ParsedChoice(Choice, Generic[ContentT]):
    """One of the answers, parsed."""

    message: ParsedChatCompletionMessage[ContentT]  # pyright: ignore[reportIncompatibleVariableOverride]


class ParsedChatCompletion(ChatCompletion, Generic[ContentT]):
    """A chat completion with parsed answers."""

    choices: list[ParsedChoice[ContentT]]  # type: ignore[assignment] # a list of a subclass
