"""Items of the output of a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.response_output_message import ResponseOutputMessage


class ResponseFunctionToolCall(OpenAIObject):
    """A call of a function."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "async_": "async",
    }

    arguments: str
    call_id: str
    name: str
    type: Literal["function_call"]
    id: str | None
    async_: bool | None
    caller: OpenAIObject | None
    namespace: str | None
    status: Literal["in_progress", "completed", "incomplete"] | None


class Summary(OpenAIObject):
    """Item of the type ``summary_text``."""

    text: str
    type: Literal["summary_text"]


class Content(OpenAIObject):
    """Item of the type ``reasoning_text``."""

    text: str
    type: Literal["reasoning_text"]


class ResponseReasoningItem(OpenAIObject):
    """Reasoning of the model."""

    id: str
    summary: list[Summary]
    type: Literal["reasoning"]
    content: list[Content] | None
    encrypted_content: str | None
    status: Literal["in_progress", "completed", "incomplete"] | None


class ResponseCustomToolCall(OpenAIObject):
    """Item of the type ``custom_tool_call``."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "async_": "async",
    }

    call_id: str
    input: str
    name: str
    type: Literal["custom_tool_call"]
    id: str | None
    async_: bool | None
    caller: OpenAIObject | None
    namespace: str | None


class ActionSearchSource(OpenAIObject):
    """Object of the type ``url``."""

    type: Literal["url"]
    url: str


class ActionSearch(OpenAIObject):
    """Object of the type ``search``."""

    type: Literal["search"]
    queries: list[str] | None
    query: str | None
    sources: list[ActionSearchSource] | None


class ActionOpenPage(OpenAIObject):
    """Object of the type ``open_page``."""

    type: Literal["open_page"]
    url: str | None


class ActionFind(OpenAIObject):
    """Object of the type ``find_in_page``."""

    pattern: str
    type: Literal["find_in_page"]
    url: str


class ResponseFunctionWebSearch(OpenAIObject):
    """Object of the type ``web_search_call``."""

    id: str
    action: ActionSearch | ActionOpenPage | ActionFind
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"]
    type: Literal["web_search_call"]


class Result(OpenAIObject):
    """Result."""

    attributes: dict[str, str | float | bool] | None
    file_id: str | None
    filename: str | None
    score: float | None
    text: str | None


class ResponseFileSearchToolCall(OpenAIObject):
    """Item of the type ``file_search_call``."""

    id: str
    queries: list[str]
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"]
    type: Literal["file_search_call"]
    results: list[Result] | None


class OutputLogs(OpenAIObject):
    """Item of the type ``logs``."""

    logs: str
    type: Literal["logs"]


class OutputImage(OpenAIObject):
    """Item of the type ``image``."""

    type: Literal["image"]
    url: str


class ResponseCodeInterpreterToolCall(OpenAIObject):
    """Item of the type ``code_interpreter_call``."""

    id: str
    code: str | None
    container_id: str
    outputs: list[OutputLogs | OutputImage] | None
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"]
    type: Literal["code_interpreter_call"]


class ImageGenerationCallError(OpenAIObject):
    """Image generation call error."""

    code: str | None
    message: str
    param: str | None
    type: str
    moderation_details: OpenAIObject | None


class ImageGenerationCall(OpenAIObject):
    """Item of the type ``image_generation_call``."""

    id: str
    result: str | None
    status: Literal["in_progress", "completed", "generating", "failed"]
    type: Literal["image_generation_call"]
    action: Literal["generate", "edit", "auto"] | None
    background: Literal["transparent", "opaque", "auto"] | None
    error: ImageGenerationCallError | None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None
    revised_prompt: str | None
    size: str | None
    svg_usage: OpenAIObject | None


class McpCall(OpenAIObject):
    """Item of the type ``mcp_call``."""

    id: str
    arguments: str
    name: str
    server_label: str
    type: Literal["mcp_call"]
    approval_request_id: str | None
    error: OpenAIObject | None
    output: str | None
    status: Literal["in_progress", "completed", "incomplete", "calling", "failed"] | None


class McpListToolsTool(OpenAIObject):
    """Mcp list tools tool."""

    input_schema: Any
    name: str
    annotations: Any | None
    description: str | None


class McpListTools(OpenAIObject):
    """Item of the type ``mcp_list_tools``."""

    id: str
    server_label: str
    tools: list[McpListToolsTool]
    type: Literal["mcp_list_tools"]
    error: str | None


class McpApprovalRequest(OpenAIObject):
    """Item of the type ``mcp_approval_request``."""

    id: str
    arguments: str
    name: str
    server_label: str
    type: Literal["mcp_approval_request"]


class ResponseFunctionToolCallOutputItem(OpenAIObject):
    """Item of the type ``function_call_output``."""

    id: str
    output: str | list[OpenAIObject]
    status: Literal["in_progress", "completed", "incomplete"]
    type: Literal["function_call_output"]
    call_id: str | None
    caller: OpenAIObject | None
    created_by: str | None
    name: str | None
    namespace: str | None


class ResponseCustomToolCallOutputItem(OpenAIObject):
    """Item of the type ``custom_tool_call_output``."""

    call_id: str
    output: str | list[OpenAIObject]
    type: Literal["custom_tool_call_output"]
    id: str
    caller: OpenAIObject | None
    status: Literal["in_progress", "completed", "incomplete"]
    created_by: str | None


ResponseOutputItem: TypeAlias = (
    OpenAIObject
    | ResponseOutputMessage
    | ResponseFileSearchToolCall
    | ResponseFunctionToolCall
    | ResponseFunctionToolCallOutputItem
    | ResponseFunctionWebSearch
    | ResponseReasoningItem
    | ImageGenerationCall
    | ResponseCodeInterpreterToolCall
    | McpCall
    | McpListTools
    | McpApprovalRequest
    | ResponseCustomToolCall
    | ResponseCustomToolCallOutputItem
)
