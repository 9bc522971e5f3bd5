"""Base URLs and API keys of targets: from the configuration, the environment and the provider table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.api_key import NoKey, OmittedKey, Secret
from unified_llm._core.base_url import is_private, matches, normalise, split_origin
from unified_llm._core.environment import source_of, variable
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.quirks import Quirks
from unified_llm._providers.spec import REGION, ProviderSpec
from unified_llm.exceptions import ConfigurationError

WITHOUT_NETWORK: Final = frozenset({"mlx", "user"})
_URL_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(?:[.:][A-Za-z0-9-]+)*")  # example.com:project at Google


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of a target.

    Attributes:
        base_url: The URL; empty where there is no network.
        source: Where it was found, for messages.
        own_host: The provider's key from the environment may be sent there.
    """

    base_url: str
    source: str
    own_host: bool


def find_endpoint(config: LLMConfig, spec: ProviderSpec, lacks: list[str]) -> Endpoint:
    """Find the base URL: in the configuration, in the provider's variables, in its spec.

    Args:
        config: The configuration.
        spec: The provider.
        lacks: Where to note that there is none.

    Raises:
        ConfigurationError: The URL is malformed.
    """
    if spec.format in WITHOUT_NETWORK:
        return Endpoint(spec.base_url, "the provider table", own_host=True)
    if config.base_url is not None:
        base = normalise(config.base_url, source="base_url=", version=spec.version)
        return Endpoint(base, "base_url=", matches(base, spec.hosts))
    if in_environment := endpoint_in_environment(spec):
        return in_environment
    if spec.url_template:
        return _fill_in(spec, lacks)
    if not spec.base_url:
        names = f" or set {spec.base_url_env[0]}" if spec.base_url_env else ""
        lacks.append(f"no URL (pass base_url={names})")
    return Endpoint(spec.base_url, "the provider table", own_host=True)


def endpoint_in_environment(spec: ProviderSpec) -> Endpoint | None:
    """Return the base URL in the first of the provider's variables that is set; None where none is.

    Raises:
        ConfigurationError: The URL is malformed.
    """
    for name in spec.base_url_env:
        if text := (variable(name) or "").strip():
            text = _with_scheme(text, spec)
            return Endpoint(normalise(text, source=name, version=spec.version), name, own_host=True)
    return None


def _fill_in(spec: ProviderSpec, lacks: list[str]) -> Endpoint:
    """Fill the parts of an address that differ between accounts, from the environment."""
    url, source, missing = spec.url_template, "the provider table", list[str]()
    for name, part in spec.url_parts.items():
        chosen = next((each for each in part.variables if (variable(each) or "").strip()), None)
        value = part.default if chosen is None else (variable(chosen) or "").strip()
        if not value:
            missing.append(part.variables[0])
        elif not _URL_PART.fullmatch(value):
            raise ConfigurationError(f"{chosen} holds more than a name of letters, digits and hyphens.")
        if value == part.left_out:
            url = url.replace(f"{{{name}}}-", "", 1)
        url, source = url.replace(f"{{{name}}}", value), chosen or source
    if missing:
        lacks.append(f"no URL (set {' and '.join(missing)}, or pass base_url=)")
        return Endpoint("", source, own_host=True)
    base = normalise(url, source=source, version=spec.version)
    return Endpoint(base, source, matches(base, spec.hosts))


def is_vendor_host(base_url: str, spec: ProviderSpec) -> bool:
    """Check whether a URL leads to the provider's own service, where one key is one account at every host of it.

    Not so for servers that people run themselves, nor at another port: two of them may be given the same dummy key.
    """
    if not base_url or spec.local or is_private(base_url):
        return False
    origin = split_origin(base_url)[0]
    standard = urlsplit(origin).scheme == "https" and urlsplit(origin).port is None
    return origin == split_origin(spec.base_url)[0] or (standard and matches(base_url, spec.hosts))


def _with_scheme(text: str, spec: ProviderSpec) -> str:
    """Complete an address as Ollama takes it: ``0.0.0.0``, ``localhost``, ``:11434``, without a scheme or port."""
    if "://" in text or not spec.local:
        return text
    host, _, path = text.strip("'\"").partition("/")
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name, port = host, ""
    port = port or str(urlsplit(spec.base_url).port or "")
    return f"http://{name or '127.0.0.1'}{f':{port}' if port else ''}{f'/{path}' if path else ''}"


def find_key(
    config: LLMConfig, spec: ProviderSpec, endpoint: Endpoint, lacks: list[str]
) -> Secret | KeyCallable | None:
    """Find the API key: in the configuration, else in the provider's variables if it may be sent to that host.

    The variable that ``api_key_env=`` names is read each time: the key is that of this process, now.

    Args:
        config: The configuration.
        spec: The provider.
        endpoint: Where the key would be sent.
        lacks: Where to note that the target needs a key and there is none.

    Raises:
        ConfigurationError: The key is malformed.
    """
    given: object = config.api_key
    if isinstance(given, (Secret, KeyCallable)) or config.api_key_env is not None:
        if spec.format == "user":  # whose key would be used in place of this one
            raise ConfigurationError(f"{spec.title} is an object with a key of its own: leave out api_key=.")
        return given if isinstance(given, (Secret, KeyCallable)) else _key_from(f"{config.api_key_env}", lacks)
    if given is not None and given is not OmittedKey.KEY:
        raise ConfigurationError("The key from api_key= was never checked: set it with LLMConfig(...) or model_copy().")
    name = _key_variable(spec)
    if name and endpoint.own_host:
        return Secret(variable(name), source_of(name))
    if given is OmittedKey.KEY:
        known = f"set {spec.key_env[0]} in this process, or " if spec.key_env and endpoint.own_host else ""
        lacks.append(f"no API key, which was left out of the pickle ({known}pass api_key= again)")
    elif config.client_cert is not None and not endpoint.own_host:
        pass  # a gateway that is shown a certificate knows who asks
    elif name and not _is_own_network(endpoint):
        lacks.append(f"no API key for this base_url (pass api_key=: {name} is only sent to {_own_hosts(spec)})")
    elif spec.key_required and spec.format not in WITHOUT_NETWORK and not _is_own_network(endpoint):
        where = "" if endpoint.own_host else " for this base_url"
        lacks.append(f"no API key{where} ({explain_no_key(spec, endpoint).advice})")
    return None


def _key_from(named: str, lacks: list[str]) -> Secret | None:
    """Return the key in the variable that the user named; note where it is not set."""
    if value := variable(named):
        return Secret(value, source_of(named))
    lacks.append(f"no API key (set {named}, which api_key_env= names)")
    return None


def _is_own_network(endpoint: Endpoint) -> bool:
    """Return whether the server runs on this machine or network, where most want no key."""
    return bool(endpoint.base_url) and is_private(endpoint.base_url)


def explain_no_key(spec: ProviderSpec, endpoint: Endpoint) -> NoKey:
    """Say why no key is sent to a target that has none, and what to do if its server wants one."""
    if endpoint.own_host:
        empty = next((f"{name}, which is empty," for name in spec.key_env if variable(name) == ""), None)
        return NoKey("", f"set {empty or spec.key_env[0]} or pass api_key=" if spec.key_env else "pass api_key=")
    name = _key_variable(spec)
    return NoKey(f"{name} is only sent to {_own_hosts(spec)}" if name else "", "pass api_key=")


def _key_variable(spec: ProviderSpec) -> str | None:
    """Return the variable whose key is used: the first that is set."""
    return next((name for name in (*spec.token_env, *spec.key_env) if variable(name)), None)


def has_own_key(spec: ProviderSpec) -> bool:
    """Return whether a variable of the provider holds a key."""
    return _key_variable(spec) is not None


def has_own_address(spec: ProviderSpec) -> bool:
    """Return whether a variable of the provider holds an address."""
    return from_environment(spec.base_url_env) is not None


def _own_hosts(spec: ProviderSpec) -> str:
    """Name the hosts that may receive a key from the environment, for messages."""
    hosts = [host.replace(REGION, "<region>") for host in spec.hosts if not host.startswith("*")] or spec.hosts
    return ", ".join(hosts) or f"the URL in {', '.join(spec.base_url_env)}"


def quirks_for_key(quirks: Quirks, key: Secret | None, spec: ProviderSpec) -> Quirks:
    """Adapt the header of the key: a token is sent as ``Authorization: Bearer``, whatever header a key has."""
    if key is None or not spec.token_env:
        return quirks
    is_token = key.is_token or key.source in map(source_of, spec.token_env)
    return replace(quirks, key_header="") if is_token else quirks


def from_environment(variables: Sequence[str]) -> str | None:
    """Return the value of the first of these variables that is set."""
    return next((text for name in variables if (text := (variable(name) or "").strip())), None)
