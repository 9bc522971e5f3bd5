"""Keyword arguments that describe a target and a provider, for type checkers and editors.

Each class lists the names and types that users may write. A test compares it with what it describes: ``LLMConfig``,
``ProviderSpec``. Nothing imports this at run time before a signature is looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePath
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from pydantic import SecretStr

from unified_llm._config.model_name import ModelName
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.features import Feature
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.proxy import Proxy
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import BreakerConfig
from unified_llm._lib.list_of import ListOf

if TYPE_CHECKING:
    from unified_llm._core.outcome import FailureKind

    KindOfFailure: TypeAlias = FailureKind
else:
    KindOfFailure = str

CertificateFiles: TypeAlias = str | PurePath | tuple[str | PurePath | None, ...] | list[str]
_Key: TypeAlias = str | SecretStr | Secret
_ReturnedKey: TypeAlias = _Key | tuple[_Key, float | None]
ApiKey: TypeAlias = _Key | KeyCallable | OmittedKey | Callable[[], _ReturnedKey] | Callable[[], Awaitable[_ReturnedKey]]


class ModelKeywords(TypedDict, total=False):
    """The model of a target: a class of its own, so that signatures show it first."""

    model: ModelName | None


class EndpointKeywords(TypedDict, total=False):
    """The fields of a target, and their aliases, that the adapters have too."""

    model_name: ModelName | None
    fallback_configs: ListOf[Any] | None  # model strings, mappings, LLMConfig (its module imports this one)
    provider: str | None
    name: str | None
    base_url: str | None
    api_key: ApiKey | None
    api_key_env: str | None
    account: str | None
    api_version: str | None
    api: str | None
    timeout: float | None
    request_timeout: float | None
    connect_timeout: float | None
    verify_ssl: bool | str | PurePath | SSLContext | None
    proxy: str | SecretStr | Proxy | Literal[False] | None
    client_cert: CertificateFiles | ClientCertificate | None
    allow_http: bool | None
    max_retries: int | None
    resend: bool | None
    retry_delay: float | None
    retry_max_delay: float | None
    max_response_bytes: int | None
    rpm: int | None
    tpm: int | None
    cache_ttl: float | None
    default_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    context_window: int | None
    breaker: BreakerConfig | Mapping[str, Any] | None
    mlx: MLXConfig | Mapping[str, Any] | None
    download: bool | None
    memory_limit: int | str | None
    standby: Literal["warm"] | None


class SamplingKeywords(TypedDict, total=False):
    """The request fields that a target, or a chat model of a framework, has for all of its calls, and their aliases."""

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


class TargetKeywords(ModelKeywords, EndpointKeywords, SamplingKeywords, total=False):
    """The fields of ``LLMConfig`` but ``fallbacks``, and their aliases."""

    retry_exponential_base: float | None
    dimensions: int | None
    last_resort: bool | None
    space: str | None


class ProviderKeywords(TypedDict, total=False):
    """The fields of a row of the provider table that ``register_provider()`` takes beside its own parameters."""

    title: str
    version: str
    key_env: ListOf[str]
    base_url_env: ListOf[str]
    token_env: ListOf[str]
    version_env: ListOf[str]
    model_env: ListOf[str]
    timeout_env: ListOf[str]
    key_required: bool
    format: str
    apis: Mapping[str, str]
    api_features: Mapping[str, frozenset[Feature]]
    quirks: Quirks | Mapping[str, Any]
    hosts: ListOf[str]
    local: bool
    standby: bool
    literal_models: bool
    owner_in_names: bool
    first_token: float | None
    embeds_at_once: int
    headers: Mapping[str, str]
    docs: str
    note: str
    otel_name: str
    langsmith_name: str
    advice: Mapping[KindOfFailure, str]
