"""unified-llm for LangChain: a chat model and embeddings with failover built in.

Public names are imported at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from unified_llm.langchain._register import register
    from unified_llm.langchain.chat_model import ChatUnified
    from unified_llm.langchain.embeddings import UnifiedEmbeddings

__all__ = ["ChatUnified", "UnifiedEmbeddings", "register"]


def __getattr__(name: str) -> Any:
    """Import a public name.

    Raises:
        ConfigurationError: LangChain is not installed.
    """
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    module: ModuleType
    try:
        match name:
            case "ChatUnified":
                import unified_llm.langchain.chat_model as module
            case "UnifiedEmbeddings":
                import unified_llm.langchain.embeddings as module
            case _:
                import unified_llm.langchain._register as module
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"langchain_core", "langchain"}:
            raise
        from unified_llm.exceptions import ConfigurationError

        raise ConfigurationError("LangChain is not installed: run pip install 'unified-llm[langchain]'.") from None
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
