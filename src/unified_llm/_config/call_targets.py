"""The chain of a call that names a model, an API key, a URL or fallbacks in place of those of its client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from unified_llm._config import process_settings
from unified_llm._config.credentials import find_endpoint
from unified_llm._config.field_groups import CALL_FIELDS, KEY_AND_ACCOUNT, KEY_FIELDS
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.make_target import ResolvedTarget, resolve_target
from unified_llm._config.merged_fields import expand_profile
from unified_llm._config.model_string import name_elsewhere, provider_and_model
from unified_llm._config.profile_names import profile_named
from unified_llm._config.resolve import Primary, check_unconfigured, distinguish, fallbacks_of
from unified_llm._config.setting_layers import Layer
from unified_llm._config.unconfigured import UnconfiguredTarget, error_of_call
from unified_llm._core.api_key import Secret
from unified_llm._core.base_url import normalise, split_origin
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.redaction import has_key, may_be_a_key
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class CallTargets:
    """Targets that a call names in place of those of its client; None where it names nothing.

    Attributes:
        model: The model of the first target, or a model string of another provider.
        api_key: The key of the first target, and of those that are its deployment at another address.
        base_url: The address of the first target. A key given beside it is for this address alone.
        fallbacks: The targets after the first.
    """

    model: str | None = None
    api_key: Secret | KeyCallable | None = None
    base_url: str | None = None
    fallbacks: tuple[Any, ...] | None = field(default=None, repr=False)

    @property
    def may_be_kept(self) -> bool:
        """True if a later call may name the same: strings are compared, configurations are not."""
        return self.fallbacks is None or all(isinstance(fallback, str) for fallback in self.fallbacks)


@dataclass(frozen=True, slots=True)
class CallChain:
    """The targets of a call.

    Attributes:
        targets: The targets, in order.
        left_out: What further ones lack, by their names.
    """

    targets: Sequence[Target]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])


def chain_of_call(
    chain: Sequence[ResolvedTarget],
    settings: LLMConfig,
    named: CallTargets,
    *,
    skip_unconfigured: bool,
    layers: Sequence[Layer] | None = None,
) -> CallChain:
    """Resolve the targets of a call.

    Args:
        chain: The targets of the client.
        settings: What fallbacks take over where the first target is a wrapped model.
        named: What the call names.
        skip_unconfigured: Leave out fallbacks of the call whose key or extra is missing.
        layers: What the process set when the client was made; None: what it sets now.

    Raises:
        UnconfiguredError: A target that the call names lacks a key, a URL or a package.
        ConfigurationError: Something that the call names is wrong.
    """
    layers = process_settings.layers() if layers is None else layers
    first = _first_of_call(chain[0], named, layers)
    if named.fallbacks is None and profile_named(named.model) and first.config and first.config.fallbacks:
        named = replace(named, fallbacks=first.config.fallbacks)
    if named.fallbacks is None:
        follow = partial(_follow, client_first=chain[0], first=first, named=named, layers=layers)
        outcomes = [*map(follow, chain[1:])]
        rest = [outcome for outcome in outcomes if isinstance(outcome, ResolvedTarget)]
        left_out = [outcome for outcome in outcomes if isinstance(outcome, UnconfiguredTarget)]
        skip_unconfigured = True
    else:
        primary = Primary(first.config or settings, first.target.provider, first.target.model)
        rest, left_out = fallbacks_of(primary, named.fallbacks, layers)
    check_unconfigured([first, *rest], left_out, skip_unconfigured=skip_unconfigured)
    targets = tuple(resolved.target for resolved in distinguish((first, *rest)))
    return CallChain(targets, {target.name: target.reason for target in left_out})


def _first_of_call(first: ResolvedTarget, named: CallTargets, layers: Sequence[Layer]) -> ResolvedTarget:
    """Resolve the first target, with the model, the key and the address that the call names."""
    if named.model is None and named.api_key is None and named.base_url is None:
        return first
    config = first.config
    if profile_named(named.model) is not None:
        config = _of_profile(named.model, config)
    elif config is None:
        raise ConfigurationError(
            "The first target is a wrapped model object, so a call cannot name another model, key or URL for it."
        )
    elif named.model is not None:
        config = with_model(first, named.model)
    replaces = named.model is not None and provider_and_model(config)[0].name != first.target.provider
    outcome = resolve_target(_with_endpoint(config, named), layers)
    if isinstance(outcome, UnconfiguredTarget):
        raise error_of_call(outcome)
    return replace(outcome, is_primary=first.is_primary or replaces)


def _of_profile(model: str | None, before: LLMConfig | None) -> LLMConfig:
    """Return the configuration of a profile, with what belongs to the call from the first target."""
    profile = expand_profile(LLMConfig(model=model))
    inherited = before.given(CALL_FIELDS) if before else {}
    return LLMConfig(**{**inherited, **profile.given(tuple(LLMConfig.model_fields))})


def with_model(resolved: ResolvedTarget, model: str) -> LLMConfig:
    """Return the configuration of the target that a call names in place of the first one.

    The names of a gateway's models contain slashes, so there ``model`` is taken literally; ``provider:model`` always
    names the provider. A change of provider carries neither key nor URL along.
    """
    config = resolved.config
    assert config is not None  # noqa: S101 - wrapped models were refused before
    spec = registry.row(resolved.target.provider)
    named = registry.parse_model_string(model)
    own_name = spec.instance and named and named[0] == spec.name  # models of an object do not begin with its name
    if (config.provider or spec.literal_models) and not (own_name or registry.parse_model_string(model, ":")):
        return _with_name(resolved, model)
    if named is None or named[0] == spec.name:
        return _with_name(resolved, named[1] if named else model)
    return LLMConfig(model=model, **config.given(CALL_FIELDS))  # the caller chose another provider


def _with_name(resolved: ResolvedTarget, model: str) -> LLMConfig:
    """Return the configuration for another model of its provider; a declared window is that of the target's model."""
    config, target = resolved.config, resolved.target
    assert config is not None  # noqa: S101 - as above
    window = config.context_window if target.model in {model, ""} else None
    return config.model_copy(update={"provider": target.provider, "model": model, "context_window": window})


def _with_endpoint(config: LLMConfig, named: CallTargets) -> LLMConfig:
    """Return the configuration with the key and the address of the call.

    A key that was configured for one host, in whatever form, is not sent to another.
    """
    changes: dict[str, Any] = {}
    if named.base_url is not None:
        changes["base_url"] = named.base_url
        if not _leads_to(config, named.base_url):
            kept = {name: text for name, text in config.default_headers.items() if not may_be_a_key(name)}
            body = {} if has_key({}, config.extra_body) else config.extra_body
            changes |= {**dict.fromkeys(KEY_AND_ACCOUNT), "default_headers": kept, "extra_body": body}
    if named.api_key is not None:
        changes |= {**dict.fromkeys(KEY_AND_ACCOUNT), "api_key": named.api_key}
    return config.model_copy(update=changes) if changes else config


def _leads_to(config: LLMConfig, base_url: str) -> bool:
    """Return whether a configuration is for the host, and port, of this URL."""
    spec, _ = provider_and_model(config)
    present = find_endpoint(config, spec, []).base_url
    return split_origin(present)[0] == split_origin(normalise(base_url, source="base_url="))[0]


def _follow(
    resolved: ResolvedTarget,
    *,
    client_first: ResolvedTarget,
    first: ResolvedTarget,
    named: CallTargets,
    layers: Sequence[Layer],
) -> ResolvedTarget | UnconfiguredTarget:
    """Return a fallback of the client as a call wants it; what it lacks, where it cannot be had like that."""
    if resolved.config is None or not resolved.follows_model:
        return resolved
    own, asked = resolved.target, first.target
    config = resolved.config
    if named.model is not None and own.provider == asked.provider:
        config = _with_name(resolved, asked.model)
    elif named.model is not None and not (resolved.same_deployment and own.model):
        config = _with_name(resolved, name_elsewhere(asked.provider, asked.model, registry.row(own.provider)))
    is_shared = own.provider == asked.provider and _shares_key(resolved, client_first)
    if named.api_key is not None and named.base_url is None and is_shared:
        config = config.model_copy(update={**dict.fromkeys(KEY_AND_ACCOUNT), "api_key": named.api_key})
    if config is resolved.config:
        return resolved
    try:
        outcome = resolve_target(config, layers)
    except ConfigurationError as wrong:  # such as a model that is not in the folder of MLX
        outcome = UnconfiguredTarget(f"{resolved.target.provider}/{config.model}", (str(wrong).rstrip("."),))
    if isinstance(outcome, UnconfiguredTarget):
        return outcome
    return replace(outcome, follows_model=True, same_deployment=resolved.same_deployment)


def _shares_key(fallback: ResolvedTarget, first: ResolvedTarget) -> bool:
    """Return whether a fallback is the first target's deployment and has no key of its own."""
    if not fallback.same_deployment or fallback.config is None or first.config is None:
        return False
    return all(getattr(fallback.config, name) == getattr(first.config, name) for name in KEY_FIELDS)
