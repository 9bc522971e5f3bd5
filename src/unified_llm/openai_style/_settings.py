"""The settings of an OpenAI client: its targets, and what holds for each of its calls."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from unified_llm._client.call_options import OPTION_NAMES
from unified_llm._client.client import LLMClient
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._core.environment import variable
from unified_llm._core.hidden import Hidden
from unified_llm._core.redaction import hide_keys, may_be_a_key
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.openai_style._omitted import is_omitted
from unified_llm.openai_style._targets import Endpoint, Targets, endpoint_fields
from unified_llm.openai_style._timeouts import read_timeout

CLIENT_OPTIONS: Final = ("deadline", "hedge_after", "failover_on", "on_attempt", "skip_unconfigured")
# Options of a call that ``with_options`` may set as well; those that are mappings are added to what there is.
CALL_OPTIONS: Final = frozenset({*OPTION_NAMES, "extra_query"})
_MAPPINGS: Final = frozenset({"extra_headers", "extra_query"})
_OF_OWN_PROVIDER: Final = _MAPPINGS | {"api_key", "base_url"}
# Names of the constructor and of ``with_options`` -> those of a call.
_AS_CALL_OPTION: Final[Mapping[str, str]] = {"default_headers": "extra_headers", "default_query": "extra_query"}
_ACCOUNT_HEADERS: Final[Mapping[str, str]] = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}
_ACCOUNT_VARIABLES: Final[Mapping[str, str]] = {"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID"}
# Arguments of OpenAI's SDK that have no meaning here, and what to do instead.
_REFUSED: Final[Mapping[str, str]] = {
    "http_client": "connections are made here: pass proxy=, verify_ssl= or client_cert=",
    "admin_api_key": "the administration of an account needs OpenAI's SDK",
    "workload_identity": "pass api_key= a callable that returns a token",
    "webhook_secret": "webhooks need OpenAI's SDK",
    "websocket_base_url": "realtime sessions need OpenAI's SDK",
    "data_residency": "pass base_url=",
}
_WITHOUT_MEANING: Final = frozenset({"_strict_response_validation", "_enforce_credentials"})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an OpenAI client; copies with other options of calls share the targets and connections.

    Attributes:
        targets: The targets.
        defaults: Options of calls that have none of their own.
        account: The organisation and the project, by the names of the constructor.
    """

    targets: Targets
    defaults: Hidden[Mapping[str, Any]] = field(default_factory=lambda: Hidden[Mapping[str, Any]]({}))
    account: Mapping[str, str | None] = field(default_factory=dict[str, str | None])

    @classmethod
    def read(cls, given: dict[str, Any], *, deployment: str | None = None, **fixed: Any) -> Self:
        """Read the arguments of a constructor.

        Args:
            given: The arguments, without those that were left out.
            deployment: The model that stands for all models without a provider in their name.
            **fixed: Fields of the configuration in place of those for an address: provider, key and URL.

        Raises:
            ConfigurationError: One of them is wrong, or has no meaning here.
        """
        given = {name: value for name, value in given.items() if not is_omitted(value)}
        _refuse(given)
        account = {name: given.pop(name, None) or variable(_ACCOUNT_VARIABLES[name]) for name in _ACCOUNT_HEADERS}
        defaults = _call_options({name: given.pop(name) for name in ("timeout", "max_retries") if name in given})
        if query := given.pop("default_query", None):
            defaults["extra_query"] = query
        model = given.pop("model", None)
        fallbacks = read_fallbacks(given.pop("fallbacks", None))
        options: dict[str, Any] = {name: given.pop(name) for name in CLIENT_OPTIONS if name in given}
        base_url = given.pop("base_url", None)
        fields = fixed or endpoint_fields(None if base_url is None else str(base_url))
        if any(given.get(name) is not None for name in ("api_key", "api_key_env")):
            fields.pop("api_key_env", None)
        own_account = {_ACCOUNT_HEADERS[name]: value for name, value in account.items() if value}
        if own_account and fields["provider"] in {"openai", "openai-compatible"}:
            given["default_headers"] = {**own_account, **(given.get("default_headers") or {})}
        if headers := given.get("default_headers"):
            given["default_headers"] = {name: value for name, value in headers.items() if not is_omitted(value)}
        targets = Targets(LLMConfig(**{**fields, **given}), model, fallbacks, options, deployment=deployment)
        return cls(targets, Hidden(defaults), account)

    def with_options(self, given: dict[str, Any]) -> Self:
        """Return the settings with other options of calls; the targets and the connections are shared.

        Raises:
            ValidationError: One of them is unknown.
            ConfigurationError: One of them has no meaning here.
        """
        given = {name: value for name, value in given.items() if not is_omitted(value)}
        _refuse(given)
        account = dict(self.account)
        for name in _ACCOUNT_HEADERS:
            if (value := given.pop(name, None)) is not None:
                account[name] = value
                given["default_headers"] = {_ACCOUNT_HEADERS[name]: value, **(given.get("default_headers") or {})}
        changes = {_AS_CALL_OPTION.get(name, name): value for name, value in given.items()}
        if unknown := changes.keys() - CALL_OPTIONS:
            raise ValidationError(
                f"with_options() takes no {', '.join(sorted(unknown))}: make another client for such settings."
            )
        if "base_url" in changes and changes["base_url"] is not None:
            changes["base_url"] = str(changes["base_url"])
        defaults = merged(self.defaults.value, _call_options(changes))
        return replace(self, defaults=Hidden(defaults), account=account)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without a key."""
        defaults = {name: value for name, value in self.defaults.value.items() if name != "api_key"}
        for name in _MAPPINGS & defaults.keys():
            defaults[name] = {key: value for key, value in defaults[name].items() if not may_be_a_key(key)}
        return (Settings, (self.targets, Hidden(defaults), self.account))

    def __deepcopy__(self, memo: dict[int, Any]) -> Settings:
        """Make settings with connections of their own, and the same key."""
        return replace(self, targets=deepcopy(self.targets, memo))

    def read_call(
        self, model: Any, given: Mapping[str, Any], *, api: str | None, needs_model: bool
    ) -> tuple[LLMClient, str | None, dict[str, Any]]:
        """Return the client that serves a call, the model to name in its request, and the options of ``LLMClient``.

        Args:
            model: The model of the call, or None.
            given: The options of the call.
            api: The API that the request is written for, where a provider has several.
            needs_model: Whether a model must be named.

        Raises:
            ValidationError: No model is named.
            ConfigurationError: The model names an unknown provider, or the target lacks a key, a URL or a package.
        """
        own, defaults = _call_options(given), self.defaults.value
        base_url = own.get("base_url", defaults.get("base_url"))
        base_url = None if base_url is None else str(base_url)
        provider, model = self.targets.read_model(model, base_url, needs_model=needs_model)
        if provider is not None:  # which gets neither the key nor the headers that the client has for its own
            defaults = {name: value for name, value in defaults.items() if name not in _OF_OWN_PROVIDER}
            base_url = base_url if "base_url" in own else None
        options = merged(defaults, own)
        options.pop("base_url", None)
        connect_timeout = options.pop("connect_timeout", None)
        endpoint = Endpoint(provider, base_url, options.get("api_key"), connect_timeout, api)
        return self.targets.client(endpoint), model, options


def _call_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by our names, with a key as a ``Secret``.

    Raises:
        ConfigurationError: The key is malformed.
    """
    options = {**given}
    if "timeout" in given:
        options = {**read_timeout(options.pop("timeout")), **options}
    if "api_key" in given:
        hide_keys(options)
    return options


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with those of a call above those that hold for each call; mappings are joined."""
    options = {**below, **above}
    for name in _MAPPINGS & below.keys() & above.keys():
        options[name] = {**(below[name] or {}), **(above[name] or {})}
    return options


def _refuse(given: dict[str, Any]) -> None:
    """Refuse what OpenAI's SDK takes and this has no use for.

    Raises:
        ConfigurationError: There is such an argument.
    """
    for name in given.keys() & (_REFUSED.keys() | _WITHOUT_MEANING):
        if given.pop(name) is not None and name in _REFUSED:
            raise ConfigurationError(f"{name}= is not taken: {_REFUSED[name]}.")
