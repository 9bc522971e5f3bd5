"""Keyword arguments of ``ChatUnified`` and ``UnifiedEmbeddings``, for type checkers and editors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable

from unified_llm._adapters.keywords import ChainKeywords, ChainLink, ChatKeywords
from unified_llm._lib.list_of import ListOf

ChatModel: TypeAlias = Runnable[Any, Any]
"""A chat model, or a chat model with bound tools."""

ChatFallbacks: TypeAlias = ListOf[ChainLink | ChatModel]

EmbeddingFallbacks: TypeAlias = ListOf[ChainLink]


class _ChatModelKeywords(TypedDict, total=False):
    """The fields of LangChain's own chat models."""

    cache: BaseCache | bool | None
    verbose: bool
    callbacks: Callbacks
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None
    rate_limiter: BaseRateLimiter | None
    disable_streaming: bool | Literal["tool_calling"]
    output_version: str | None
    profile: ModelProfile | None


class ChatUnifiedKeywords(ChainKeywords, ChatKeywords, _ChatModelKeywords, total=False):
    """The fields of ``ChatUnified`` but the model and the fallbacks."""

    streaming: bool
    stream_usage: bool
    model_kwargs: Mapping[str, Any]


class UnifiedEmbeddingsKeywords(ChainKeywords, total=False):
    """The fields of ``UnifiedEmbeddings`` but the model and the fallbacks."""

    dimensions: int | None
    batch_size: int
    chunk_size: int
    space: str | None
