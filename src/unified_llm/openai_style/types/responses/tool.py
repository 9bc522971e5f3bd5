"""Tools that OpenAI runs."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class McpAllowedToolsMcpToolFilter(OpenAIObject):
    """Mcp allowed tools mcp tool filter."""

    read_only: bool | None
    tool_names: list[str] | None


class McpRequireApprovalMcpToolApprovalFilterAlways(OpenAIObject):
    """Mcp require approval mcp tool approval filter always."""

    read_only: bool | None
    tool_names: list[str] | None


class McpRequireApprovalMcpToolApprovalFilterNever(OpenAIObject):
    """Mcp require approval mcp tool approval filter never."""

    read_only: bool | None
    tool_names: list[str] | None


class McpRequireApprovalMcpToolApprovalFilter(OpenAIObject):
    """Mcp require approval mcp tool approval filter."""

    always: McpRequireApprovalMcpToolApprovalFilterAlways | None
    never: McpRequireApprovalMcpToolApprovalFilterNever | None


class Mcp(OpenAIObject):
    """Tool of the type ``mcp``."""

    server_label: str
    type: Literal["mcp"]
    allowed_callers: list[Literal["direct", "programmatic"]] | None
    allowed_tools: list[str] | McpAllowedToolsMcpToolFilter | None
    authorization: str | None
    connector_id: str | None
    defer_loading: bool | None
    headers: dict[str, str] | None
    require_approval: McpRequireApprovalMcpToolApprovalFilter | Literal["always", "never"] | None
    server_description: str | None
    server_url: str | None
    tunnel_id: str | None


class CodeInterpreterContainerCodeInterpreterToolAuto(OpenAIObject):
    """Tool of the type ``auto``."""

    type: Literal["auto"]
    file_ids: list[str] | None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None
    network_policy: OpenAIObject | None


class CodeInterpreter(OpenAIObject):
    """Tool of the type ``code_interpreter``."""

    container: str | CodeInterpreterContainerCodeInterpreterToolAuto
    type: Literal["code_interpreter"]
    allowed_callers: list[Literal["direct", "programmatic"]] | None


class ImageGenerationInputImageMask(OpenAIObject):
    """Image generation input image mask."""

    file_id: str | None
    image_url: str | None


class ImageGeneration(OpenAIObject):
    """Tool of the type ``image_generation``."""

    type: Literal["image_generation"]
    action: Literal["generate", "edit", "auto"] | None
    background: Literal["transparent", "opaque", "auto"] | None
    complexity: Literal["low", "medium", "high"] | None
    frame_count: int | None
    frame_duration_ms: int | None
    input_fidelity: Literal["high", "low"] | None
    input_image_mask: ImageGenerationInputImageMask | None
    model: str | None
    moderation: Literal["auto", "low"] | None
    output_compression: int | None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None
    partial_images: int | None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None
    size: str | None
    svg: OpenAIObject | None
