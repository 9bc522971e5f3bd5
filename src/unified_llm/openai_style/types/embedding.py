"""The vector of one text."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class Embedding(OpenAIObject):
    """The vector of one text."""

    embedding: list[float]
    index: int
    object: Literal["embedding"]
