"""Events of a streamed response."""

from __future__ import annotations

from typing import Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.response import Response
from unified_llm.openai_style.types.responses.response_output_item import ResponseOutputItem
from unified_llm.openai_style.types.responses.response_output_message import (
    AnnotationContainerFileCitation,
    AnnotationFileCitation,
    AnnotationFilePath,
    ResponseOutputRefusal,
    ResponseOutputText,
)
from unified_llm.openai_style.types.responses.response_output_text import AnnotationURLCitation
from unified_llm.openai_style.types.responses.response_text_delta_event import ResponseTextDeltaEvent
from unified_llm.openai_style.types.responses.response_text_done_event import ResponseTextDoneEvent


class ResponseCompletedEvent(OpenAIObject):
    """Event of the type ``response.completed``."""

    response: Response
    sequence_number: int
    type: Literal["response.completed"]


class PartReasoningText(OpenAIObject):
    """Object of the type ``reasoning_text``."""

    text: str
    type: Literal["reasoning_text"]


class ResponseContentPartAddedEvent(OpenAIObject):
    """Event of the type ``response.content_part.added``."""

    content_index: int
    item_id: str
    output_index: int
    part: ResponseOutputText | ResponseOutputRefusal | PartReasoningText
    sequence_number: int
    type: Literal["response.content_part.added"]


class ResponseContentPartDoneEvent(OpenAIObject):
    """Event of the type ``response.content_part.done``."""

    content_index: int
    item_id: str
    output_index: int
    part: ResponseOutputText | ResponseOutputRefusal | PartReasoningText
    sequence_number: int
    type: Literal["response.content_part.done"]


class ResponseCreatedEvent(OpenAIObject):
    """Event of the type ``response.created``."""

    response: Response
    sequence_number: int
    type: Literal["response.created"]


class ResponseErrorEvent(OpenAIObject):
    """Event of the type ``error``."""

    code: str | None
    message: str
    param: str | None
    sequence_number: int
    type: Literal["error"]


class ResponseFunctionCallArgumentsDeltaEvent(OpenAIObject):
    """Event of the type ``response.function_call_arguments.delta``."""

    delta: str
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.function_call_arguments.delta"]


class ResponseFunctionCallArgumentsDoneEvent(OpenAIObject):
    """Event of the type ``response.function_call_arguments.done``."""

    arguments: str
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.function_call_arguments.done"]


class ResponseInProgressEvent(OpenAIObject):
    """Event of the type ``response.in_progress``."""

    response: Response
    sequence_number: int
    type: Literal["response.in_progress"]


class ResponseFailedEvent(OpenAIObject):
    """Event of the type ``response.failed``."""

    response: Response
    sequence_number: int
    type: Literal["response.failed"]


class ResponseIncompleteEvent(OpenAIObject):
    """Event of the type ``response.incomplete``."""

    response: Response
    sequence_number: int
    type: Literal["response.incomplete"]


class ResponseOutputItemAddedEvent(OpenAIObject):
    """Event of the type ``response.output_item.added``."""

    item: ResponseOutputItem
    output_index: int
    sequence_number: int
    type: Literal["response.output_item.added"]


class ResponseOutputItemDoneEvent(OpenAIObject):
    """Event of the type ``response.output_item.done``."""

    item: ResponseOutputItem
    output_index: int
    sequence_number: int
    type: Literal["response.output_item.done"]


class Part(OpenAIObject):
    """Object of the type ``summary_text``."""

    text: str
    type: Literal["summary_text"]


class ResponseReasoningSummaryPartAddedEvent(OpenAIObject):
    """Event of the type ``response.reasoning_summary_part.added``."""

    item_id: str
    output_index: int
    part: Part
    sequence_number: int
    summary_index: int
    type: Literal["response.reasoning_summary_part.added"]


class ResponseReasoningSummaryPartDoneEvent(OpenAIObject):
    """Event of the type ``response.reasoning_summary_part.done``."""

    item_id: str
    output_index: int
    part: Part
    sequence_number: int
    summary_index: int
    type: Literal["response.reasoning_summary_part.done"]
    status: Literal["incomplete"] | None


class ResponseReasoningSummaryTextDeltaEvent(OpenAIObject):
    """Event of the type ``response.reasoning_summary_text.delta``."""

    delta: str
    item_id: str
    output_index: int
    sequence_number: int
    summary_index: int
    type: Literal["response.reasoning_summary_text.delta"]


class ResponseReasoningSummaryTextDoneEvent(OpenAIObject):
    """Event of the type ``response.reasoning_summary_text.done``."""

    item_id: str
    output_index: int
    sequence_number: int
    summary_index: int
    text: str
    type: Literal["response.reasoning_summary_text.done"]


class ResponseReasoningTextDeltaEvent(OpenAIObject):
    """Event of the type ``response.reasoning_text.delta``."""

    content_index: int
    delta: str
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.reasoning_text.delta"]


class ResponseReasoningTextDoneEvent(OpenAIObject):
    """Event of the type ``response.reasoning_text.done``."""

    content_index: int
    item_id: str
    output_index: int
    sequence_number: int
    text: str
    type: Literal["response.reasoning_text.done"]


class ResponseRefusalDeltaEvent(OpenAIObject):
    """Event of the type ``response.refusal.delta``."""

    content_index: int
    delta: str
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.refusal.delta"]


class ResponseRefusalDoneEvent(OpenAIObject):
    """Event of the type ``response.refusal.done``."""

    content_index: int
    item_id: str
    output_index: int
    refusal: str
    sequence_number: int
    type: Literal["response.refusal.done"]


Annotation: TypeAlias = (
    AnnotationFileCitation | AnnotationURLCitation | AnnotationContainerFileCitation | AnnotationFilePath | None
)


class ResponseOutputTextAnnotationAddedEvent(OpenAIObject):
    """Event of the type ``response.output_text.annotation.added``."""

    annotation: Annotation | None
    annotation_index: int
    content_index: int
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.output_text.annotation.added"]


class ResponseQueuedEvent(OpenAIObject):
    """Event of the type ``response.queued``."""

    response: Response
    sequence_number: int
    type: Literal["response.queued"]


class ResponseCustomToolCallInputDeltaEvent(OpenAIObject):
    """Event of the type ``response.custom_tool_call_input.delta``."""

    delta: str
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.custom_tool_call_input.delta"]


class ResponseCustomToolCallInputDoneEvent(OpenAIObject):
    """Event of the type ``response.custom_tool_call_input.done``."""

    input: str
    item_id: str
    output_index: int
    sequence_number: int
    type: Literal["response.custom_tool_call_input.done"]


ResponseStreamEvent: TypeAlias = (
    OpenAIObject
    | ResponseCompletedEvent
    | ResponseContentPartAddedEvent
    | ResponseContentPartDoneEvent
    | ResponseCreatedEvent
    | ResponseErrorEvent
    | ResponseFunctionCallArgumentsDeltaEvent
    | ResponseFunctionCallArgumentsDoneEvent
    | ResponseInProgressEvent
    | ResponseFailedEvent
    | ResponseIncompleteEvent
    | ResponseOutputItemAddedEvent
    | ResponseOutputItemDoneEvent
    | ResponseReasoningSummaryPartAddedEvent
    | ResponseReasoningSummaryPartDoneEvent
    | ResponseReasoningSummaryTextDeltaEvent
    | ResponseReasoningSummaryTextDoneEvent
    | ResponseReasoningTextDeltaEvent
    | ResponseReasoningTextDoneEvent
    | ResponseRefusalDeltaEvent
    | ResponseRefusalDoneEvent
    | ResponseTextDeltaEvent
    | ResponseTextDoneEvent
    | ResponseOutputTextAnnotationAddedEvent
    | ResponseQueuedEvent
    | ResponseCustomToolCallInputDeltaEvent
    | ResponseCustomToolCallInputDoneEvent
)
