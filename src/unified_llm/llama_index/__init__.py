"""LlamaIndex adapters: an LLM, embeddings and a reranker over a chain of targets.

Each class is imported when its name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from unified_llm.llama_index.embedding import UnifiedEmbedding
    from unified_llm.llama_index.llm import UnifiedLLM
    from unified_llm.llama_index.rerank import UnifiedRerank

__all__ = ["UnifiedEmbedding", "UnifiedLLM", "UnifiedRerank"]


def __getattr__(name: str) -> Any:
    """Import a public class.

    Raises:
        ConfigurationError: LlamaIndex is not installed.
    """
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    module: ModuleType
    try:
        match name:
            case "UnifiedLLM":
                import unified_llm.llama_index.llm as module
            case "UnifiedEmbedding":
                import unified_llm.llama_index.embedding as module
            case _:
                import unified_llm.llama_index.rerank as module
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "llama_index":
            raise
        from unified_llm.exceptions import ConfigurationError

        raise ConfigurationError("LlamaIndex is not installed: run pip install 'unified-llm[llama-index]'.") from None
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
