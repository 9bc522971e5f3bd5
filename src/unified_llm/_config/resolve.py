"""Targets made from configurations: model strings, fallbacks, and what a call names in place of the primary.

All of it happens when a client is made, before any request, so that mistakes are found there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from unified_llm._config import process_settings, target_names
from unified_llm._config.field_groups import CALL_FIELDS, beneath
from unified_llm._config.given_targets import explain
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.make_target import ResolvedTarget, describe_target, resolve_target
from unified_llm._config.merged_fields import complete_primary, default_fallbacks, expand_profile, merge_limits
from unified_llm._config.model_objects import PrimaryObject, is_wrapped, target_of
from unified_llm._config.profile_names import profile_named
from unified_llm._config.setting_layers import Layer
from unified_llm._config.unconfigured import UnconfiguredTarget, error_of_call, error_of_chain
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError

Fallback: TypeAlias = LLMConfig | WrappedModel
"""A target of a chain: a configuration to resolve, or a wrapped model."""

_MANY_RETRIES: Final = 10  # more are warned of


def chain(
    first: LLMConfig | PrimaryObject, fallbacks: Sequence[Any], *, skip_unconfigured: bool
) -> tuple[tuple[ResolvedTarget, ...], Sequence[UnconfiguredTarget]]:
    """Resolve the targets of a client, in the user's order; return those that are left out as well.

    Raises:
        UnconfiguredError: Targets lack a key, a URL or a package, or none is left.
        ConfigurationError: A target is wrong.
    """
    layers = process_settings.layers()
    settings, configs = _read_chain(first, fallbacks, layers)
    resolved: list[ResolvedTarget] = []
    unconfigured: list[UnconfiguredTarget] = []
    for position, config in enumerate(configs):
        is_primary = position == 0
        if not isinstance(config, LLMConfig):
            resolved.append(ResolvedTarget(target_of(config, settings, is_primary=is_primary), None, is_primary))
        elif isinstance(outcome := resolve_target(config, layers), UnconfiguredTarget):
            unconfigured.append(outcome)
        else:
            resolved.append(replace(outcome, is_primary=is_primary))
    missing = [target for target in unconfigured if not (skip_unconfigured or target.impossible)]
    if missing:
        raise error_of_chain(missing, len(configs), skipped=False)
    if unconfigured and not resolved:
        raise error_of_chain(unconfigured, len(configs), skipped=True)
    for target in unconfigured:
        warn_once(("unconfigured", str(target)), "A target is skipped: %s", target)
    _warn_of_copies(resolved)
    _warn_of_many_retries(resolved)
    return distinguish(resolved), unconfigured


def described(first: LLMConfig | PrimaryObject, fallbacks: Sequence[Any]) -> tuple[Target, ...]:
    """Return the targets of a chain for their features and context windows, whatever keys and URLs they lack.

    Raises:
        ConfigurationError: A target is wrong.
    """
    layers = process_settings.layers()
    settings, configs = _read_chain(first, fallbacks, layers)
    targets = (
        describe_target(config, layers)
        if isinstance(config, LLMConfig)
        else target_of(config, settings, is_primary=position == 0)
        for position, config in enumerate(configs)
    )
    return tuple(target for target in targets if target is not None)


def _read_chain(
    first: LLMConfig | PrimaryObject, fallbacks: Sequence[Any], layers: Sequence[Layer]
) -> tuple[LLMConfig, list[Fallback]]:
    """Return the settings of the primary, and what the targets are made from, in order."""
    settings = first.settings if isinstance(first, PrimaryObject) else first
    settings = settings.model_copy()  # which validates it once more, whatever happened to it since it was made
    primary: Fallback
    if isinstance(first, PrimaryObject):
        primary, settings = first.model, merge_limits(settings, layers)
        fallbacks = fallbacks or ("fallbacks" not in settings.model_fields_set and default_fallbacks(layers)) or ()
    else:
        primary = settings = complete_primary(settings, layers, has_fallbacks=bool(fallbacks))
    given = (*_flatten(settings.fallbacks), *_flatten(fallbacks))
    return settings, [primary, *(_read_fallback(settings, fallback) for fallback in given)]


def _warn_of_copies(resolved: Sequence[ResolvedTarget]) -> None:
    """Warn of targets that are in a chain more than once, which add nothing: they fail together."""
    seen: set[object] = set()
    copies: dict[str, None] = {}
    for target in (each.target for each in resolved):
        if (key := (target.health_key, target.account)) in seen:
            copies[target.name] = None
        seen.add(key)
    if copies:
        text = "%s: in the chain more than once, with the same URL and API key. Remove one: both fail at once"
        warn_once(("copies", *copies), text, ", ".join(copies))


def _warn_of_many_retries(resolved: Sequence[ResolvedTarget]) -> None:
    """Warn of targets that may hold a call up for long: an explicit number of retries has no cap."""
    text = (
        "%s: max_retries=%d lets each call send up to %d requests to it before the call fails over; by default, one "
        "retry is made while another target is ready, and two on the last"
    )
    for target in (each.target for each in resolved):
        if (limit := target.retry.limit) is not None and limit > _MANY_RETRIES:
            warn_once(("retries", target.name, limit), text, target.name, limit, limit + 1, target=target.name)


def is_configured(first: LLMConfig, fallback: Any) -> bool:
    """Return whether a target of a chain has what it needs; True for a model object of a framework."""
    fallback = next(_flatten([fallback]))
    if not isinstance(fallback, LLMConfig):
        return True
    return not isinstance(resolve_target(inherit(first, fallback), process_settings.layers()), UnconfiguredTarget)


def distinguish(chain: Sequence[ResolvedTarget]) -> tuple[ResolvedTarget, ...]:
    """Tell the targets of one name apart (see ``target_names``)."""
    suffixes = target_names.suffixes([resolved.target for resolved in chain])
    return tuple(
        replace(resolved, target=replace(resolved.target, suffix=suffix)) if suffix else resolved
        for resolved, suffix in zip(chain, suffixes, strict=True)
    )


def _flatten(fallbacks: Sequence[Any]) -> Iterator[Any]:
    """Yield each fallback, a string or profile as its configuration, and its own fallbacks after it."""
    for given in fallbacks:
        fallback = LLMConfig(model=given) if isinstance(given, str) else given
        if not isinstance(fallback, LLMConfig):
            yield fallback
            continue
        expanded = expand_profile(fallback)
        yield expanded
        yield from _flatten(expanded.fallbacks)


def _read_fallback(first: LLMConfig, fallback: Any) -> Fallback:
    if isinstance(fallback, LLMConfig):
        return inherit(first, fallback)
    if is_wrapped(fallback):
        return fallback
    raise ConfigurationError(f"A fallback is a model string, a mapping or an LLMConfig, not {explain(fallback)}")


def inherit(first: LLMConfig, fallback: LLMConfig) -> LLMConfig:
    """Fill the fields that a fallback inherits from the primary.

    One that names no model and no provider is the same deployment at another address and inherits everything. Any other
    inherits what belongs to the call (sampling, limits), never a key, URL, headers or body. A key of its own replaces
    whatever says which key and account the primary has.
    """
    same_deployment = fallback.model is None and fallback.provider is None
    names = tuple(set(LLMConfig.model_fields) - {"fallbacks", "name"}) if same_deployment else CALL_FIELDS
    own = set(LLMConfig.model_fields) - ({"model", "provider"} if same_deployment else set())
    return LLMConfig(**beneath(first.given(names), fallback.given(tuple(own))))


def chain_for(chain: Sequence[ResolvedTarget], model: str) -> tuple[ResolvedTarget, ...]:
    """Return the chain of a call that names a model, or a profile, in place of the primary.

    The fallbacks of a profile go in place of those of the chain, if it has any.
    """
    if profile_named(model) is None:
        return distinguish((with_model(chain[0], model), *chain[1:]))
    before = chain[0].config
    profile = expand_profile(LLMConfig(model=model))
    config = LLMConfig(
        **{**(before.given(CALL_FIELDS) if before else {}), **profile.given(tuple(LLMConfig.model_fields))}
    )
    primary = replace(_resolve_named(config), is_primary=True)
    if not config.fallbacks:
        return distinguish((primary, *chain[1:]))
    others = [_read_fallback(config, fallback) for fallback in _flatten(config.fallbacks)]
    return distinguish((primary, *(_resolve_named(other) for other in others if isinstance(other, LLMConfig))))


def with_model(resolved: ResolvedTarget, model: str) -> ResolvedTarget:
    """Resolve the target that a call names in place of the primary.

    The names of a gateway's models contain slashes, so there ``model`` is taken literally; ``provider:model`` always
    names the provider. A change of provider carries neither key nor URL along.
    """
    config = resolved.config
    if config is None:
        raise ConfigurationError("The first target is a wrapped model object, so a call cannot name another model.")
    spec = registry.row(resolved.target.provider)
    named = registry.parse_model_string(model)
    own_name = spec.instance and named and named[0] == spec.name  # models of an object do not begin with its name
    if (config.provider or spec.literal_models) and not (own_name or registry.parse_model_string(model, ":")):
        config = _with_name(config, spec, resolved.target, model)
    elif named is None or named[0] == spec.name:
        config = _with_name(config, spec, resolved.target, named[1] if named else model)
    else:  # the caller chose another provider in place of whatever is first
        return replace(_resolve_named(LLMConfig(model=model, **config.given(CALL_FIELDS))), is_primary=True)
    return replace(_resolve_named(config), is_primary=resolved.is_primary)


def _resolve_named(config: LLMConfig) -> ResolvedTarget:
    outcome = resolve_target(config, process_settings.layers())
    if isinstance(outcome, UnconfiguredTarget):
        raise error_of_call(outcome)
    return outcome


def _with_name(config: LLMConfig, spec: ProviderSpec, target: Target, model: str) -> LLMConfig:
    """Return the configuration for another model of its provider; a declared window is that of the target's model."""
    window = config.context_window if model == target.model else None
    return config.model_copy(update={"provider": spec.name, "model": model, "context_window": window})
