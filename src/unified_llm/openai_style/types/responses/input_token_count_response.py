"""The tokens of an input."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class InputTokenCountResponse(OpenAIObject):
    """The tokens of an input."""

    input_tokens: int
    object: Literal["response.input_tokens"]
