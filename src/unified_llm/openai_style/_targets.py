"""The targets of an OpenAI client: which provider a ``model`` of a call names, and the client that serves it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from unified_llm._client.client import LLMClient
from unified_llm._config.field_groups import CALL_FIELDS
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.profile_names import profile_named
from unified_llm._core.base_url import is_private, matches, normalise
from unified_llm._core.environment import variable
from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._lib.fork_safe import make_lock
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError, UnconfiguredError, ValidationError

_COMPATIBLE: Final = "openai-compatible"
# Formats of the addresses that OpenAI's SDK can be pointed at; other providers have such an address beside their own.
_OPENAI_FORMATS: Final = frozenset({"openai_chat", "azure"})
# The server's own words come back, as with OpenAI's SDK.
_UNCHANGED: Final[Mapping[str, Any]] = {
    "reasoning_format": "raw", "text_tool_calls": False, "merge_messages": False,
}  # fmt: skip
_MOST_CLIENTS: Final = 64  # one for each provider, and for each key and address that a call named
# ``mistral:7b`` and ``mistral:latest`` are models of a server such as Ollama.
_TAG: Final = re.compile(r"latest\b|v?\d")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Key of the client that serves a call of an OpenAI client.

    Attributes:
        provider: The provider, or a profile; None for the provider of the OpenAI client.
        base_url: The address that the call names.
        api_key: The key that the call names.
        connect_timeout: Seconds for each step of making a connection.
        api: The API that the calls are written for, where the provider has it (``responses``).
    """

    provider: str | None = None
    base_url: str | None = None
    api_key: Any = field(default=None, repr=False)
    connect_timeout: float | None = None
    api: str | None = None


def endpoint_fields(base_url: str | None) -> dict[str, Any]:
    """Return the fields of a configuration for the address of an OpenAI client.

    An address of a known provider in OpenAI's format is that provider; any other is a server with models of any name.

    Args:
        base_url: The address; None for that in ``OPENAI_BASE_URL``, or OpenAI's own.
    """
    from_environment = base_url is None
    url = (variable("OPENAI_BASE_URL") or "").strip() if base_url is None else base_url
    if not url:
        return {"provider": "openai"}
    spec = _provider_at(url)
    if from_environment and spec is not None and spec.name == "openai":
        return {"provider": "openai"}  # which reads the variable itself
    fields: dict[str, Any] = {"provider": spec.name if spec else _COMPATIBLE, "base_url": url}
    if from_environment and variable("OPENAI_API_KEY"):
        fields["api_key_env"] = "OPENAI_API_KEY"
    return fields if spec else {**_UNCHANGED, **fields}


def _provider_at(url: str) -> ProviderSpec | None:
    if is_private(normalise(url, source="base_url=")):
        return None
    specs = (spec for spec in registry.ROWS if spec.format in _OPENAI_FORMATS)
    return next((spec for spec in specs if matches(url, spec.hosts)), None)


class Targets:
    """Finds the client that serves a call, and makes it when the first call needs it.

    Args:
        own: The configuration for models without a provider in their name; it has no model.
        model: The model of calls that name none.
        fallbacks: Further targets of every call.
        options: Further arguments of ``LLMClient``.
        deployment: The model that stands for all models without a provider in their name.

    Attributes:
        prefixed: ``provider/model`` names the provider also where the own provider's models have such names.
    """

    prefixed = False

    def __init__(
        self,
        own: LLMConfig,
        model: str | None = None,
        fallbacks: Sequence[Any] = (),
        options: Mapping[str, Any] = MappingProxyType({}),
        *,
        deployment: str | None = None,
    ) -> None:
        self.own, self.model, self.fallbacks, self._options = own, model, tuple(fallbacks), dict(options)
        self._deployment = deployment
        self._start()

    def _start(self) -> None:
        self._clients: BoundedDict[Endpoint, LLMClient] = BoundedDict(_MOST_CLIENTS)
        self._lock = make_lock()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration: its own key is left out, as are clients and their connections."""
        return {name: value for name, value in vars(self).items() if name not in {"_clients", "_lock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without clients."""
        self.__dict__.update(state)
        self._start()

    def read_model(self, model: Any, base_url: str | None, *, needs_model: bool) -> tuple[str | None, str | None]:
        """Return the provider that serves a call, and the model to name in its request.

        Args:
            model: The model of the call, or None.
            base_url: The address that the call names, or None.
            needs_model: Whether a model must be named; else the own provider serves a call without one.

        Returns:
            The provider, or a profile, or None for the own provider; and the model, or None for that of a profile.

        Raises:
            ValidationError: No model is named.
            ConfigurationError: The model names an unknown provider.
        """
        if model is None and not needs_model:
            return None, None
        model = self.model if model is None else model
        if profile_named(model) is not None:
            return model, None
        own = self.own if base_url is None else LLMConfig(**endpoint_fields(base_url))
        provider, name = _provider_and_name(model, own, prefixed=self.prefixed)
        is_own = provider == own.provider
        name = self._deployment or name if is_own else name
        return None if is_own else provider, f"{provider}:{name}"

    def default_client(self) -> LLMClient:
        """Return the client for no model in particular: that of the default model, else of the own provider."""
        provider = None if self.model is None else self.read_model(None, None, needs_model=True)[0]
        return self.client(Endpoint(provider))

    def client(self, endpoint: Endpoint) -> LLMClient:
        """Return the client for an endpoint: if it can be made without the key of a call, the one for all keys.

        Raises:
            ConfigurationError: The target lacks a key, a URL or a package.
        """
        if endpoint.api_key is not None and endpoint not in self._clients:
            with suppress(UnconfiguredError):
                return self.client(replace(endpoint, api_key=None))
        client = self._clients.get(endpoint)
        return self._make_client(endpoint) if client is None else client

    def _make_client(self, endpoint: Endpoint) -> LLMClient:
        with self._lock:
            client = self._clients.get(endpoint)
            if client is None:
                config = _with_api(self._config_for(endpoint), endpoint.api)
                client = LLMClient(config, fallbacks=self._fallbacks_for(endpoint), **self._options)
                self._clients.put(endpoint, client)
            return client

    def _config_for(self, endpoint: Endpoint) -> LLMConfig:
        changes: dict[str, Any] = {}
        if endpoint.provider is not None:  # a change of provider carries neither key, URL nor headers along
            named = "provider" if profile_named(endpoint.provider) is None else "model"
            changes = {**self.own.given(CALL_FIELDS), named: endpoint.provider, "base_url": endpoint.base_url}
            if self.own.provider == _COMPATIBLE:
                changes = {name: value for name, value in changes.items() if name not in _UNCHANGED}
        elif endpoint.base_url is not None:
            changes = {**self.own.given(CALL_FIELDS), **endpoint_fields(endpoint.base_url)}
        if endpoint.api_key is not None:
            changes["api_key"] = endpoint.api_key
        if endpoint.connect_timeout is not None:
            changes["connect_timeout"] = endpoint.connect_timeout
        if endpoint.provider is not None or endpoint.base_url is not None:
            return LLMConfig(**changes)
        if endpoint.api_key is not None:
            changes = {"api_key_env": None, "account": None, **changes}
        return self.own.model_copy(update=changes) if changes else self.own

    def _fallbacks_for(self, endpoint: Endpoint) -> list[Any]:
        """Return the fallbacks, without those that are the own provider at another address where that is not asked."""
        if endpoint.provider is None:
            return [*self.fallbacks]
        return [fallback for fallback in self.fallbacks if not _is_own_elsewhere(fallback)]

    @property
    def clients(self) -> list[LLMClient]:
        """The clients that were made."""
        return [*self._clients.values()]


def _with_api(config: LLMConfig, api: str | None) -> LLMConfig:
    """Return a configuration for an API, where its provider has that one and no other is configured."""
    spec = registry.find(f"{config.provider}")
    if api is None or config.api is not None or spec is None or api not in spec.apis:
        return config
    return config.model_copy(update={"api": api})


def _is_own_elsewhere(fallback: Any) -> bool:
    return isinstance(fallback, LLMConfig) and fallback.model is None and fallback.provider is None


def _provider_and_name(model: Any, own: LLMConfig, *, prefixed: bool) -> tuple[str, str]:
    """Split the model of a call into the provider and its name there.

    Raises:
        ValidationError: There is none, or it is no string.
        ConfigurationError: It names an unknown provider.
    """
    if not isinstance(model, str) or not model.strip():
        raise ValidationError('model is missing: pass model="gpt-5-mini", or "provider/model".')
    provider = f"{own.provider}"
    literal = registry.row(provider).literal_models
    named = registry.parse_model_string(model, ":" if literal and not prefixed else "/:")
    if named is not None and not (provider == _COMPATIBLE and ":" in model.partition("/")[0] and _TAG.match(named[1])):
        return named
    if named is None and "/" in model and not literal:
        raise ConfigurationError(registry.unknown_model(model))
    return provider, model
