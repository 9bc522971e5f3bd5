"""Keyword arguments of the client's calls, for type checkers and editors.

Each class lists the names and types that users may write. A test compares it with what it describes: the request, and
the options of a call. Nothing imports this at run time before a signature is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from unified_llm._config.keywords import ApiKey, KindOfFailure
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.model_name import ModelName
from unified_llm._lib.list_of import ListOf
from unified_llm.types.messages import Message, ResponseFormat, Tool


class OptionKeywords(TypedDict, total=False):
    """The options that every call has."""

    timeout: float | None
    deadline: float | None
    failover_on: Mapping[KindOfFailure, bool] | None
    extra_headers: Mapping[str, str] | None
    max_retries: int | None
    retry_delay: float | None
    retry_max_delay: float | None
    retry_exponential_base: float | None
    api_key: ApiKey | None
    base_url: str | None
    fallbacks: ListOf[ModelName | LLMConfig | Mapping[str, Any]] | None


class ChatKeywords(OptionKeywords, total=False):
    """The fields of ``LLMRequest``, the options of a chat, and an alias."""

    messages: str | ListOf[Message | Mapping[str, Any] | tuple[str, str]]
    model: ModelName | None
    temperature: float | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stream: bool | None
    request_id: str | None
    timeout_override: float | None
    top_p: float | None
    stop: str | ListOf[str] | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    tools: ListOf[Tool | Mapping[str, Any] | Callable[..., Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: ResponseFormat | Mapping[str, Any] | None
    reasoning_effort: str | None
    logprobs: bool | None
    top_logprobs: int | None
    n: int | None
    as_text: bool | Literal["preferred"]
    reasoning_format: Literal["parsed", "raw", "hidden"] | None
    text_tool_calls: bool | None
    merge_messages: bool | None
    extra_body: Mapping[str, Any] | None
    hedge_after: float | None


class EmbedKeywords(OptionKeywords, total=False):
    """The fields of ``EmbeddingRequest`` but its texts, and the options of a call."""

    model: ModelName | None
    dimensions: int | None
    purpose: Literal["query", "document"] | None
    extra_body: Mapping[str, Any] | None


class ImageKeywords(OptionKeywords, total=False):
    """The fields of ``ImageRequest`` but its prompt and images, and the options of a call."""

    model: ModelName | None
    n: int | None
    size: str | None
    quality: str | None
    format: str | None
    background: str | None
    partial_images: int | None
    extra_body: Mapping[str, Any] | None


class SpeechKeywords(OptionKeywords, total=False):
    """The fields of ``SpeechRequest`` but its text, and the options of a call."""

    model: ModelName | None
    voice: str | None
    format: str | None
    speed: float | None
    instructions: str | None
    extra_body: Mapping[str, Any] | None


class TranscriptionKeywords(OptionKeywords, total=False):
    """The fields of ``TranscriptionRequest`` but its recording, and the options of a call."""

    model: ModelName | None
    translate: bool
    language: str | None
    prompt: str | None
    format: str | None
    temperature: float | None
    timestamps: Literal["word", "segment"] | ListOf[Literal["word", "segment"]] | None
    extra_body: Mapping[str, Any] | None


class VideoKeywords(OptionKeywords, total=False):
    """The fields of ``VideoRequest`` but its prompt and its picture, and the options of a call."""

    model: ModelName | None
    seconds: int | None
    size: str | None
    extra_body: Mapping[str, Any] | None


class RerankKeywords(OptionKeywords, total=False):
    """The fields of ``RerankRequest`` but its texts, and the options of a call."""

    top_n: int | None
    model: ModelName | None
    extra_body: Mapping[str, Any] | None
