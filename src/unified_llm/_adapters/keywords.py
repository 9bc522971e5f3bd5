"""Keyword arguments that all adapters have, for type checkers and editors.

Each class of keywords, here and in the adapters, lists the names and types that users may write, which are wider than
those of the fields (``api_key`` is a string, a ``SecretStr`` or a callable). A test compares it with the fields.
Nothing imports this at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from unified_llm._adapters.links import ChainOfTargets
from unified_llm._config.keywords import EndpointKeywords, SamplingKeywords
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.model_name import ModelName
from unified_llm._core.outcome import FailureKind
from unified_llm.types.records import Attempt

ChainLink: TypeAlias = ModelName | LLMConfig | Mapping[str, Any] | ChainOfTargets
"""A fallback that every adapter takes."""


class ChainKeywords(EndpointKeywords, total=False):
    """The fields of ``TargetFields`` but the model and the fallbacks, and their aliases."""

    deadline: float | None
    failover_on: Mapping[FailureKind, bool] | None
    skip_unconfigured: bool
    on_attempt: Callable[[Attempt], None] | None


class ChatKeywords(SamplingKeywords, total=False):
    """The request fields and the options of a chat that the chat models of all frameworks have."""

    hedge_after: float | None
    on_stream_break: str
