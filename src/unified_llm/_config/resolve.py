"""From what a user wrote to targets: model strings, the provider table, keys and URLs from the environment.

All of it happens when a client is made, before any request, so that a mistake is found where it was made.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from unified_llm._config.llm_config import CALL_FIELDS, DEFAULT_FIELDS, LLMConfig
from unified_llm._core import base_url as url
from unified_llm._core import defaults as settings
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm._core.exchange import WrappedModel
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Feature, Retry, Target, Timing
from unified_llm._providers import registry
from unified_llm._providers.registry import ProviderSpec
from unified_llm.exceptions import ConfigurationError

Fallback: TypeAlias = LLMConfig | WrappedModel
"""One link of a chain: a target to resolve, or a framework's own model."""

# Hosts such as a laptop's Ollama may have to load a model first.
_LOCAL: Final = 300.0
_REASONING: Final = 180.0
_WHOLE: Final = 60.0
_WHOLE_SLOW: Final = 300.0
_LONGEST_MODEL: Final = 256
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")

_log = logging.getLogger("unified_llm")


class UnconfiguredError(ConfigurationError):
    """A key or an extra is missing; with ``skip_unconfigured=True`` the target is passed over."""


class ImpossibleError(ConfigurationError):
    """This platform cannot have the target at all; a chain goes on without it."""


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """A target, with the configuration that it came from (None for a framework's own model)."""

    target: Target
    config: LLMConfig | None


def chain(first: LLMConfig, fallbacks: Sequence[Any], *, skip_unconfigured: bool) -> tuple[ResolvedTarget, ...]:
    """The targets of a client, in the user's order.

    Raises:
        ConfigurationError: A link is wrong, or none is left.
    """
    links: list[Fallback] = [first, *(_link(first, each) for each in (*_flat(first.fallbacks), *_flat(fallbacks)))]
    resolved: list[ResolvedTarget] = []
    problem: ConfigurationError | None = None
    for link in links:
        try:
            resolved.append(_resolve(link))
        except (UnconfiguredError, ImpossibleError) as missing:
            if isinstance(missing, UnconfiguredError) and not skip_unconfigured:
                raise
            problem = missing
            _log.warning("A target is left out: %s", missing)
    if not resolved and problem:
        raise ConfigurationError(f"No target is left. {problem}")
    return tuple(resolved)


def _flat(fallbacks: Sequence[Any]) -> Iterator[Any]:
    """Fallbacks of a fallback come after it."""
    for each in fallbacks:
        yield each
        if isinstance(each, LLMConfig):
            yield from _flat(each.fallbacks)


def _link(first: LLMConfig, fallback: Any) -> Fallback:
    if isinstance(fallback, str):
        fallback = LLMConfig(model=fallback)
    if isinstance(fallback, LLMConfig):
        return inherit(first, fallback)
    if hasattr(fallback, "exchange") and hasattr(fallback, "aexchange"):
        return fallback  # type: ignore[no-any-return] # what the protocol asks for is there
    raise ConfigurationError(
        f"A fallback is a model string, a mapping or an LLMConfig, not {type(fallback).__name__}. "
        "A framework's own model goes into that framework's adapter."
    )


def inherit(first: LLMConfig, fallback: LLMConfig) -> LLMConfig:
    """What a fallback takes over from the primary.

    One that names no model and no provider is the same deployment elsewhere and inherits everything. One that names its
    own inherits what belongs to the call, never a key, URL, headers or body.
    """
    elsewhere = fallback.model is None and fallback.provider is None
    names = tuple(set(LLMConfig.model_fields) - {"fallbacks"}) if elsewhere else CALL_FIELDS
    return LLMConfig(**{**first.given(names), **fallback.given(tuple(LLMConfig.model_fields))})


def with_model(resolved: ResolvedTarget, model: str) -> ResolvedTarget:
    """The target that a call names in place of the primary.

    A gateway's models contain slashes, so there ``model`` is taken literally; ``provider:model`` always names the
    provider. A change of provider carries neither key nor URL along.
    """
    config = resolved.config
    if config is None:
        raise ConfigurationError("The first target is a framework's own model, so a call cannot name another model.")
    row = registry.row(resolved.target.provider)
    named = registry.parse_model_string(model)
    itself = row.instance and named and named[0] == row.name  # no object's models have its own name before them
    if (config.provider or row.literal_models) and not (itself or registry.parse_model_string(model, ":")):
        return _resolve(config.model_copy(update={"provider": row.name, "model": model}))
    if named is None or named[0] == row.name:
        return _resolve(config.model_copy(update={"provider": row.name, "model": named[1] if named else model}))
    return _resolve(LLMConfig(model=model, **config.given(CALL_FIELDS)))


def _resolve(link: Fallback) -> ResolvedTarget:
    if not isinstance(link, LLMConfig):
        target = Target(
            link.provider,
            link.model,
            "wrapped",
            features=link.features,
            context_window=link.context_window,
            instance=link,
        )
        return ResolvedTarget(target, None)
    row, model = _place(link)
    facts = registry.model_profile(row, model, link.api)
    place = _address(link, row)
    key = _key(link, row, place)
    if place.base_url:
        url.check_plaintext(
            place.base_url, key_travels=key is not None, allow_http=link.allow_http, source=place.source
        )
    if row.format == "mlx":
        _check_mlx(model)
    defaults = {name: value for name in DEFAULT_FIELDS if (value := getattr(link, name)) not in (None, ())}
    own = _own(row, model, defaults, link) if row.instance else None
    target = Target(
        provider=row.name,
        model=model,
        format=facts.format,
        base_url=place.base_url,
        key=key,
        headers={**row.headers, **link.default_headers},
        extra_body=link.extra_body,
        features=_mlx_features(model) if row.format == "mlx" else facts.features,
        quirks=_quirks(facts.quirks, key, row),
        context_window=own.context_window if own else facts.context_window,
        max_output=facts.max_output,
        embeds_at_once=row.embeds_at_once,
        reasoning=facts.reasoning,
        api_version=link.api_version or _environment(row.version_env),
        timing=_timing(link, row, reasoning=facts.reasoning),
        retry=_retry(link),
        breaker=link.breaker,
        last_resort=link.last_resort if link.last_resort is not None else (row.name, model) == ("mlx", "demo"),
        verify=link.verify_ssl,
        defaults=defaults,
        space=link.space,
        instance=own,
    )
    return ResolvedTarget(target, link)


def _own(row: ProviderSpec, model: str, defaults: dict[str, Any], config: LLMConfig) -> WrappedModel:
    """A provider object of the user's."""
    from unified_llm._backends.objects.user_provider import OwnModel

    return OwnModel(row, model, defaults, config.extra_body)


def _place(config: LLMConfig) -> tuple[ProviderSpec, str]:
    """The provider and the model, as the provider names it."""
    model = config.model
    if model is not None and (not model.strip() or not model.isprintable()):
        raise ConfigurationError(
            'model= is empty or not printable: write "provider/model", such as "openai/gpt-5-mini".'
        )
    if model is not None and len(model) > _LONGEST_MODEL:
        raise ConfigurationError(f"model= is longer than {_LONGEST_MODEL} characters, so it is no model's name.")
    if config.provider is not None:
        return registry.row(config.provider), model or ""
    if model is None:
        raise ConfigurationError('A target needs a model: write "provider/model", such as "openai/gpt-5-mini".')
    named = registry.parse_model_string(model)
    if named is None:
        raise ConfigurationError(f"{registry.unknown_model(model)}")
    return registry.row(named[0]), named[1]


@dataclass(frozen=True, slots=True)
class _Address:
    """A base URL, where it was found, and whether the provider's own key may go there."""

    base_url: str
    source: str
    own_host: bool


def _address(config: LLMConfig, row: ProviderSpec) -> _Address:
    if config.base_url is not None:
        base = url.normalise(config.base_url, source="base_url=", version=row.version)
        return _Address(base, "base_url=", url.matches(base, row.hosts))
    for variable in row.base_url_env:
        if text := os.environ.get(variable, "").strip():
            text = _with_scheme(text, row)
            return _Address(url.normalise(text, source=variable, version=row.version), variable, own_host=True)
    if not row.base_url and row.format not in {"mlx", "user"}:
        names = f" or set {row.base_url_env[0]}" if row.base_url_env else ""
        raise UnconfiguredError(f"{row.title} needs an address: pass base_url={names}.")
    return _Address(row.base_url, "the provider table", own_host=True)


def _with_scheme(text: str, row: ProviderSpec) -> str:
    """An address as Ollama takes it: ``0.0.0.0``, ``localhost``, ``:11434``, without a scheme and with its own port."""
    if "://" in text or not row.local:
        return text
    host, _, path = text.strip("'\"").partition("/")
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name, port = host, ""
    port = port or str(urlsplit(row.base_url).port or "")
    return f"http://{name or '127.0.0.1'}{f':{port}' if port else ''}{f'/{path}' if path else ''}"


def _key(config: LLMConfig, row: ProviderSpec, place: _Address) -> Secret | None:
    if isinstance(config.api_key, Secret):
        return config.api_key
    variable = next((name for name in (*row.token_env, *row.key_env) if os.environ.get(name)), None)
    if variable and place.own_host:
        return Secret(os.environ[variable], _from_environment(variable))
    if config.api_key is OmittedKey.KEY:
        known = f"set {row.key_env[0]} in this process, or " if row.key_env and place.own_host else ""
        raise UnconfiguredError(f"The key of {row.title} was left out of the pickle: {known}pass api_key= again.")
    if url.is_private(place.base_url):
        return None
    if variable:
        raise UnconfiguredError(
            f"The key in {variable} is only sent to {row.title}'s own host: pass api_key= for another base_url."
        )
    if not row.key_required:
        return None
    known = f"set {row.key_env[0]} or " if row.key_env else ""
    raise UnconfiguredError(f"{row.title} needs a key: {known}pass api_key=.")


def _quirks(quirks: Quirks, key: Secret | None, row: ProviderSpec) -> Quirks:
    """A token goes as ``Authorization: Bearer``, whatever header a key would go in."""
    if key is None or not row.token_env or not _is_token(key, row):
        return quirks
    return replace(quirks, key_header="")


def _is_token(key: Secret, row: ProviderSpec) -> bool:
    # A signed token is three words of base64 with dots between (RFC 7519); a key has no dot in it.
    return key.source in map(_from_environment, row.token_env) or bool(_TOKEN.fullmatch(key.reveal()))


def _environment(variables: Sequence[str]) -> str | None:
    return next((text for name in variables if (text := os.environ.get(name, "").strip())), None)


def _from_environment(variable: str) -> str:
    return f"the environment variable {variable}"


def _timing(config: LLMConfig, row: ProviderSpec, *, reasoning: bool) -> Timing:
    timeout = config.timeout if config.timeout is not None else settings.default("timeout")
    if timeout is not None:
        return Timing(first_token=timeout, whole=timeout, fixed=True)
    if row.local:
        return Timing(first_token=_LOCAL, whole=_WHOLE_SLOW)
    if reasoning:
        return Timing(first_token=_REASONING, whole=_WHOLE_SLOW)
    return Timing(first_token=row.first_token, whole=_WHOLE)


def _retry(config: LLMConfig) -> Retry:
    limit = config.max_retries if config.max_retries is not None else settings.default("max_retries")
    delay = config.retry_delay if "retry_delay" in config.model_fields_set else settings.default("retry_delay")
    return Retry(
        limit=limit,
        delay=config.retry_delay if delay is None else delay,
        delay_max=config.retry_max_delay,
        factor=config.retry_exponential_base,
    )


def _check_mlx(model: str) -> None:
    from unified_llm._backends import mlx
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import folder_of

    if reason := mlx.available():
        raise UnconfiguredError(reason) if mlx.runnable() else ImpossibleError(reason)
    if reason := model_folder.problem(folder_of(model)):
        raise ConfigurationError(reason)


def _mlx_features(model: str) -> frozenset[Feature]:
    from unified_llm._backends.mlx import model_folder
    from unified_llm._backends.mlx.exchange import folder_of

    return model_folder.features_of(folder_of(model))
