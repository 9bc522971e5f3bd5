"""``LLMConfig``: the configuration of one target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from ssl import SSLContext
from typing import Annotated, Any, Final

import pydantic
from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from unified_llm._core import headers
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm._core.base_url import normalise
from unified_llm._core.redaction import hide_keys, may_be_a_key, quoted
from unified_llm._core.target import BreakerConfig
from unified_llm.exceptions import ConfigurationError

# What belongs to a call rather than to a target: a fallback that names another model inherits these and nothing else.
CALL_FIELDS: Final = (
    "temperature", "max_tokens", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort",
    "timeout", "max_retries", "retry_delay", "retry_max_delay", "retry_exponential_base", "resend", "cache_ttl",
    "breaker",
)  # fmt: skip
# Request fields that a configuration may set for all calls.
DEFAULT_FIELDS: Final = CALL_FIELDS[:8]
_LONGEST_NAME: Final = 100

_ADVICE: Final = {
    "missing": "is needed",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be a string",
    "bool_parsing": "must be True or False",
    "bool_type": "must be True or False",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
}


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("True and False are no numbers")  # noqa: TRY004 - which Pydantic turns into an error of the field
    return value


_NUMBER: Final = BeforeValidator(_number)


def _stop(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _name(value: object) -> object:
    if isinstance(value, str) and (not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME):
        raise ConfigurationError(f"name= must be printable text of at most {_LONGEST_NAME} characters.")
    return value


def _url(value: object) -> object:
    if isinstance(value, str):
        normalise(value, source="base_url=")
    return value


def read_fallbacks(value: object) -> tuple[Any, ...]:
    """Read the fallbacks of a chain; mappings become configurations, so that a key inside is checked and hidden.

    Raises:
        ConfigurationError: It is no list, or a mapping in it is wrong.
    """
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise ConfigurationError("fallbacks is a list of model strings, mappings or LLMConfig.")
    return tuple(LLMConfig(**fallback) if isinstance(fallback, Mapping) else fallback for fallback in value)


def _headers(value: object) -> object:
    if isinstance(value, Mapping):
        for name, text in value.items():
            if not headers.is_name(name):
                raise ConfigurationError("default_headers has a name that is no header name.")
            if name.lower() == "authorization":
                raise ConfigurationError("default_headers must not set Authorization: pass the key as api_key=.")
            if name.lower() in headers.NOT_FOR_USERS:
                raise ConfigurationError(f"default_headers must not set {name}: the connection sets it.")
            if not headers.is_value(text):
                raise ConfigurationError(f"The value of the header {name} in default_headers is no plain ASCII text.")
    return value


class LLMConfig(pydantic.BaseModel):
    """One target: a model at a provider, with its limits.

    Args:
        model: ``provider/model`` (``openai/gpt-5-mini``, ``ollama/llama2:7b``); with ``provider`` given, the model as
            that provider names it. It may be absent until the call names one.
        provider: A known provider, or ``openai-compatible`` with a ``base_url``.
        name: What logs, attempts, health and metadata call the target. None: ``provider/model``, and the host as well
            where two targets of a chain would have the same name.
        base_url: Another address than the provider's own; it may end in the API's version path or not.
        api_key: The key; without it, the provider's own environment variable is looked up.
        api_version: Azure's ``api-version``.
        api: Another format than the provider's usual one, where it has several: ``responses`` (OpenAI's Responses API),
            ``messages`` (Anthropic's), ``chat``.
        timeout: Seconds to the first token when streaming, for the whole answer when not. None: 30 s to the first token
            (180 s for reasoning models, 300 s for local servers), 60 s (300 s) for a whole answer while another target
            remains.
        verify_ssl: True, False, the path of a bundle of certificates, or an ``ssl.SSLContext``.
        max_retries: Retries on this target; 0 is one attempt. None: one while another target is ready, two on the last.
        resend: Whether a request is sent again, over a new connection, where the server closed a kept one before any
            byte of a response. It has very likely not seen the request, but that cannot be known: with ``resend=False``
            and ``max_retries=0`` no request reaches this target twice.
        retry_delay: Base of the exponential backoff after throttling, in seconds; after a transient error a quarter.
        retry_max_delay: The longest backoff, in seconds.
        retry_exponential_base: Growth of the backoff from one retry to the next.
        cache_ttl: Seconds that this provider's model list stays fresh.
        default_headers: Sent with every request.
        extra_body: Merged into every request's body.
        temperature: This and the other sampling fields are used unless the call sets them.
        breaker: When the circuit breaker of this target opens, and for how long.
        fallbacks: Further targets, in order: model strings, mappings, ``LLMConfig`` (alias ``fallback_configs``).
        last_resort: Does not lower what the chain advertises. None: true for ``mlx/demo`` alone.
        space: The name of the vector space, for embeddings: targets that declare the same one may replace each
            other.
        allow_http: Permit plain HTTP to another machine although a key travels.

    Raises:
        ConfigurationError: A field is unknown or a value makes no sense. No value is repeated in the message.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        populate_by_name=True,
        defer_build=True,  # the first configuration builds the validator, not the import
    )

    model: str | None = None
    provider: str | None = None
    name: Annotated[str | None, BeforeValidator(_name)] = None
    base_url: Annotated[str | None, BeforeValidator(_url)] = None
    api_key: Secret | OmittedKey | None = Field(default=None, repr=False)
    api_version: str | None = None
    api: str | None = None
    timeout: Annotated[float | None, _NUMBER] = Field(
        default=None, gt=0, allow_inf_nan=False, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    verify_ssl: bool | str | SSLContext = Field(default=True, repr=False)
    max_retries: Annotated[int | None, _NUMBER] = Field(default=None, ge=0)
    resend: bool = True
    retry_delay: Annotated[float, _NUMBER] = Field(default=1.0, ge=0, allow_inf_nan=False)
    retry_max_delay: Annotated[float, _NUMBER] = Field(default=10.0, ge=0, allow_inf_nan=False)
    retry_exponential_base: Annotated[float, _NUMBER] = Field(default=2.0, ge=1, allow_inf_nan=False)
    cache_ttl: Annotated[float, _NUMBER] = Field(default=300.0, ge=0)
    default_headers: Annotated[Mapping[str, str], BeforeValidator(_headers)] = Field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    temperature: Annotated[float | None, _NUMBER] = Field(default=None, allow_inf_nan=False)
    max_tokens: Annotated[int | None, _NUMBER] = Field(default=None, gt=0)
    top_p: Annotated[float | None, _NUMBER] = Field(default=None, allow_inf_nan=False)
    stop: Annotated[tuple[str, ...], BeforeValidator(_stop)] = ()
    seed: Annotated[int | None, _NUMBER] = None
    frequency_penalty: Annotated[float | None, _NUMBER] = Field(default=None, allow_inf_nan=False)
    presence_penalty: Annotated[float | None, _NUMBER] = Field(default=None, allow_inf_nan=False)
    reasoning_effort: str | None = None
    breaker: BreakerConfig = BreakerConfig()
    fallbacks: Annotated[tuple[Any, ...], BeforeValidator(read_fallbacks)] = Field(
        default=(), validation_alias=AliasChoices("fallbacks", "fallback_configs")
    )
    last_resort: bool | None = None
    space: str | None = None
    allow_http: bool = False

    def __init__(self, **fields: Any) -> None:
        hide_keys(fields)
        refuse_unknown(fields, (*type(self).model_fields, "request_timeout", "fallback_configs"), "LLMConfig")
        problem = None
        try:
            super().__init__(**fields)
        except pydantic.ValidationError as invalid:
            problem = _describe(invalid)
        except RecursionError:
            problem = "fallbacks holds itself, or goes too deep."
        if problem:  # raised here, so that Pydantic's error, which repeats the values, is not its context
            raise ConfigurationError(problem)

    @classmethod
    def read(cls, config: str | LLMConfig | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> LLMConfig:
        """Read a configuration from what a client takes: a model string, a configuration or a mapping, and fields.

        Raises:
            ConfigurationError: A field is wrong.
        """
        match config:
            case LLMConfig():
                if fields:
                    raise ConfigurationError(f"Put {', '.join(fields)} into the LLMConfig.")
                return config
            case str():
                return cls(**{"model": config, **fields})
            case Mapping():
                return cls(**{**config, **fields})
            case None:
                return cls(**fields)
        raise ConfigurationError("A client is made from a model string, an LLMConfig or a mapping.")

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle without the key, headers that may hold one, and an SSL context, which cannot be pickled."""
        state = super().__getstate__()
        key = OmittedKey.KEY if self.api_key is not None else None
        kept = {name: text for name, text in self.default_headers.items() if not may_be_a_key(name)}
        state["__dict__"] = {**state["__dict__"], "api_key": key, "default_headers": kept}
        if isinstance(state["__dict__"]["verify_ssl"], SSLContext):
            state["__dict__"]["verify_ssl"] = True
        return state

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LLMConfig:
        """Copy; a configuration is immutable, so the copy shares its values."""
        return self.model_copy()

    def given(self, names: Sequence[str]) -> dict[str, Any]:
        """Return those of the named fields that were set explicitly."""
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}


def refuse_unknown(fields: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse names that are not known.

    Raises:
        ConfigurationError: With the nearest known name.
    """
    for name in fields:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else "further fields of the request go into extra_body={...}."
            raise ConfigurationError(f"{where} has no field {quoted(name)}: {hint}")


def _describe(invalid: pydantic.ValidationError) -> str:
    messages: dict[str, str] = {}
    for error in invalid.errors(include_url=False, include_context=True, include_input=False):
        field = ".".join(str(part) for part in error["loc"] if part != "tagged-union") or "the configuration"
        messages.setdefault(field, _ADVICE.get(error["type"]) or _bound(error) or "has a wrong value or type")
    return "; ".join(f"{field} {advice}" for field, advice in messages.items()) + "."


def _bound(error: Any) -> str | None:
    for name, words in (("gt", "greater than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most")):
        if name in error.get("ctx", {}):
            return f"must be {words} {error['ctx'][name]}"
    return "must be a finite number" if error["type"] == "finite_number" else None


LLMConfig.__module__ = "unified_llm"  # where users import it from; set here, since Pydantic reads the names above
