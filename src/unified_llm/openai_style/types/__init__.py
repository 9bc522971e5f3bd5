"""The objects that a client in OpenAI's shape returns, under the names that they have in ``openai.types``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from unified_llm.openai_style.types.completion import Completion
    from unified_llm.openai_style.types.completion_choice import CompletionChoice
    from unified_llm.openai_style.types.completion_usage import CompletionUsage
    from unified_llm.openai_style.types.create_embedding_response import CreateEmbeddingResponse
    from unified_llm.openai_style.types.embedding import Embedding
    from unified_llm.openai_style.types.model import Model, ModelDeleted

__all__ = [
    "Completion", "CompletionChoice", "CompletionUsage", "CreateEmbeddingResponse", "Embedding", "Model",
    "ModelDeleted",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    home: ModuleType
    match name:
        case "Completion":
            import unified_llm.openai_style.types.completion as home
        case "CompletionChoice":
            import unified_llm.openai_style.types.completion_choice as home
        case "CompletionUsage":
            import unified_llm.openai_style.types.completion_usage as home
        case "CreateEmbeddingResponse":
            import unified_llm.openai_style.types.create_embedding_response as home
        case "Embedding":
            import unified_llm.openai_style.types.embedding as home
        case _:
            import unified_llm.openai_style.types.model as home
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
