"""``register()``: add our classes to the tables of LangChain's factories and of its loader."""

from __future__ import annotations

import importlib
from typing import Any, Final

from unified_llm.exceptions import ConfigurationError

PROVIDER_PREFIX: Final = "unified"
_MODULE: Final = "unified_llm.langchain"
_CLASSES: Final = ("ChatUnified", "UnifiedEmbeddings")


def register() -> None:
    """Register the prefix ``unified:`` with LangChain's factories, and our classes with its loader.

    ``init_chat_model("unified:openai/gpt-5-mini")`` then makes ``ChatUnified("openai/gpt-5-mini")``; ``create_agent``
    and ``init_embeddings`` accept the prefix too. ``langchain_core.load`` includes our classes in
    ``allowed_objects="all"``.

    LangChain has fixed tables for both and no public way to extend them, so this changes the tables of this process.
    Calling it again changes nothing.

    Raises:
        ConfigurationError: LangChain is not installed, or its tables do not exist. Where only ``langchain`` itself is
            missing, our classes are registered with the loader nevertheless.
    """
    _register_with_loader()
    try:
        import langchain.chat_models.base as chat_models
        import langchain.embeddings.base as embeddings
    except ModuleNotFoundError:
        install = "run pip install 'unified-llm[agents]'"
        raise ConfigurationError(f"register() needs LangChain's factories: {install}.") from None
    for module, class_name in zip((chat_models, embeddings), _CLASSES, strict=True):
        table = getattr(module, "_BUILTIN_PROVIDERS", None)
        if not isinstance(table, dict):
            raise ConfigurationError(f"This version of langchain cannot be extended: import {class_name} instead.")
        table[PROVIDER_PREFIX] = (_MODULE, class_name, _make_model)


def _register_with_loader() -> None:
    try:
        module = importlib.import_module("langchain_core.load.load")
    except ModuleNotFoundError:
        raise ConfigurationError("LangChain is not installed: run pip install 'unified-llm[langchain]'.") from None
    table: Any = getattr(module, "ALL_SERIALIZABLE_MAPPINGS", {})
    computed: Any = getattr(module, "_default_class_paths_cache", {})
    for class_name in _CLASSES:
        path = (*_MODULE.split("."), class_name)
        table[path] = path
    computed.clear()


def _make_model(cls: type[Any], **fields: Any) -> Any:
    return cls(**fields)


register.__module__ = "unified_llm.langchain"  # the public module
