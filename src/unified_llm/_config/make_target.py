"""A target made from its configuration, the environment and the provider table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unified_llm._config import timeouts
from unified_llm._config.credentials import (
    Endpoint,
    explain_no_key,
    find_endpoint,
    find_key,
    from_environment,
    is_vendor_host,
    quirks_for_key,
)
from unified_llm._config.field_groups import DEFAULT_FIELDS
from unified_llm._config.field_types import check_api_version, check_key_header
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.merged_fields import merge
from unified_llm._config.mlx_targets import (
    check_mlx,
    check_mlx_options,
    check_mlx_parts,
    fetch_mlx,
    mlx_features,
    mlx_is_impossible,
    mlx_window,
)
from unified_llm._config.model_string import provider_and_model
from unified_llm._config.network import check_certificates, proxy_to
from unified_llm._config.setting_layers import Layer
from unified_llm._config.unconfigured import UnconfiguredTarget
from unified_llm._core.api_key import NoKey, Secret
from unified_llm._core.base_url import check_plaintext, netloc_of
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.features import Output
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.proxy import Proxy
from unified_llm._core.redaction import Headers, begins_like_a_key, has_key
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm._providers.registry import ModelProfile
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """A target, with the configuration that it was made from (None for a wrapped model).

    Attributes:
        target: The target.
        config: Its configuration, without what the process sets for it.
        is_primary: It is the client's first target: not a fallback that moved up where the first one is skipped.
        cache_ttl: Seconds that the list of its provider's models stays fresh.
        follows_model: It names no model of its own, so it is asked for that of the call.
        same_deployment: It names no provider either: it is the primary's deployment at another address.
    """

    target: Target
    config: LLMConfig | None
    is_primary: bool = False
    cache_ttl: float = 300.0
    follows_model: bool = False
    same_deployment: bool = False


def resolve_target(
    config: LLMConfig, layers: Sequence[Layer], *, may_download: bool = False
) -> ResolvedTarget | UnconfiguredTarget:
    """Make the target of one configuration and of what the process sets; where it lacks something, say what.

    Args:
        config: The configuration.
        layers: What the process sets.
        may_download: Download its model where the configuration asks for that: a client is being made.

    Raises:
        ConfigurationError: A value is wrong.
    """
    given = config
    spec, model = provider_and_model(given)
    config = merge(given, spec, layers)
    lacks: list[str] = []
    endpoint = find_endpoint(config, spec, lacks)
    key = find_key(config, spec, endpoint, lacks)
    if spec.format == "mlx":
        lack = _fetch(model, config, may_download=may_download) or check_mlx(model)
        lacks += [lack] if lack else []
        check_mlx_parts(config.mlx)
    else:
        _refuse_fields_of_mlx(given)
    if endpoint.base_url:
        check_certificates(config, lacks)
    proxy = proxy_to(endpoint.base_url, config, lacks) if endpoint.base_url else None
    if lacks:
        impossible = spec.format == "mlx" and mlx_is_impossible()
        return UnconfiguredTarget(config.name or _name(spec, model), tuple(lacks), impossible)
    if endpoint.base_url:
        check_plaintext(
            endpoint.base_url,
            key_travels=key is not None,
            allow_http=config.allow_http,
            source=endpoint.source,
            proxy=proxy.address if proxy else "",
        )
    no_key = _explain_no_key(config, spec, endpoint, model) if key is None else None
    target = _make_target(config, spec, model, endpoint=endpoint, key=key, proxy=proxy, no_key=no_key)
    if spec.format == "mlx" and target.extra_body:
        check_mlx_options(target)
    return ResolvedTarget(target, given, cache_ttl=config.cache_ttl)


def describe_target(config: LLMConfig, layers: Sequence[Layer]) -> Target | None:
    """Make the target of a configuration for its features and context window, whatever key or URL it lacks.

    Returns:
        The target; None where its package is missing.

    Raises:
        ConfigurationError: A value is wrong.
    """
    spec, model = provider_and_model(config)
    config = merge(config, spec, layers)
    if spec.format == "mlx" and (_fetch(model, config, may_download=False) or check_mlx(model)):
        return None
    return _make_target(config, spec, model, endpoint=find_endpoint(config, spec, []), key=None)


def _fetch(model: str, config: LLMConfig, *, may_download: bool) -> str | None:
    """Download what a configuration with ``download=True`` names and lacks; return why it is not here."""
    names = (model, config.mlx.draft_model) if config.download else ()
    lacks = (fetch_mlx(name, may_download=may_download) for name in names if name)
    return next(filter(None, lacks), None)


def _refuse_fields_of_mlx(config: LLMConfig) -> None:
    """Refuse what would do nothing.

    Raises:
        ConfigurationError: A field is given that models in this process alone have.
    """
    fields = type(config).model_fields
    for name in ("download", "memory_limit", "mlx"):
        if getattr(config, name) != fields[name].default:
            raise ConfigurationError(
                f"{name}= is for a model in this process: write it at the target with mlx/, as in "
                f'{{"model": "mlx/organisation/name", "{name}": ...}}.'
            )


def _name(spec: ProviderSpec, model: str) -> str:
    """Return the name of a target for messages, without what may be a key in the place of a model."""
    return f"{spec.name}/{model}" if model and not begins_like_a_key(model) else spec.name


def _make_target(
    config: LLMConfig,
    spec: ProviderSpec,
    model: str,
    *,
    endpoint: Endpoint,
    key: Secret | KeyCallable | None,
    proxy: Proxy | Literal[False] | None = None,
    no_key: NoKey | None = None,
) -> Target:
    secret, key_callable = (None, key) if isinstance(key, KeyCallable) else (key, None)
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
        key=secret,
        key_callable=key_callable,
        tokens_as_bearer=bool(spec.token_env),
        account_name=config.account,
        no_key=no_key,
        headers=Headers({**spec.headers, **config.default_headers}),
        extra_body=config.extra_body,
        features=mlx_features(model) if spec.format == "mlx" else profile.features,
        exclusive=profile.exclusive,
        outputs=_certain(profile.outputs, endpoint, spec),
        quirks=quirks_for_key(profile.quirks, secret, spec),
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
        rpm=config.rpm,
        tpm=config.tpm,
        breaker=config.breaker,
        mlx=config.mlx,
        download=config.download,
        memory_limit=config.memory_limit,
        standby=config.standby,
        last_resort=demo if config.last_resort is None else config.last_resort,
        demo=demo,
        verify=config.verify_ssl,
        proxy=proxy,
        client_certificate=config.client_cert,
        defaults=defaults,
        space=config.space,
        vector_length=profile.vector_length,
        label=config.name,
        instance=instance,
    )


def _certain(outputs: frozenset[Output], endpoint: Endpoint, spec: ProviderSpec) -> frozenset[Output]:
    """Return what a model makes, as far as that is certain at an address.

    A server of one's own may give the name of a chat model to anything, and make vectors with it.
    """
    return outputs if "text" not in outputs or is_vendor_host(endpoint.base_url, spec) else frozenset()


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
        return mlx_window(model)
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
