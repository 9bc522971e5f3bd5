"""Targets of a client made from configurations: the primary, and its fallbacks with what they take over from it.

All of it happens when a client is made, before any request, so that mistakes are found there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from unified_llm._config import process_settings, target_names
from unified_llm._config.field_groups import CALL_FIELDS, beneath
from unified_llm._config.given_targets import explain
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.make_target import ResolvedTarget, describe_target, resolve_target
from unified_llm._config.merged_fields import complete_primary, default_fallbacks, expand_profile, merge_limits
from unified_llm._config.model_objects import PrimaryObject, is_wrapped, target_of
from unified_llm._config.model_string import has_own_model, name_elsewhere, provider_and_model
from unified_llm._config.setting_layers import Layer
from unified_llm._config.unconfigured import UnconfiguredTarget, error_of_chain
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

Fallback: TypeAlias = LLMConfig | WrappedModel
"""A target of a chain: a configuration to resolve, or a wrapped model."""

_MANY_RETRIES: Final = 10  # more are warned of


@dataclass(frozen=True, slots=True)
class Primary:
    """Settings that fallbacks take over from the target that they stand in for.

    Attributes:
        settings: Its configuration, or what stands beside a wrapped model.
        provider: The name of its provider; empty for settings without any target.
        model: Its model, as the provider names it; empty where the call names it.
    """

    settings: LLMConfig
    provider: str = ""
    model: str = ""

    @classmethod
    def of(cls, first: LLMConfig) -> Primary:
        """Read what a configuration names."""
        if first.model is None and first.provider is None:
            return cls(first)
        spec, model = provider_and_model(first)
        return cls(first, spec.name, model)


@dataclass(frozen=True, slots=True)
class _Link:
    """A target of a chain before it is resolved, with the attributes of a ``ResolvedTarget``."""

    target: Fallback
    is_primary: bool = False
    follows_model: bool = False
    same_deployment: bool = False


def chain(
    first: LLMConfig | PrimaryObject,
    fallbacks: Sequence[Any],
    *,
    skip_unconfigured: bool,
    layers: Sequence[Layer] | None = None,
) -> tuple[tuple[ResolvedTarget, ...], Sequence[UnconfiguredTarget]]:
    """Resolve the targets of a client, in the user's order; return those that are left out as well.

    Args:
        first: The configuration of the first target, or a model object.
        fallbacks: Further targets.
        skip_unconfigured: Leave out targets whose key or extra is missing.
        layers: What the process sets; None: what it sets now.

    Raises:
        UnconfiguredError: Targets lack a key, a URL or a package, or none is left.
        ConfigurationError: A target is wrong.
    """
    layers = process_settings.layers() if layers is None else layers
    settings, links = _read_chain(first, fallbacks, layers)
    resolved, unconfigured = _resolve_links(links, settings, layers, may_download=True)
    check_unconfigured(resolved, unconfigured, skip_unconfigured=skip_unconfigured)
    _check_standby(resolved)
    _warn_of_copies(resolved)
    _warn_of_many_retries(resolved)
    return distinguish(resolved), unconfigured


def described(first: LLMConfig | PrimaryObject, fallbacks: Sequence[Any]) -> tuple[Target, ...]:
    """Return the targets of a chain for their features and context windows, whatever keys and URLs they lack.

    Raises:
        ConfigurationError: A target is wrong.
    """
    layers = process_settings.layers()
    settings, links = _read_chain(first, fallbacks, layers)
    targets = (
        describe_target(link.target, layers)
        if isinstance(link.target, LLMConfig)
        else target_of(link.target, settings, is_primary=link.is_primary)
        for link in links
    )
    return tuple(target for target in targets if target is not None)


def _read_chain(
    first: LLMConfig | PrimaryObject, fallbacks: Sequence[Any], layers: Sequence[Layer]
) -> tuple[LLMConfig, list[_Link]]:
    """Return the settings of the primary, and what the targets are made from, in order."""
    if isinstance(first, PrimaryObject):
        settings = merge_limits(first.settings.model_copy(), layers)
        primary = Primary(settings, first.model.provider, first.model.model)
        head = _Link(first.model, is_primary=True)
        fallbacks = fallbacks or ("fallbacks" not in settings.model_fields_set and default_fallbacks(layers)) or ()
    else:  # the copy is validated once more, whatever happened to the original since it was made
        settings = complete_primary(first.model_copy(), layers, has_fallbacks=bool(fallbacks))
        primary = Primary.of(settings)
        head = _Link(settings, is_primary=True)
    return settings, [head, *_links(primary, settings.fallbacks), *_links(primary, fallbacks)]


def fallbacks_of(
    primary: Primary, fallbacks: Sequence[Any], layers: Sequence[Layer]
) -> tuple[list[ResolvedTarget], list[UnconfiguredTarget]]:
    """Resolve fallbacks of a target; return those that are not configured as well.

    Raises:
        ConfigurationError: A target is wrong.
    """
    return _resolve_links([*_links(primary, fallbacks)], primary.settings, layers)


def _resolve_links(
    links: Sequence[_Link], settings: LLMConfig, layers: Sequence[Layer], *, may_download: bool = False
) -> tuple[list[ResolvedTarget], list[UnconfiguredTarget]]:
    resolved: list[ResolvedTarget] = []
    unconfigured: list[UnconfiguredTarget] = []
    for link in links:
        if not isinstance(link.target, LLMConfig):
            target = target_of(link.target, settings, is_primary=link.is_primary)
            resolved.append(ResolvedTarget(target, None, link.is_primary))
        elif isinstance(outcome := resolve_target(link.target, layers, may_download=may_download), UnconfiguredTarget):
            unconfigured.append(outcome)
        else:
            resolved.append(
                replace(
                    outcome,
                    is_primary=link.is_primary,
                    follows_model=link.follows_model,
                    same_deployment=link.same_deployment,
                )
            )
    return resolved, unconfigured


def check_unconfigured(
    resolved: Sequence[ResolvedTarget], unconfigured: Sequence[UnconfiguredTarget], *, skip_unconfigured: bool
) -> None:
    """Warn of each target that is left out, or refuse the chain.

    Raises:
        UnconfiguredError: One may not be left out, or no target is left.
    """
    targets = len(resolved) + len(unconfigured)
    missing = [target for target in unconfigured if not (skip_unconfigured or target.impossible)]
    if missing:
        raise error_of_chain(missing, targets, skipped=False)
    if unconfigured and not resolved:
        raise error_of_chain(unconfigured, targets, skipped=True)
    for target in unconfigured:
        warn_once(("unconfigured", str(target)), "A target is skipped: %s", target)


def _check_standby(resolved: Sequence[ResolvedTarget]) -> None:
    """Refuse a first target on standby: there is none before it that could be in trouble.

    Raises:
        ConfigurationError: The user's first target is on standby, and has fallbacks.
    """
    first = resolved[0]
    if len(resolved) > 1 and first.is_primary and first.config is not None and first.config.standby is not None:
        raise ConfigurationError(
            f'{first.target.name}: standby="warm" is for a fallback, which is loaded when the first target is in '
            "trouble: leave it out here, where the first call loads the model."
        )


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


def complete(first: LLMConfig, *, has_fallbacks: bool = False) -> LLMConfig:
    """Return the configuration of a first target with its profile, else the model that the process sets for it."""
    return complete_primary(first, process_settings.layers(), has_fallbacks=has_fallbacks)


def is_configured(target: Any) -> bool:
    """Return whether a target of a chain has what it needs; True for a model object of a framework."""
    if isinstance(target, str):
        target = LLMConfig(model=target)
    if not isinstance(target, LLMConfig):
        return True
    return not isinstance(resolve_target(expand_profile(target), process_settings.layers()), UnconfiguredTarget)


def distinguish(chain: Sequence[ResolvedTarget]) -> tuple[ResolvedTarget, ...]:
    """Tell the targets of one name apart (see ``target_names``); the first one is on standby for no other."""
    suffixes = target_names.suffixes([resolved.target for resolved in chain])
    first, *rest = (
        replace(resolved, target=replace(resolved.target, suffix=suffix))
        if suffix != resolved.target.suffix
        else resolved
        for resolved, suffix in zip(chain, suffixes, strict=True)
    )
    if first.target.standby is not None:
        first = replace(first, target=replace(first.target, standby=None))
    return first, *rest


def _links(
    primary: Primary, fallbacks: Sequence[Any], *, follow: bool = True, of_first: bool = True
) -> Iterator[_Link]:
    """Yield each fallback, and its own fallbacks after it, which stand in for it.

    Args:
        primary: The target that these are the fallbacks of.
        fallbacks: What the user gave.
        follow: Whether those without a model follow the call: that of a target which names one itself follow it.
        of_first: Whether that target is the first of the chain, or its deployment at another address.
    """
    for fallback in fallbacks:
        if isinstance(fallback, str):
            fallback = LLMConfig(model=fallback)  # noqa: PLW2901
        if isinstance(fallback, LLMConfig):
            fallback = expand_profile(fallback)  # noqa: PLW2901
            link = _link(primary, fallback, follow=follow, of_first=of_first)
            yield link
            if fallback.fallbacks and isinstance(link.target, LLMConfig):
                own = Primary.of(link.target)
                yield from _links(own, fallback.fallbacks, follow=link.follows_model, of_first=link.same_deployment)
        elif is_wrapped(fallback):
            yield _Link(fallback)
        else:
            raise ConfigurationError(
                f"A fallback is a model string, a mapping or an LLMConfig, not {explain(fallback)}"
            )


def _link(primary: Primary, fallback: LLMConfig, *, follow: bool, of_first: bool) -> _Link:
    names_model = fallback.model is not None or has_own_model(fallback)
    same_deployment = of_first and not names_model and fallback.provider is None
    config = inherit(primary, fallback)
    return _Link(config, follows_model=follow and not names_model, same_deployment=same_deployment)


def inherit(primary: Primary, fallback: LLMConfig) -> LLMConfig:
    """Fill the fields that a fallback inherits from the primary.

    One that names no model and no provider is the same deployment at another address and inherits everything. Any other
    inherits what belongs to the call (sampling, limits), never a key, URL, headers or body; one that names a provider
    alone, and has no model of its own in the environment, is asked for the primary's model. A key of its own replaces
    whatever says which key and account the primary has.
    """
    own = set(LLMConfig.model_fields)
    if fallback.model is None and fallback.provider is None:
        inherited = primary.settings.given(tuple(own - {"fallbacks", "name"}))
        return LLMConfig(**beneath(inherited, fallback.given(tuple(own - {"model", "provider"}))))
    config = LLMConfig(**{**primary.settings.given(CALL_FIELDS), **fallback.given(tuple(own))})
    if config.model is not None or config.provider is None or not primary.model or has_own_model(config):
        return config
    model = name_elsewhere(primary.provider, primary.model, registry.row(config.provider))
    return config.model_copy(update={"model": model})
