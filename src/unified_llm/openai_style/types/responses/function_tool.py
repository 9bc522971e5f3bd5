"""Tool of the type ``function``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from unified_llm.openai_style._objects import OpenAIObject


class FunctionTool(OpenAIObject):
    """Tool of the type ``function``."""

    ALIASES: ClassVar[Mapping[str, str]] = {
        "async_": "async",
    }

    name: str
    parameters: dict[str, Any] | None
    strict: bool | None
    type: Literal["function"]
    allowed_callers: list[Literal["direct", "programmatic"]] | None
    async_: bool | None
    defer_loading: bool | None
    description: str | None
    output_schema: dict[str, Any] | None
