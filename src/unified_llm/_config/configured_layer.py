"""The layer of ``configure()``: fields of targets and of providers, checked as those of ``LLMConfig`` are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from unified_llm._config import process_wide
from unified_llm._config.checked_field import attempt, checked_field, find_target_field, known_names
from unified_llm._config.constructor_names import ALIASES, advice, field_of
from unified_llm._config.given_targets import explain
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.model_objects import is_wrapped
from unified_llm._config.model_string import provider_and_model
from unified_llm._config.profile_names import profile_named
from unified_llm._config.setting_layers import Layer, check_key
from unified_llm._config.unknown_fields import refuse_unknown
from unified_llm._core.redaction import quoted
from unified_llm._lib.close_names import closest
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

Read = TypeVar("Read")

KNOWN: Final = (*LLMConfig.model_fields, *ALIASES, *process_wide.BESIDE_TARGETS)


def changed_layer(before: Layer, given: dict[str, Any]) -> Layer:
    """Return the layer with other values; None removes one. The fields are taken out of ``given``, where keys may be.

    Raises:
        ConfigurationError: A name is unknown, or a value makes no sense.
    """
    for name in given:
        if name not in KNOWN:
            raise ConfigurationError(f"configure() has no default called {quoted(name)}: {_hint(name)}")
    providers = dict(before.providers)
    if "providers" in given:
        providers = _changed_providers(providers, given.pop("providers"))
    removed = {ALIASES.get(name, name) for name, value in given.items() if value is None}
    fields = {name: value for name, value in before.fields.items() if name not in removed}
    layer = Layer(before.name, fields | _read_fields(given, "configure({name}=...)"), providers)
    _at("configure()", lambda: _check_together(layer))
    return layer


def _hint(name: str) -> str:
    if text := advice(name):
        return text
    if near := closest(name, KNOWN):
        return f"did you mean {near}?"
    return f"known are the fields of LLMConfig, and {', '.join(process_wide.BESIDE_TARGETS)}."


def _read_fields(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the values of fields as ``LLMConfig`` reads them, without those that are None."""
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if value is not None:
            _read_field(name, value, fields, source.replace("{name}", name))
    return fields


def _read_field(name: str, value: Any, fields: dict[str, Any], source: str) -> None:
    field = _at(source, lambda: field_of(name, fields))
    fields[field] = _at(source, lambda: checked_field(field, value))


def _at(source: str, read: Callable[[], Read]) -> Read:
    """Call something; its error gets the source before it."""
    value, problem = attempt(read)
    if problem is not None:
        raise ConfigurationError(f"{source}: {problem}")
    return cast("Read", value)


def _changed_providers(
    before: dict[str, Mapping[str, Any]], given: Mapping[str, Any] | None
) -> dict[str, Mapping[str, Any]]:
    """Return the fields of providers, those that are given in place of what they had."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            'configure(providers=...) is a mapping: {"openai": {"api_key": ..., "base_url": ...}}.'
        )
    after = dict(before)
    for name, fields in given.items():
        spec = registry.row(str(name))
        if fields is None:
            after.pop(spec.name, None)
            continue
        source = f"configure(providers={{{spec.name!r}: ...}})"
        after[spec.name] = _read_provider(fields, source)
    return after


def _read_provider(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the fields for the targets of a provider, checked one by one, then together."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError(f"{source}: the fields of a provider are a mapping of names to values.")
    if wrong := find_target_field(given):
        raise ConfigurationError(f"{source}: {wrong} belongs to a target: write it in its LLMConfig.")
    refuse_unknown(given, known_names(), source)
    fields = _read_fields(given, source)
    _at(source, lambda: LLMConfig(**fields))
    return fields


def _check_together(layer: Layer) -> None:
    """Check what fields that are set together mean."""
    model, provider = layer.fields.get("model"), layer.fields.get("provider")
    if profile_named(model) is None and (model or provider):
        provider_and_model(LLMConfig(model=model, provider=provider))
    check_key(layer)
    LLMConfig(**layer.fields)
    for fallback in layer.fields.get("fallbacks", ()):
        _check_fallback(fallback)


def _check_fallback(fallback: Any) -> None:
    """Refuse a fallback that names no target; the profiles that it may name are those of the moment of use."""
    config = LLMConfig(model=fallback) if isinstance(fallback, str) else fallback
    if is_wrapped(config):
        return
    if not isinstance(config, LLMConfig):
        raise ConfigurationError(f"A fallback is a model string, a mapping or an LLMConfig, not {explain(fallback)}")
    if profile_named(config.model) is None and (config.model or config.provider):
        provider_and_model(config)
    for further in config.fallbacks:
        _check_fallback(further)
