"""A page of input items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.response_output_item import (
    ResponseCodeInterpreterToolCall,
    ResponseCustomToolCallOutputItem,
    ResponseFileSearchToolCall,
    ResponseFunctionToolCallOutputItem,
    ResponseFunctionWebSearch,
    ResponseReasoningItem,
)
from unified_llm.openai_style.types.responses.response_output_message import ResponseOutputMessage


class ResponseFunctionToolCallItem(OpenAIObject):
    """Item of the type ``function_call``."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "async_": "async",
    }

    arguments: str
    call_id: str
    name: str
    type: Literal["function_call"]
    id: str
    async_: bool | None
    caller: OpenAIObject | None
    namespace: str | None
    status: Literal["in_progress", "completed", "incomplete"]
    created_by: str | None


class ResponseCustomToolCallItem(OpenAIObject):
    """Item of the type ``custom_tool_call``."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "async_": "async",
    }

    call_id: str
    input: str
    name: str
    type: Literal["custom_tool_call"]
    id: str
    async_: bool | None
    caller: OpenAIObject | None
    namespace: str | None
    status: Literal["in_progress", "completed", "incomplete"]
    created_by: str | None


Item: TypeAlias = (
    OpenAIObject
    | ResponseOutputMessage
    | ResponseFileSearchToolCall
    | ResponseFunctionWebSearch
    | ResponseFunctionToolCallItem
    | ResponseFunctionToolCallOutputItem
    | ResponseReasoningItem
    | ResponseCodeInterpreterToolCall
    | ResponseCustomToolCallItem
    | ResponseCustomToolCallOutputItem
)


class ResponseItemList(OpenAIObject):
    """A page of input items."""

    data: list[Item]
    first_id: str
    has_more: bool
    last_id: str
    object: Literal["list"]
