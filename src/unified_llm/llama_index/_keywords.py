"""Keyword arguments of ``UnifiedLLM``, ``UnifiedEmbedding`` and ``UnifiedRerank``, for type checkers and editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypedDict

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.llm import CompletionToPromptType, MessagesToPromptType
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode

from unified_llm._adapters.keywords import ChainKeywords, ChainLink, ChatKeywords
from unified_llm._lib.list_of import ListOf

LLMFallbacks: TypeAlias = ListOf[ChainLink | BaseLLM]
"""Model strings, mappings, ``LLMConfig``, and other LlamaIndex LLMs."""

Fallbacks: TypeAlias = ListOf[ChainLink]


class _LLMKeywords(TypedDict, total=False):
    """The fields of LlamaIndex's own LLMs."""

    callback_manager: CallbackManager
    rate_limiter: Any
    system_prompt: str | None
    messages_to_prompt: MessagesToPromptType | None
    completion_to_prompt: CompletionToPromptType | None
    output_parser: BaseOutputParser | None
    pydantic_program_mode: PydanticProgramMode
    query_wrapper_prompt: BasePromptTemplate | None


class UnifiedLLMKeywords(ChainKeywords, ChatKeywords, _LLMKeywords, total=False):
    """The fields of ``UnifiedLLM`` but the model and the fallbacks."""

    is_function_calling_model: bool | None
    additional_kwargs: Mapping[str, Any]


class UnifiedEmbeddingKeywords(ChainKeywords, total=False):
    """The fields of ``UnifiedEmbedding`` but the model and the fallbacks."""

    dimensions: int | None
    space: str | None
    embed_batch_size: int
    batch_size: int
    chunk_size: int
    num_workers: int | None
    callback_manager: CallbackManager
    embeddings_cache: Any
    rate_limiter: Any


class UnifiedRerankKeywords(ChainKeywords, total=False):
    """The fields of ``UnifiedRerank`` but the model and the fallbacks."""

    top_n: int | None
    top_k: int | None
    callback_manager: CallbackManager
