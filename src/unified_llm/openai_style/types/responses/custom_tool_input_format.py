"""Tool of the type ``text``."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class Text(OpenAIObject):
    """Tool of the type ``text``."""

    type: Literal["text"]
