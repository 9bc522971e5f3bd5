"""One configuration made of all layers: what a constructor was given, ``configure()``, the environment, the file.

A profile counts as given: its fields are the base that the other arguments of the constructor override.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from unified_llm._config import process_settings
from unified_llm._config.credentials import WITHOUT_NETWORK, Endpoint, find_endpoint, has_own_address, has_own_key
from unified_llm._config.field_groups import CALL_FIELDS, KEY_AND_ACCOUNT, KEY_FIELDS, beneath
from unified_llm._config.llm_config import LLMConfig, given_fields
from unified_llm._config.profile_names import profile_named
from unified_llm._config.setting_layers import Connection, Layer
from unified_llm._core.api_key import OmittedKey
from unified_llm._core.base_url import matches, normalise, split_origin
from unified_llm._providers import registry
from unified_llm._providers.output_types import output_types
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError


def expand_profile(config: LLMConfig) -> LLMConfig:
    """Return the configuration with the fields of the profile that stands in the place of its model.

    A key of the profile stays with the address of the profile, and both with its provider.

    Raises:
        ConfigurationError: There is no such profile, or profiles lead back to themselves.
    """
    seen: list[str] = []
    while (name := profile_named(config.model)) is not None:
        if name in seen:
            raise ConfigurationError(
                f"Profiles lead back to themselves: {' -> '.join(f'@{n}' for n in (*seen, name))}."
            )
        seen.append(name)
        fields = dict(process_settings.profile(name))
        given = given_fields(config)
        del given["model"]
        if {"base_url", "provider"} & given.keys():
            fields = {name: value for name, value in fields.items() if name not in KEY_AND_ACCOUNT}
        if "provider" in given:
            fields = {name: fields[name] for name in fields.keys() & {*CALL_FIELDS, "model", "name", "fallbacks"}}
        config = LLMConfig(**beneath(fields, given))
    return config


def complete_primary(config: LLMConfig, layers: Sequence[Layer], *, has_fallbacks: bool) -> LLMConfig:
    """Return the configuration of a client's first target: with its profile, else the model that the layers name.

    Args:
        config: What the constructor was given.
        layers: What the process sets.
        has_fallbacks: The client has fallbacks, which go in place of those of a profile or a layer.

    Raises:
        ConfigurationError: A profile or a layer is wrong.
    """
    own = config.fallbacks if "fallbacks" in config.model_fields_set else None
    for layer in layers:
        config = _with_target_of(layer, config)
    config = expand_profile(config)
    for layer in layers:  # a profile may leave the model to them
        config = _with_target_of(layer, config)
    if has_fallbacks:
        return config.model_copy(update={"fallbacks": own or ()})
    if own is None and not config.fallbacks and _may_chat(config) and (named := default_fallbacks(layers)):
        config = config.model_copy(update={"fallbacks": [one for one in named if not _is_same(one, config)]})
    return config


def _may_chat(config: LLMConfig) -> bool:
    """Return False for a target that is known to be for embeddings, images or the like."""
    named = None if config.provider else registry.parse_model_string(config.model or "")
    row = registry.find(config.provider or (named[0] if named else ""))
    model = named[1] if named else config.model or ""
    makes = output_types(row.name if row else "", model)
    return "text" in makes or not (makes or "embed" in model.lower() or "rerank" in model.lower())


def default_fallbacks(layers: Sequence[Layer]) -> tuple[Any, ...]:
    """Return the fallbacks of a client that has none of its own."""
    return next((layer.fields["fallbacks"] for layer in layers if "fallbacks" in layer.fields), ())


def _with_target_of(layer: Layer, config: LLMConfig) -> LLMConfig:
    """Fill the model and the provider that a client does not name; the folder in ``base_url``, of MLX, is a model."""
    folder = ("base_url",) if layer.provider == "mlx" else ()
    fields = {name: layer.fields[name] for name in ("model", "provider", "name", *folder) if name in layer.fields}
    if config.model is None and config.provider is None:
        return config.model_copy(update={**fields, **({"name": config.name} if config.name else {})})
    if config.model is None and "model" in fields:
        row = registry.find(config.provider or "")
        if row is not None and row.name == layer.provider:
            model = fields["model"]
            named = None if "provider" in fields else registry.parse_model_string(model)
            return config.model_copy(update={"model": named[1] if named else model})
    if config.provider is None and "provider" in fields and _names_no_provider(config.model):
        return config.model_copy(update={"provider": fields["provider"]})
    return config


def _names_no_provider(model: str | None) -> bool:
    return model is not None and profile_named(model) is None and registry.parse_model_string(model) is None


def _is_same(fallback: Any, config: LLMConfig) -> bool:
    """Return whether a fallback that a layer has for all clients is the primary itself."""
    named = fallback if isinstance(fallback, str) else None
    return named is not None and named == (f"{config.provider}/{config.model}" if config.provider else config.model)


def merge(config: LLMConfig, spec: ProviderSpec, layers: Sequence[Layer]) -> LLMConfig:
    """Return the configuration of a target with what the layers set for it."""
    if not layers:
        return config
    values: dict[str, Any] = {}
    for layer in reversed(layers):
        values.update(layer.settings_for(spec))
    if not spec.standby:
        values.pop("standby", None)  # which is set for those targets of a chain that can be
    merged = LLMConfig(**beneath(values, given_fields(config)))
    return _with_connection(merged, spec, layers, account=config.account)


def merge_limits(settings: LLMConfig, layers: Sequence[Layer]) -> LLMConfig:
    """Return what stands beside a model object, with the limits that the layers set for every target.

    The object's own constructor set its sampling, which goes before what is set for the process.
    """
    values: dict[str, Any] = {}
    limits = CALL_FIELDS[CALL_FIELDS.index("timeout") :]
    for layer in reversed(layers):
        values.update({name: layer.fields[name] for name in limits if name in layer.fields})
    return LLMConfig(**{**values, **given_fields(settings)}) if values else settings


def _with_connection(
    config: LLMConfig, spec: ProviderSpec, layers: Sequence[Layer], *, account: str | None
) -> LLMConfig:
    """Fill the address and the key, each from the first source that has one; the account, unless it is given.

    The variables of the provider itself are looked up later, so nothing is filled from the layers below them.
    """
    if spec.format in WITHOUT_NETWORK:
        return config
    if config.base_url is None and (url := next(_addresses(spec, layers), None)):
        config = config.model_copy(update={"base_url": url})
    if any(getattr(config, name, None) not in {None, OmittedKey.KEY} for name in KEY_FIELDS):
        return config
    endpoint = find_endpoint(config, spec, [])
    own_key = endpoint.own_host and has_own_key(spec)
    for layer in layers:
        if own_key and not layer.is_configured:
            break
        for connection in layer.connections(spec):
            if connection.key and _may_have_key(connection, endpoint, spec):
                given = {"account": account} if account else {}
                return config.model_copy(update={"api_key": None, **connection.key, **given})
    return config


def _addresses(spec: ProviderSpec, layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        if not layer.is_configured and has_own_address(spec):
            return
        for connection in layer.connections(spec):
            if connection.base_url:
                yield connection.base_url


def _may_have_key(connection: Connection, endpoint: Endpoint, spec: ProviderSpec) -> bool:
    """Return whether a key of a layer may go to a target: to the address beside it, or to the provider's own hosts."""
    if connection.base_url is not None:
        beside = normalise(connection.base_url, source="base_url=", version=spec.version)
        if split_origin(beside)[0] == split_origin(endpoint.base_url)[0]:
            return True
    if not connection.of_provider:
        return False
    if matches(endpoint.base_url, spec.hosts) or endpoint.base_url == spec.base_url:
        return True
    # The address of a server that people run themselves is in its variable alone.
    return endpoint.own_host and (spec.local or not spec.hosts)
