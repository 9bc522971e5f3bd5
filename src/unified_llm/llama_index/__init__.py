"""unified-llm for LlamaIndex: a model, embeddings and a reranker with failover built in.

What is here is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unified_llm.llama_index.embedding import UnifiedEmbedding
    from unified_llm.llama_index.llm import UnifiedLLM
    from unified_llm.llama_index.rerank import UnifiedRerank

__all__ = ["UnifiedEmbedding", "UnifiedLLM", "UnifiedRerank"]

_WHERE = {"UnifiedEmbedding": "embedding", "UnifiedLLM": "llm", "UnifiedRerank": "rerank"}


def __getattr__(name: str) -> Any:
    """Import a public name.

    Raises:
        ConfigurationError: LlamaIndex is not installed.
    """
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"{__name__}.{_WHERE[name]}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "llama_index":
            raise
        from unified_llm.exceptions import ConfigurationError

        raise ConfigurationError("LlamaIndex is not installed: run pip install 'unified-llm[llama-index]'.") from None
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
