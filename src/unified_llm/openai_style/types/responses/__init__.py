"""Responses in the shape of OpenAI's SDK, under the names that they have in ``openai.types.responses``."""

from __future__ import annotations

from unified_llm.openai_style.types.responses.file_search_tool import (
    FileSearchTool,
)
from unified_llm.openai_style.types.responses.function_tool import (
    FunctionTool,
)
from unified_llm.openai_style.types.responses.input_token_count_response import (
    InputTokenCountResponse,
)
from unified_llm.openai_style.types.responses.parsed_response import (
    ParsedResponse,
    ParsedResponseFunctionToolCall,
    ParsedResponseOutputMessage,
    ParsedResponseOutputText,
)
from unified_llm.openai_style.types.responses.response import (
    Response,
    ResponseError,
    ResponseFormatTextJSONSchemaConfig,
    ResponsePrompt,
    ResponseTextConfig,
    ResponseUsage,
    ToolChoiceAllowed,
    ToolChoiceCustom,
    ToolChoiceFunction,
    ToolChoiceMcp,
    ToolChoiceTypes,
)
from unified_llm.openai_style.types.responses.response_input_message_item import (
    ResponseInputFile,
    ResponseInputImage,
    ResponseInputMessageItem,
    ResponseInputText,
)
from unified_llm.openai_style.types.responses.response_item_list import (
    ResponseCustomToolCallItem,
    ResponseFunctionToolCallItem,
    ResponseItemList,
)
from unified_llm.openai_style.types.responses.response_output_item import (
    ResponseCodeInterpreterToolCall,
    ResponseCustomToolCall,
    ResponseCustomToolCallOutputItem,
    ResponseFileSearchToolCall,
    ResponseFunctionToolCall,
    ResponseFunctionToolCallOutputItem,
    ResponseFunctionWebSearch,
    ResponseOutputItem,
    ResponseReasoningItem,
)
from unified_llm.openai_style.types.responses.response_output_message import (
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
)
from unified_llm.openai_style.types.responses.response_stream_event import (
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseCustomToolCallInputDeltaEvent,
    ResponseCustomToolCallInputDoneEvent,
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseIncompleteEvent,
    ResponseInProgressEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputTextAnnotationAddedEvent,
    ResponseQueuedEvent,
    ResponseReasoningSummaryPartAddedEvent,
    ResponseReasoningSummaryPartDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
    ResponseReasoningTextDeltaEvent,
    ResponseReasoningTextDoneEvent,
    ResponseRefusalDeltaEvent,
    ResponseRefusalDoneEvent,
    ResponseStreamEvent,
)
from unified_llm.openai_style.types.responses.response_text_delta_event import (
    ResponseTextDeltaEvent,
)
from unified_llm.openai_style.types.responses.response_text_done_event import (
    ResponseTextDoneEvent,
)
from unified_llm.openai_style.types.responses.response_tools import (
    CustomTool,
    Tool,
)
from unified_llm.openai_style.types.responses.web_search_preview_tool import (
    WebSearchPreviewTool,
)
from unified_llm.openai_style.types.responses.web_search_tool import (
    WebSearchTool,
)

__all__ = [
    "CustomTool",
    "FileSearchTool",
    "FunctionTool",
    "InputTokenCountResponse",
    "ParsedResponse",
    "ParsedResponseFunctionToolCall",
    "ParsedResponseOutputMessage",
    "ParsedResponseOutputText",
    "Response",
    "ResponseCodeInterpreterToolCall",
    "ResponseCompletedEvent",
    "ResponseContentPartAddedEvent",
    "ResponseContentPartDoneEvent",
    "ResponseCreatedEvent",
    "ResponseCustomToolCall",
    "ResponseCustomToolCallInputDeltaEvent",
    "ResponseCustomToolCallInputDoneEvent",
    "ResponseCustomToolCallItem",
    "ResponseCustomToolCallOutputItem",
    "ResponseError",
    "ResponseErrorEvent",
    "ResponseFailedEvent",
    "ResponseFileSearchToolCall",
    "ResponseFormatTextJSONSchemaConfig",
    "ResponseFunctionCallArgumentsDeltaEvent",
    "ResponseFunctionCallArgumentsDoneEvent",
    "ResponseFunctionToolCall",
    "ResponseFunctionToolCallItem",
    "ResponseFunctionToolCallOutputItem",
    "ResponseFunctionWebSearch",
    "ResponseInProgressEvent",
    "ResponseIncompleteEvent",
    "ResponseInputFile",
    "ResponseInputImage",
    "ResponseInputMessageItem",
    "ResponseInputText",
    "ResponseItemList",
    "ResponseOutputItem",
    "ResponseOutputItemAddedEvent",
    "ResponseOutputItemDoneEvent",
    "ResponseOutputMessage",
    "ResponseOutputRefusal",
    "ResponseOutputText",
    "ResponseOutputTextAnnotationAddedEvent",
    "ResponsePrompt",
    "ResponseQueuedEvent",
    "ResponseReasoningItem",
    "ResponseReasoningSummaryPartAddedEvent",
    "ResponseReasoningSummaryPartDoneEvent",
    "ResponseReasoningSummaryTextDeltaEvent",
    "ResponseReasoningSummaryTextDoneEvent",
    "ResponseReasoningTextDeltaEvent",
    "ResponseReasoningTextDoneEvent",
    "ResponseRefusalDeltaEvent",
    "ResponseRefusalDoneEvent",
    "ResponseStreamEvent",
    "ResponseTextConfig",
    "ResponseTextDeltaEvent",
    "ResponseTextDoneEvent",
    "ResponseUsage",
    "Tool",
    "ToolChoiceAllowed",
    "ToolChoiceCustom",
    "ToolChoiceFunction",
    "ToolChoiceMcp",
    "ToolChoiceTypes",
    "WebSearchPreviewTool",
    "WebSearchTool",
]
