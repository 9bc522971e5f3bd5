"""Responses of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.batch import OutputTokensDetails
from unified_llm.openai_style.types.responses.response_output_item import (
    ResponseOutputItem,
)
from unified_llm.openai_style.types.responses.response_tools import Tool
from unified_llm.openai_style.types.responses.response_usage import InputTokensDetails


class ResponseError(OpenAIObject):
    """Why a response failed."""

    code: str
    message: str
    misalignment: OpenAIObject | None
    param: str | None
    type: str | None


class IncompleteDetails(OpenAIObject):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens", "max_messages", "content_filter", "steered"] | None


class ToolChoiceAllowed(OpenAIObject):
    """Tool of the type ``allowed_tools``."""

    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]
    type: Literal["allowed_tools"]


class ToolChoiceTypes(OpenAIObject):
    """Tool of the type ``file_search``."""

    type: str


class ToolChoiceFunction(OpenAIObject):
    """Tool of the type ``function``."""

    name: str
    type: Literal["function"]


class ToolChoiceMcp(OpenAIObject):
    """Tool of the type ``mcp``."""

    server_label: str
    type: Literal["mcp"]
    name: str | None


class ToolChoiceCustom(OpenAIObject):
    """Tool of the type ``custom``."""

    name: str
    type: Literal["custom"]


class Conversation(OpenAIObject):
    """The conversation that a response belongs to."""

    id: str


class Image(OpenAIObject):
    """One image."""

    context_compression: Literal["enabled", "disabled"]


class InputTransformation(OpenAIObject):
    """Object of the type ``reasoning``."""

    id: str
    action: Literal["removed"]
    reason: str
    type: Literal["reasoning"]


class ResponsePrompt(OpenAIObject):
    """A stored prompt, and its variables."""

    id: str
    variables: dict[str, OpenAIObject | str] | None
    version: str | None


class Reasoning(OpenAIObject):
    """How the model is to reason."""

    context: Literal["auto", "current_turn", "all_turns"] | None
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    generate_summary: Literal["auto", "concise", "detailed"] | None
    mode: str | None
    summary: Literal["auto", "concise", "detailed"] | None


class ResponseFormatText(OpenAIObject):
    """Object of the type ``text``."""

    type: Literal["text"]


class ResponseFormatTextJSONSchemaConfig(OpenAIObject):
    """Object of the type ``json_schema``."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "schema_": "schema",
    }

    name: str
    schema_: dict[str, Any]
    type: Literal["json_schema"]
    description: str | None
    strict: bool | None


class ResponseFormatJSONObject(OpenAIObject):
    """Object of the type ``json_object``."""

    type: Literal["json_object"]


class ResponseTextConfig(OpenAIObject):
    """Response text config."""

    format: ResponseFormatText | ResponseFormatTextJSONSchemaConfig | ResponseFormatJSONObject | None
    verbosity: Literal["low", "medium", "high"] | None


class ToolUsageImageGenInputTokensDetails(OpenAIObject):
    """Tool usage image gen input tokens details."""

    image_tokens: int
    text_tokens: int


class ToolUsageImageGenCachedTokensDetails(OpenAIObject):
    """Tool usage image gen cached tokens details."""

    cached_image_tokens: int
    cached_text_tokens: int


class ToolUsageImageGenOutputTokensDetails(OpenAIObject):
    """Tool usage image gen output tokens details."""

    image_tokens: int
    text_tokens: int


class ToolUsageImageGen(OpenAIObject):
    """Tool usage image gen."""

    input_tokens: int
    input_tokens_details: ToolUsageImageGenInputTokensDetails
    output_tokens: int
    total_tokens: int
    cached_tokens: int | None
    cached_tokens_details: ToolUsageImageGenCachedTokensDetails | None
    output_tokens_details: ToolUsageImageGenOutputTokensDetails | None


class ToolUsageWebSearch(OpenAIObject):
    """Tool usage web search."""

    num_requests: int


class ToolUsage(OpenAIObject):
    """Tool usage."""

    image_gen: ToolUsageImageGen
    web_search: ToolUsageWebSearch


class ResponseUsage(OpenAIObject):
    """Tokens used by a response."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


ToolChoice: TypeAlias = (
    OpenAIObject
    | Literal["none", "auto", "required"]
    | ToolChoiceAllowed
    | ToolChoiceTypes
    | ToolChoiceFunction
    | ToolChoiceMcp
    | ToolChoiceCustom
)


class Response(OpenAIObject):
    """A response, whole or in progress."""

    id: str
    access_programs: OpenAIObject | None
    created_at: float
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | list[OpenAIObject] | None
    metadata: dict[str, str] | None
    model: str
    object: Literal["response"]
    output: list[ResponseOutputItem]
    parallel_tool_calls: bool
    temperature: float | None
    tool_choice: ToolChoice
    tools: list[Tool]
    top_p: float | None
    background: bool | None
    completed_at: float | None
    conversation: Conversation | None
    image: Image | None
    input_transformations: list[InputTransformation] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    moderation: OpenAIObject | None
    previous_response_id: str | None
    prompt: ResponsePrompt | None
    prompt_cache_diagnostics: OpenAIObject | None
    prompt_cache_key: str | None
    prompt_cache_options: OpenAIObject | None
    prompt_cache_retention: Literal["in_memory", "24h"] | None
    reasoning: Reasoning | None
    safety_identifier: str | None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None
    status: Literal["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"] | None
    text: ResponseTextConfig | None
    tool_usage: ToolUsage | None
    top_logprobs: int | None
    truncation: Literal["auto", "disabled"] | None
    usage: ResponseUsage | None
    user: str | None

    @property
    def output_text(self) -> str:
        """The text of all messages of the model, joined."""
        messages = [item for item in self.output or () if item.type == "message"]
        parts = [part for message in messages for part in message.content or ()]
        return "".join(part.text for part in parts if part.type == "output_text")
