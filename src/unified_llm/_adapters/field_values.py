"""Values of the fields of a chain: keys, further fields of a body, and configurations as plain data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import SecretStr

from unified_llm._adapters.call_names import check_body_fields
from unified_llm._config.field_groups import DEFAULT_FIELDS
from unified_llm._config.field_types import read_url
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.network_fields import read_certificate, read_proxy
from unified_llm._config.unknown_fields import refuse_unknown
from unified_llm._core.api_key import Secret
from unified_llm._core.key_callable import KeyCallable, refuse_awaitable
from unified_llm._core.redaction import Headers, without_keys
from unified_llm._lib.read_only import freeze
from unified_llm._lib.short_repr import served_by
from unified_llm.exceptions import ConfigurationError

_HIDDEN: Final = frozenset({"api_key", "default_headers", "fallbacks", "verify_ssl", "proxy", "client_cert"})


def hide_key(key: Any) -> Any:
    """Return a key in Pydantic's ``SecretStr``, or a callable that returns keys; ``LLMConfig`` refuses anything else.

    Raises:
        ConfigurationError: It is of bytes, which ``SecretStr`` would decode, or no callable that can be called.
    """
    if callable(key) and not isinstance(key, KeyCallable):
        return KeyCallable(key)
    refuse_awaitable(key)
    if isinstance(key, bytes):
        raise ConfigurationError("The key from api_key= must be a string, not bytes.")
    if isinstance(key, Secret):
        return SecretStr(key.reveal())
    return SecretStr(key) if isinstance(key, str) else key


_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "api_key": hide_key, "base_url": read_url, "proxy": read_proxy, "client_cert": read_certificate,
}  # fmt: skip


def read_set_value(name: str, value: Any, mappings: Collection[str]) -> Any:
    """Return a value that is set on an object as its field keeps it: keys and passwords hidden, mappings read-only.

    Raises:
        ConfigurationError: It makes no sense.
    """
    if name in _READERS:
        return _READERS[name](value)
    if name == "default_headers" and isinstance(value, Mapping):
        return Headers(cast("Mapping[str, str]", value))
    return freeze(value) if name in mappings else value


def refuse_unknown_fields(fields: Iterable[str], known: Sequence[str], adapter: str) -> None:
    """Refuse names that are no fields of an adapter.

    Raises:
        ConfigurationError: With the nearest field, or with what has the field.
    """
    for name in fields:
        if name in LLMConfig.model_fields and name not in known:
            raise ConfigurationError(f"{adapter} has no field {name!r}: {_who_has(name)}.")
        refuse_unknown({name: None}, known, adapter)


def _who_has(name: str) -> str:
    if name in {"dimensions", "space"}:
        return "embeddings have it"
    if name in DEFAULT_FIELDS:
        return "chat models have it"
    return f"a fallback may have it, and configure({name}=...) sets it for all targets"


def with_body_fields(config: LLMConfig, given: Mapping[str, Any], request_fields: frozenset[str]) -> LLMConfig:
    """Return the configuration with those fields that no request has in the body of every request.

    Raises:
        ConfigurationError: One of them is no field of a body: it belongs to the client, or is misspelled.
    """
    further = {name: value for name, value in given.items() if name not in request_fields}
    if not further:
        return config
    check_body_fields(further, request_fields, ConfigurationError)
    return config.model_copy(update={"extra_body": {**config.extra_body, **further}})


def describe_config(config: LLMConfig) -> dict[str, Any]:
    """Return the fields of a configuration that were set, without keys and what may hold one."""
    fields = config.model_dump(include=set(config.model_fields_set) - _HIDDEN)
    return {**fields, "extra_body": without_keys(fields["extra_body"])} if "extra_body" in fields else fields


def name_of(link: object) -> str:
    """Return the name of a fallback as far as its configuration has one; empty for a model object."""
    match link:
        case LLMConfig():
            return link.name or served_by(link.provider, link.model)
        case str():
            return link
        case _:
            return ""
