"""Responses whose texts were read as objects of the caller's own class."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.response import Response
from unified_llm.openai_style.types.responses.response_output_item import ResponseFunctionToolCall, ResponseOutputItem
from unified_llm.openai_style.types.responses.response_output_message import (
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
)

T = TypeVar("T")


class ParsedResponseOutputText(ResponseOutputText, Generic[T]):
    """A text, and the object that it was read as."""

    parsed: Any


class ParsedResponseOutputMessage(ResponseOutputMessage, Generic[T]):
    """A message whose texts were read."""

    content: list[ParsedResponseOutputText[Any] | ResponseOutputRefusal]  # type: ignore[assignment]


class ParsedResponseFunctionToolCall(ResponseFunctionToolCall):
    """A call whose arguments were read."""

    parsed_arguments: Any


class ParsedResponse(Response, Generic[T]):
    """A response whose texts were read as objects of a class."""

    output: list[OpenAIObject | ParsedResponseOutputMessage[Any] | ParsedResponseFunctionToolCall | ResponseOutputItem]

    @property
    def output_parsed(self) -> T | None:
        """The object that the first text was read as; None without one."""
        messages = [item for item in self.output or () if item.type == "message"]
        parts = (part for message in messages for part in message.content or () if part.type == "output_text")
        return next((part.parsed for part in parts if part.parsed), None)
