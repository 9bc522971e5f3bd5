"""Tools that a response was offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.custom_tool_input_format import Text
from unified_llm.openai_style.types.responses.file_search_tool import FileSearchTool
from unified_llm.openai_style.types.responses.function_tool import FunctionTool
from unified_llm.openai_style.types.responses.tool import CodeInterpreter, ImageGeneration, Mcp
from unified_llm.openai_style.types.responses.web_search_preview_tool import WebSearchPreviewTool
from unified_llm.openai_style.types.responses.web_search_tool import WebSearchTool


class Grammar(OpenAIObject):
    """Tool of the type ``grammar``."""

    definition: str
    syntax: Literal["lark", "regex"]
    type: Literal["grammar"]


class CustomTool(OpenAIObject):
    """Tool of the type ``custom``."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "async_": "async",
    }

    name: str
    type: Literal["custom"]
    allowed_callers: list[Literal["direct", "programmatic"]] | None
    async_: bool | None
    defer_loading: bool | None
    description: str | None
    format: Text | Grammar | None


Tool: TypeAlias = (
    OpenAIObject
    | FunctionTool
    | FileSearchTool
    | WebSearchTool
    | Mcp
    | CodeInterpreter
    | ImageGeneration
    | CustomTool
    | WebSearchPreviewTool
)
