"""The vectors of texts."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.embedding import Embedding


class Usage(OpenAIObject):
    """Tokens of the embedded texts."""

    prompt_tokens: int
    total_tokens: int


class CreateEmbeddingResponse(OpenAIObject):
    """The vectors of texts, in their order."""

    data: list[Embedding]
    model: str
    object: Literal["list"]
    usage: Usage
