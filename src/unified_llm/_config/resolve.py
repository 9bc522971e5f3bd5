"""Targets made from configurations: model strings, fallbacks, and what a call names in place of the primary.

All of it happens when a client is made, before any request, so that mistakes are found there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from unified_llm._config import target_names, timeouts
from unified_llm._config.credentials import (
    Endpoint,
    explain_no_key,
    find_endpoint,
    find_key,
    from_environment,
    is_vendor_host,
    quirks_for_key,
)
from unified_llm._config.field_types import check_api_version
from unified_llm._config.given_targets import explain
from unified_llm._config.llm_config import (
    CALL_FIELDS,
    DEFAULT_FIELDS,
    LLMConfig,
    check_key_header,
)
from unified_llm._config.model_objects import PrimaryObject, is_wrapped, target_of
from unified_llm._config.unconfigured import UnconfiguredTarget, error_of_call, error_of_chain
from unified_llm._core import paths
from unified_llm._core.api_key import NoKey, Secret
from unified_llm._core.base_url import check_plaintext, netloc_of
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.features import Feature
from unified_llm._core.redaction import Headers, begins_like_a_key, has_key, quoted
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._providers import registry, unknown_names
from unified_llm._providers.registry import ModelProfile
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError

Fallback: TypeAlias = LLMConfig | WrappedModel
"""A target of a chain: a configuration to resolve, or a wrapped model."""

_LONGEST_MODEL: Final = 256
# What is copied along with the name of a model from a file, a shell or a page.
_AROUND_A_MODEL: Final = " \t\r\n\"'"
_MANY_RETRIES: Final = 10  # more are warned of


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """A target, with the configuration that it was made from (None for a wrapped model).

    Attributes:
        target: The target.
        config: Its configuration.
        is_primary: It is the client's first target: not a fallback that moved up where the first one is skipped.
    """

    target: Target
    config: LLMConfig | None
    is_primary: bool = False


def chain(
    first: LLMConfig | PrimaryObject, fallbacks: Sequence[Any], *, skip_unconfigured: bool
) -> tuple[tuple[ResolvedTarget, ...], Sequence[UnconfiguredTarget]]:
    """Resolve the targets of a client, in the user's order; return those that are left out as well.

    Raises:
        UnconfiguredError: Targets lack a key, a URL or a package, or none is left.
        ConfigurationError: A target is wrong.
    """
    settings = first.settings if isinstance(first, PrimaryObject) else first
    settings = settings.model_copy()  # which validates it once more, whatever happened to it since it was made
    given = (*_flatten(settings.fallbacks), *_flatten(fallbacks))
    primary: Fallback = first.model if isinstance(first, PrimaryObject) else settings
    configs: list[Fallback] = [primary, *(_read_fallback(settings, fallback) for fallback in given)]
    resolved: list[ResolvedTarget] = []
    unconfigured: list[UnconfiguredTarget] = []
    for position, config in enumerate(configs):
        is_primary = position == 0
        if not isinstance(config, LLMConfig):
            resolved.append(ResolvedTarget(target_of(config, settings, is_primary=is_primary), None, is_primary))
        elif isinstance(outcome := _resolve(config), UnconfiguredTarget):
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
    if isinstance(fallback, str):
        fallback = LLMConfig(model=fallback)
    if not isinstance(fallback, LLMConfig):
        return True
    return not isinstance(_resolve(inherit(first, fallback)), UnconfiguredTarget)


def distinguish(chain: Sequence[ResolvedTarget]) -> tuple[ResolvedTarget, ...]:
    """Tell the targets of one name apart (see ``target_names``)."""
    suffixes = target_names.suffixes([resolved.target for resolved in chain])
    return tuple(
        replace(resolved, target=replace(resolved.target, suffix=suffix)) if suffix else resolved
        for resolved, suffix in zip(chain, suffixes, strict=True)
    )


def _flatten(fallbacks: Sequence[Any]) -> Iterator[Any]:
    """Yield each fallback, and its own fallbacks after it."""
    for fallback in fallbacks:
        yield fallback
        if isinstance(fallback, LLMConfig):
            yield from _flatten(fallback.fallbacks)


def _read_fallback(first: LLMConfig, fallback: Any) -> Fallback:
    if isinstance(fallback, str):
        fallback = LLMConfig(model=fallback)
    if isinstance(fallback, LLMConfig):
        return inherit(first, fallback)
    if is_wrapped(fallback):
        return fallback
    raise ConfigurationError(f"A fallback is a model string, a mapping or an LLMConfig, not {explain(fallback)}")


def inherit(first: LLMConfig, fallback: LLMConfig) -> LLMConfig:
    """Fill the fields that a fallback inherits from the primary.

    One that names no model and no provider is the same deployment at another address and inherits everything. Any other
    inherits what belongs to the call (sampling, limits), never a key, URL, headers or body.
    """
    same_deployment = fallback.model is None and fallback.provider is None
    names = tuple(set(LLMConfig.model_fields) - {"fallbacks", "name"}) if same_deployment else CALL_FIELDS
    own = set(LLMConfig.model_fields) - ({"model", "provider"} if same_deployment else set())
    return LLMConfig(**{**first.given(names), **fallback.given(tuple(own))})


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
    outcome = _resolve(config)
    if isinstance(outcome, UnconfiguredTarget):
        raise error_of_call(outcome)
    return outcome


def _with_name(config: LLMConfig, spec: ProviderSpec, target: Target, model: str) -> LLMConfig:
    """Return the configuration for another model of its provider; a declared window is that of the target's model."""
    window = config.context_window if model == target.model else None
    return config.model_copy(update={"provider": spec.name, "model": model, "context_window": window})


def _resolve(config: LLMConfig) -> ResolvedTarget | UnconfiguredTarget:
    spec, model = _provider_and_model(config)
    lacks: list[str] = []
    endpoint = find_endpoint(config, spec, lacks)
    key = find_key(config, spec, endpoint, lacks)
    if spec.format == "mlx" and (lack := _check_mlx(model)):
        lacks.append(lack)
    if lacks:
        impossible = spec.format == "mlx" and _mlx_is_impossible()
        return UnconfiguredTarget(config.name or _name(spec, model), tuple(lacks), impossible)
    if endpoint.base_url:
        check_plaintext(
            endpoint.base_url, key_travels=key is not None, allow_http=config.allow_http, source=endpoint.source
        )
    return ResolvedTarget(_make_target(config, spec, model, endpoint=endpoint, key=key), config)


def _name(spec: ProviderSpec, model: str) -> str:
    """Return the name of a target for messages, without what may be a key in the place of a model."""
    return f"{spec.name}/{model}" if model and not begins_like_a_key(model) else spec.name


def _make_target(
    config: LLMConfig, spec: ProviderSpec, model: str, *, endpoint: Endpoint, key: Secret | None
) -> Target:
    profile = registry.model_profile(spec, model, config.api)
    check_key_header(config.default_headers, spec)
    demo = spec.format == "mlx" and model == "demo"
    defaults = {name: value for name in DEFAULT_FIELDS if (value := getattr(config, name)) not in (None, ())}
    instance = _user_model(spec, model, defaults, config) if spec.instance else None
    thinking = timeouts.thinking_of(config.reasoning_effort, profile.quirks, config.extra_body)
    reasoning = profile.reasoning or thinking != "unknown"
    declared, known = _declared_window(config, spec), _known_window(spec, model, profile, instance)
    return Target(
        provider=spec.name,
        model=model,
        format=profile.format,
        base_url=endpoint.base_url,
        vendor_host=is_vendor_host(endpoint.base_url, spec),
        key=key,
        no_key=_explain_no_key(config, spec, endpoint, model) if key is None else None,
        headers=Headers({**spec.headers, **config.default_headers}),
        extra_body=config.extra_body,
        features=_mlx_features(model) if spec.format == "mlx" else profile.features,
        exclusive=profile.exclusive,
        quirks=quirks_for_key(profile.quirks, key, spec),
        context_window=declared or known,
        window_declared=declared is not None,
        max_output=profile.max_output,
        embeds_at_once=spec.embeds_at_once,
        max_response_bytes=config.max_response_bytes,
        reasoning=reasoning,
        names_have_parts=spec.literal_models,
        api_version=_api_version(config, spec),
        timing=timeouts.timing(config, timeouts.by_kind(spec, model, thinking, reasoning=reasoning)),
        retry=timeouts.retry_limits(config),
        resend=config.resend,
        breaker=config.breaker,
        last_resort=demo if config.last_resort is None else config.last_resort,
        demo=demo,
        verify=config.verify_ssl,
        defaults=defaults,
        space=config.space,
        vector_length=profile.vector_length,
        label=config.name,
        instance=instance,
    )


def _explain_no_key(config: LLMConfig, spec: ProviderSpec, endpoint: Endpoint, model: str) -> NoKey | None:
    """Say why no key is sent to a server; warn, once for each target, where the environment has one."""
    if not endpoint.base_url or has_key(config.default_headers, config.extra_body):
        return None
    no_key = explain_no_key(spec, endpoint)
    if no_key.reason:
        name = config.name or _name(spec, model)
        values = name, netloc_of(endpoint.base_url), no_key.reason, no_key.advice
        warn_once(("no key", *values), "%s: no API key is sent to %s: %s; %s", *values, target=name)
    return no_key


def _declared_window(config: LLMConfig, spec: ProviderSpec) -> int | None:
    """Return the window that the user declared, or that the user's own fields ask the server for (Ollama)."""
    if config.context_window is not None or spec.quirks.default_window is None:
        return config.context_window
    options = config.extra_body.get("options")
    places = (options if isinstance(options, Mapping) else {}, config.extra_body)
    numbers = (place.get("num_ctx") for place in places)
    return next((number for number in numbers if isinstance(number, int) and number > 0), None)


def _known_window(spec: ProviderSpec, model: str, profile: ModelProfile, instance: WrappedModel | None) -> int | None:
    if instance is not None:
        return instance.context_window
    if spec.format == "mlx":
        return _mlx_window(model)
    # The table has the windows of models. A server that uses a smaller one unless it is asked for more is unknown.
    return profile.context_window if spec.quirks.default_window is None else None


def _api_version(config: LLMConfig, spec: ProviderSpec) -> str | None:
    if config.api_version is not None:
        return config.api_version
    version = from_environment(spec.version_env)
    return None if version is None else check_api_version(version, f"one of {', '.join(spec.version_env)}")


def _user_model(spec: ProviderSpec, model: str, defaults: dict[str, Any], config: LLMConfig) -> WrappedModel:
    from unified_llm._backends.objects.user_provider import UserProviderModel

    return UserProviderModel(spec, model, defaults, config.extra_body)


def _check_model_string(model: str) -> None:
    """Refuse what can be no name of a model.

    Raises:
        ConfigurationError: It is such a text.
    """
    if not (model.strip() and model.strip().isprintable()):
        raise ConfigurationError(
            'model= is empty or not printable: write "provider/model", such as "openai/gpt-5-mini".'
        )
    if len(model) > _LONGEST_MODEL:
        raise ConfigurationError(
            f"model= is longer than {_LONGEST_MODEL} characters, so it is not the name of a model."
        )
    if model != (stripped := model.strip(_AROUND_A_MODEL)) and stripped[-1:] not in {"/", ":", ""}:
        raise ConfigurationError(
            f"model= has blanks, line breaks or quotes around it: did you mean {quoted(stripped)}?"
        )


def _provider_and_model(config: LLMConfig) -> tuple[ProviderSpec, str]:
    """Return the provider's row, and the model as the provider names it."""
    model = config.model
    if model is not None:
        _check_model_string(model)
    if config.provider is not None:
        spec, name = registry.row(config.provider), model or ""
    elif model is None:
        raise ConfigurationError('A target needs a model: write "provider/model", such as "openai/gpt-5-mini".')
    else:
        named = registry.parse_model_string(model)
        if named is None:
            raise ConfigurationError(f"{registry.unknown_model(model)}")
        spec, name = registry.row(named[0]), named[1]
        if problem := unknown_names.misread(model, name, local=spec.local):
            raise ConfigurationError(problem)
    # In many formats the name becomes part of the URL. That of a local model is the path of a folder.
    if spec.format != "mlx" and (problem := paths.problem_with(name)):
        raise ConfigurationError(f"The model at {spec.title} {problem}: pass the name that the provider lists.")
    return spec, name


def _check_mlx(model: str) -> str | None:
    """Return why MLX cannot be used here, or None.

    Raises:
        ConfigurationError: The folder of the model is missing, or holds no model that MLX can run.
    """
    from unified_llm._backends import mlx
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import resolve_folder

    if reason := mlx.unavailable_reason():
        return reason.rstrip(".")
    if reason := model_folder.find_problem(resolve_folder(model)):
        raise ConfigurationError(reason)
    return None


def _mlx_is_impossible() -> bool:
    from unified_llm._backends import mlx

    return not mlx.is_supported_platform()


def _mlx_features(model: str) -> frozenset[Feature]:
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import resolve_folder

    return model_folder.read_features(resolve_folder(model))


def _mlx_window(model: str) -> int | None:
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import resolve_folder

    return model_folder.read_window(resolve_folder(model))
