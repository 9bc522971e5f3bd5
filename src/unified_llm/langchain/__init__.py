"""unified-llm for LangChain: a chat model and embeddings with failover built in.

Public names are imported at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unified_llm.langchain._register import register
    from unified_llm.langchain.chat_model import ChatUnified
    from unified_llm.langchain.embeddings import UnifiedEmbeddings

__all__ = ["ChatUnified", "UnifiedEmbeddings", "register"]

_MODULES = {"ChatUnified": "chat_model", "UnifiedEmbeddings": "embeddings", "register": "_register"}


def __getattr__(name: str) -> Any:
    """Import a public name.

    Raises:
        ConfigurationError: LangChain is not installed.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"{__name__}.{_MODULES[name]}")
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
