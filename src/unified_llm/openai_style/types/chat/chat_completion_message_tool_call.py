"""Calls of tools in an answer."""

from __future__ import annotations

from typing import Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject


class Function(OpenAIObject):
    """The function that is called, and its arguments as JSON text."""

    arguments: str
    name: str


class ChatCompletionMessageFunctionToolCall(OpenAIObject):
    """The call of a function."""

    id: str
    function: Function
    type: Literal["function"]


class Custom(OpenAIObject):
    """The tool that is called, and the text for it."""

    input: str
    name: str


class ChatCompletionMessageCustomToolCall(OpenAIObject):
    """The call of a tool that takes text."""

    id: str
    custom: Custom
    type: Literal["custom"]


class ParsedFunction(Function):
    """The function that is called, with its arguments as an object of the class that describes them."""

    parsed_arguments: object | None


class ParsedFunctionToolCall(ChatCompletionMessageFunctionToolCall):
    """The call of a function, with parsed arguments."""

    function: ParsedFunction  # pyright: ignore[reportIncompatibleVariableOverride]


ChatCompletionMessageToolCall: TypeAlias = ChatCompletionMessageFunctionToolCall
ChatCompletionMessageToolCallUnion: TypeAlias = (
    ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall
)
