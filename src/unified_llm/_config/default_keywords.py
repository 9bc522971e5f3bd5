"""Keyword arguments of ``configure()``, for type checkers and editors; nothing imports this before it is called."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Literal

from unified_llm._config.keywords import TargetKeywords
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.model_name import ModelName
from unified_llm._lib.list_of import ListOf


class DefaultKeywords(TargetKeywords, total=False):
    """The process-wide defaults that ``configure()`` sets: the fields of a target, and those of the process."""

    fallbacks: ListOf[ModelName | Mapping[str, Any] | LLMConfig] | None
    providers: Mapping[str, Mapping[str, Any] | None] | None
    config: str | PathLike[str] | None
    env_file: str | PathLike[str] | None
    error_details: bool | None
    telemetry: bool | Literal["without_usage"] | None
    model_cache: bool | str | PathLike[str] | None
    state: str | None
