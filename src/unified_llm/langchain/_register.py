"""``register``: makes our classes known where LangChain knows only its own, for those who ask for it."""

from __future__ import annotations

import importlib
from typing import Any, Final

from unified_llm.exceptions import ConfigurationError

NAME: Final = "unified"
_MODULE: Final = "unified_llm.langchain"
_CLASSES: Final = ("ChatUnified", "UnifiedEmbeddings")
_FACTORIES: Final = ("langchain.chat_models.base", "langchain.embeddings.base")


def register() -> None:
    """Teach LangChain's factories the prefix ``unified:``, and its loader our classes.

    ``init_chat_model("unified:openai/gpt-5-mini")`` then makes ``ChatUnified("openai/gpt-5-mini")``; ``create_agent``
    and ``init_embeddings`` understand it too. And ``langchain_core.load`` counts our classes among those that ``"all"``
    means.

    LangChain keeps fixed tables of both and has no public way into them, so this changes the tables of this process.
    Calling it again changes nothing.

    Raises:
        ConfigurationError: LangChain is not installed, or its tables are gone. Where only ``langchain`` itself is
            missing, the loader has been taught by then.
    """
    _teach_loader()
    for module_name, class_name in zip(_FACTORIES, _CLASSES, strict=True):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError:
            raise ConfigurationError("register() needs LangChain's factories: run pip install langchain.") from None
        table = getattr(module, "_BUILTIN_PROVIDERS", None)
        if not isinstance(table, dict):
            raise ConfigurationError(f"This version of langchain cannot be extended: import {class_name} instead.")
        table[NAME] = (_MODULE, class_name, _make)


def _teach_loader() -> None:
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


def _make(cls: type[Any], **fields: Any) -> Any:
    return cls(**fields)
