"""Keyword arguments that all adapters have, for type checkers and editors.

Each class of keywords, here and in the adapters, lists the names and types that users may write, which are wider than
those of the fields (``api_key`` is a string or a ``SecretStr``). A test compares it with the fields. Nothing imports
this at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from ssl import SSLContext
from typing import Any, Literal, TypeAlias, TypedDict

from unified_llm._adapters.links import ChainOfTargets
from unified_llm._config.keywords import ApiKey
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.model_name import ModelName
from unified_llm._core.outcome import FailureKind
from unified_llm._core.target import BreakerConfig
from unified_llm._lib.list_of import ListOf
from unified_llm.types.records import Attempt

ChainLink: TypeAlias = ModelName | LLMConfig | Mapping[str, Any] | ChainOfTargets
"""A fallback that every adapter takes."""


class ChainKeywords(TypedDict, total=False):
    """The fields of ``TargetFields`` but the model and the fallbacks, and their aliases."""

    model_name: ModelName | None
    provider: str | None
    name: str | None
    base_url: str | None
    api_key: ApiKey | None
    api_version: str | None
    api: str | None
    timeout: float | None
    request_timeout: float | None
    connect_timeout: float | None
    max_retries: int | None
    resend: bool | None
    retry_delay: float | None
    retry_max_delay: float | None
    max_response_bytes: int | None
    default_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    context_window: int | None
    verify_ssl: bool | str | PurePath | SSLContext | None
    allow_http: bool | None
    breaker: BreakerConfig | Mapping[str, Any] | None
    cache_ttl: float | None
    deadline: float | None
    failover_on: Mapping[FailureKind, bool] | None
    skip_unconfigured: bool
    on_attempt: Callable[[Attempt], None] | None


class SamplingKeywords(TypedDict, total=False):
    """The request fields that a chat model of a framework has for all of its calls, and their aliases."""

    temperature: float | None
    max_tokens: int | None
    max_completion_tokens: int | None
    top_p: float | None
    stop: str | ListOf[str] | None
    stop_sequences: str | ListOf[str] | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    reasoning_effort: str | None
    reasoning_format: Literal["parsed", "raw", "hidden"] | None
    text_tool_calls: bool | None
    merge_messages: bool | None
    hedge_after: float | None
    on_stream_break: str
