"""A text completion."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.completion_choice import CompletionChoice
from unified_llm.openai_style.types.completion_usage import CompletionUsage


class Completion(OpenAIObject):
    """A text completion, whole or a chunk of one."""

    id: str
    choices: list[CompletionChoice]
    created: int
    model: str
    object: Literal["text_completion"]
    system_fingerprint: str | None
    usage: CompletionUsage | None
