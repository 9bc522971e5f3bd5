"""The layers of settings below a constructor: ``configure()``, the environment, the configuration file.

Each has fields of ``LLMConfig`` for every target, and fields for the targets of one provider. A layer that is asked for
a target gives what holds for that one; the first layer that has a field decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal, get_args

from unified_llm._config.checked_field import attempt, checked_field
from unified_llm._config.field_groups import (
    CONNECTION_FIELDS,
    KEY_AND_ACCOUNT,
    KEY_FIELDS,
    NOT_IN_ENVIRONMENT,
    TARGET_FIELDS,
)
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.process_wide import BESIDE_TARGETS
from unified_llm._core.environment import PREFIX, names_with, read_flag, source_of, variable, variable_of
from unified_llm._core.proxy import Proxy
from unified_llm._core.seconds import TIMES, number_from_text
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError

CONFIGURE: Final = "configure()"
# Fields that describe one provider's service or model: where a layer names a provider, they are of that one alone.
_OF_A_PROVIDER: Final = frozenset({"account", "api", "api_version", "context_window", "rpm", "space", "tpm"})


@dataclass(frozen=True, slots=True)
class Connection:
    """The address and the key that a layer has for a provider.

    Attributes:
        base_url: The address, or None.
        key: The fields of the key, if there is one.
        of_provider: They belong to the provider, so that the key may go to its own hosts.
    """

    base_url: str | None
    key: Mapping[str, Any] = field(repr=False)
    of_provider: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings of one source.

    Attributes:
        name: The source, for messages.
        fields: Fields of ``LLMConfig`` for every target. The model, the provider and the fallbacks are those of a
            client that names none.
        providers: Fields for the targets of a provider, by its name.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def is_configured(self) -> bool:
        """Return whether it is that of ``configure()``, which goes before the environment."""
        return self.name == CONFIGURE

    def __bool__(self) -> bool:
        """Return whether it sets anything."""
        return bool(self.fields or self.providers)

    @property
    def provider(self) -> str | None:
        """The name of the provider that the fields for every target name, by themselves or in a model string."""
        if (named := self.fields.get("provider")) is not None:
            return registry.row(named).name
        model = self.fields.get("model")
        parsed = registry.parse_model_string(model) if model else None
        return parsed[0] if parsed else None

    def settings_for(self, spec: ProviderSpec) -> dict[str, Any]:
        """Return the fields for targets of a provider, without what names a target, its address and its key."""
        general = _without_connection(self.fields, TARGET_FIELDS)
        if self.provider not in {None, spec.name}:
            general = {name: value for name, value in general.items() if name not in _OF_A_PROVIDER}
        if general.get("api") not in spec.apis:
            general.pop("api", None)
        if isinstance(proxy := general.get("proxy"), Proxy):
            general["proxy"] = proxy.for_process()
        return general | _without_connection(self.providers.get(spec.name, {}))

    def connections(self, spec: ProviderSpec) -> Iterable[Connection]:
        """Yield the addresses and keys for a provider, the closer one first."""
        if own := self.providers.get(spec.name):
            yield Connection(own.get("base_url"), _key_of(own), of_provider=True)
        named = self.provider
        if named in {None, spec.name}:
            yield Connection(self.fields.get("base_url"), _key_of(self.fields), of_provider=named is not None)


def _without_connection(fields: Mapping[str, Any], others: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return fields without address and key, and without the account that goes with a key beside it."""
    left_out = CONNECTION_FIELDS | _key_of(fields).keys() | others
    return {name: value for name, value in fields.items() if name not in left_out}


def _key_of(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of the key, and of its account."""
    return {} if KEY_FIELDS.isdisjoint(fields) else {name: fields[name] for name in KEY_AND_ACCOUNT & fields.keys()}


def check_key(layer: Layer) -> None:
    """Refuse a key that belongs to no provider and no address: every provider would get it.

    Raises:
        ConfigurationError: There is one.
    """
    if _key_of(layer.fields) and layer.provider is None and "base_url" not in layer.fields:
        raise ConfigurationError(
            'a key for no provider would go to all of them: write providers={"openai": {"api_key": ...}}, or set '
            "provider, model or base_url beside it."
        )


@cache
def _fields_by_variable() -> Mapping[str, str]:
    """Return the fields of ``LLMConfig`` that have a variable, by its name."""
    return {variable_of(name): name for name in LLMConfig.model_fields if name not in NOT_IN_ENVIRONMENT}


@cache
def _flags() -> frozenset[str]:
    """Return the fields that may be True or False, some of them beside other values (``verify_ssl``, ``proxy``)."""
    types = {name: (field.annotation, *get_args(field.annotation)) for name, field in LLMConfig.model_fields.items()}
    return frozenset(name for name, kinds in types.items() if bool in kinds or Literal[False] in kinds)


def environment_layer() -> Layer:
    """Read the variables ``UNIFIED_LLM_*``, as they are now.

    Raises:
        ConfigurationError: One holds something that makes no sense. Its value is not repeated.
    """
    fields: dict[str, Any] = {}
    for name in names_with(PREFIX):
        if (field_name := _fields_by_variable().get(name)) and (text := variable(name)):
            fields[field_name] = _read_variable(field_name, text)
    return Layer("the environment", fields, _timeouts_of_providers())


def _timeouts_of_providers() -> dict[str, dict[str, Any]]:
    """Read the variables that providers have for their timeouts."""
    variables = ((spec.name, name) for spec in registry.specs() for name in spec.timeout_env)
    return {
        provider: {"timeout": _read_variable("timeout", text, name)}
        for provider, name in variables
        if (text := variable(name))
    }


def _read_variable(name: str, text: str, source: str = "") -> Any:
    flag = read_flag(text) if name in _flags() else None
    value: object = flag if flag is not None else number_from_text(text) if name in TIMES else text
    read, problem = attempt(lambda: _checked(name, value))
    if problem is not None:
        raise _error_in(source or variable_of(name), problem)
    return read


def _checked(name: str, value: object) -> Any:
    return registry.row(f"{value}").name if name == "provider" else checked_field(name, value)


def _error_in(name: str, problem: str) -> ConfigurationError:
    source = source_of(name)
    return ConfigurationError(f"{source[0].upper()}{source[1:]}: {problem}")


def unknown_variables() -> list[str]:
    """Return the variables that begin like ours and are none of them, which may be misspelled."""
    known = {*_fields_by_variable(), *map(variable_of, BESIDE_TARGETS)}
    return sorted(name for name in names_with(PREFIX) if name not in known)
