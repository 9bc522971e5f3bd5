"""``LLMConfig``: the configuration of one target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, Unpack, cast

import pydantic
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from unified_llm._config import without_keys
from unified_llm._config.always_validated import AlwaysValidated, checked_changes
from unified_llm._config.constructor_names import ALIASES, field_of
from unified_llm._config.field_errors import describe
from unified_llm._config.field_signatures import ShowsFields, accepted_names
from unified_llm._config.field_types import (
    LEFT_OUT,
    NUMBER,
    Limit,
    MemorySize,
    check_account,
    check_base_url,
    check_headers,
    check_key_header,
    check_model,
    check_name,
    check_variable,
    check_version,
    read_stop,
    read_ttl,
    read_url,
    read_wait,
)
from unified_llm._config.given_targets import GivenTargetsError, explain, list_fallbacks
from unified_llm._config.network_fields import ClientCertSetting, ProxySetting, VerifySSL
from unified_llm._config.unknown_fields import refuse_unknown
from unified_llm._core import paths
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.redaction import Headers, hide_keys, hide_misplaced_keys
from unified_llm._core.target import BreakerConfig
from unified_llm._lib.read_only import ReadOnlyDict, freeze
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._config.keywords import TargetKeywords
    from unified_llm._config.model_name import ModelName
    from unified_llm._core.exchange import WrappedModel
    from unified_llm._lib.list_of import ListOf
    from unified_llm._providers.spec import ProviderSpec

    Fallbacks: TypeAlias = "ListOf[ModelName | LLMConfig | Mapping[str, Any] | WrappedModel]"


def read_fallbacks(value: object) -> tuple[Any, ...]:
    """Read the fallbacks of a chain; mappings become configurations, so that a key inside is checked and hidden.

    Raises:
        ConfigurationError: It is no list, or a mapping in it is wrong.
    """
    try:
        given = list_fallbacks(value)
    except GivenTargetsError as wrong:
        raise ConfigurationError(str(wrong)) from None
    return tuple(LLMConfig(**fallback) if isinstance(fallback, Mapping) else fallback for fallback in given)


class LLMConfig(without_keys.WithoutKeys, AlwaysValidated, pydantic.BaseModel, metaclass=ShowsFields):
    """One target: a model at a provider, with its limits.

    Args:
        model: ``provider/model`` (``openai/gpt-5-mini``, ``ollama/llama3.2:3b``); with ``provider`` given, the model as
            that provider names it. It may be absent until the call names one.
        provider: A known provider, or ``openai-compatible`` with a ``base_url``.
        name: What logs, attempts, health and metadata call the target. None: ``provider/model``, and the host as well
            where two targets of a chain would have the same name.
        base_url: Another address than the provider's own; it may end in the API's version path or not.
        api_key: The key, or a sync or async callable that returns it, or ``(key, seconds)`` for a key that expires: it
            is called before the key ends, or after a server refused the key with 401 (docs/configuration.md). Without
            it, the provider's own environment variable is looked up.
        api_key_env: The environment variable that has the key, in place of the provider's own. It is read where the
            client is made, also in another process that loads a pickle, and its key is sent to any ``base_url``.
        account: A name for the account that the key belongs to, which cooldowns and caches go by: keys that replace one
            another have the same. None: the key itself, or the qualified name of the callable.
        api_version: Azure's ``api-version``.
        api: Another format than the provider's usual one, where it has several: ``responses`` (OpenAI's Responses API),
            ``messages`` (Anthropic's), ``chat``.
        timeout: Seconds to the first token when streaming, to the whole response when not. None: while another target
            is ready 20 s and 60 s, and 60 s and 180 s for reasoning models; docs/failover.md has the whole table.
        connect_timeout: Seconds for each step of making a connection, within ``timeout``: the look-up of the host, TCP,
            the tunnel of a proxy, the TLS handshake. None: 5 s each.
        verify_ssl: True, False, the path of a bundle of certificates, ``"system"`` for those that the operating system
            trusts (extra ``system-certs``), or an ``ssl.SSLContext``.
        proxy: The URL of a proxy, with user and password if it wants them; it holds for any address of this target.
            None: the variables ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``. False: no proxy.
        client_cert: The certificate for servers that demand one (mutual TLS): the path of a PEM file with certificate
            and key, or ``(certificate, key)``, or ``(certificate, key, password)``. A file that changed is read again.
        max_retries: Requests that a call may send to this target after its first one, beside the most attempts and the
            retry budget; 0 is one attempt. None: one while another target is ready, two on the last.
        resend: Whether a request is sent again, over a new connection, where the server closed a kept one before any
            byte of a response. It has very likely not seen the request, but that cannot be known: with ``resend=False``
            and ``max_retries=0`` no request reaches this target twice.
        retry_delay: Base of the exponential backoff after throttling, in seconds; after a transient error a quarter.
        retry_max_delay: The longest backoff, in seconds.
        retry_exponential_base: Growth of the backoff from one retry to the next.
        max_response_bytes: The largest response that is accepted, in bytes of its body, decompressed, or of what a
            stream contains. None: 16 MiB, and 256 MiB for embeddings and reranking.
        rpm: The most requests that this process sends to this target within a minute, retries included. Where they are
            used up, another target that is ready gets the call, else it waits for its turn (docs/rate-limits.md).
        tpm: The most tokens within a minute, in the same way: an estimate before a request, its usage afterwards.
        cache_ttl: Seconds that this provider's model list stays fresh.
        default_headers: Sent with every request.
        extra_body: Merged into every request's body.
        context_window: The context window of the model as this target serves it, in tokens, where it is not known or
            differs from what is. At Ollama it is sent as ``options.num_ctx`` with every request, and takes memory.
        temperature: This and the other sampling fields are used unless the call sets them.
        dimensions: The length of the vectors, where an embedding model can choose it.
        reasoning_format: ``raw`` leaves a ``<think>`` block at the beginning of a text where it is; None: it is moved
            to the reasoning. For servers that hold any model; see ``LLMRequest``.
        text_tool_calls: False leaves tool calls that are written as text as text; see ``LLMRequest``.
        merge_messages: False sends the messages in the order in which they are given; see ``LLMRequest``.
        breaker: When the circuit breaker of this target opens, and for how long.
        mlx: How a model in this process is loaded and run: an adapter, a draft model, a quantized cache, its queue.
        download: Whether a model of the Hugging Face hub that is not on this machine is downloaded when the client is
            made; never during a call.
        memory_limit: Bytes, or text such as ``"24GB"``: what the models in this process may take together when this one
            is loaded; those that were not used for longest are unloaded first. None: half of the memory that was
            available at import, on a Mac the working set that the system recommends.
        standby: ``"warm"``, for a fallback at MLX, Ollama or LM Studio: its model is loaded in the background when the
            first target of the chain is in trouble (its breaker opens, or three requests fail within a minute), and
            unloaded 10 minutes after that one is back. No call waits for it while another target is ready.
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
        hide_input_in_errors=True,
        ser_json_inf_nan="constants",
    )

    model: Annotated[str | None, BeforeValidator(check_model)] = None
    provider: str | None = None
    name: Annotated[str | None, BeforeValidator(check_name)] = None
    base_url: Annotated[str | None, BeforeValidator(read_url)] = None
    api_key: Annotated[
        Secret | KeyCallable | OmittedKey | None, PlainSerializer(without_keys.dump_key, when_used="json")
    ] = Field(default=None, repr=False)
    api_key_env: Annotated[str | None, BeforeValidator(check_variable)] = None
    account: Annotated[str | None, BeforeValidator(check_account)] = None
    api_version: Annotated[str | None, BeforeValidator(check_version)] = None
    api: str | None = None
    timeout: Limit = Field(default=None, validation_alias=AliasChoices("timeout", "request_timeout"))
    connect_timeout: Limit = None
    verify_ssl: VerifySSL = Field(default=True, repr=False)
    proxy: ProxySetting = None
    client_cert: ClientCertSetting = None
    max_retries: Annotated[int | None, NUMBER] = Field(default=None, ge=0)
    resend: bool = True
    retry_delay: Annotated[float, BeforeValidator(read_wait)] = 1.0
    retry_max_delay: Annotated[float, BeforeValidator(read_wait)] = 10.0
    retry_exponential_base: Annotated[float, NUMBER] = Field(default=2.0, ge=1, allow_inf_nan=False)
    max_response_bytes: Annotated[int | None, NUMBER] = Field(default=None, gt=0)
    rpm: Annotated[int | None, NUMBER] = Field(default=None, gt=0)
    tpm: Annotated[int | None, NUMBER] = Field(default=None, gt=0)
    cache_ttl: Annotated[float, BeforeValidator(read_ttl)] = 300.0
    default_headers: Annotated[
        Mapping[str, str],
        BeforeValidator(check_headers),
        AfterValidator(Headers),
        PlainSerializer(without_keys.dump_headers),
    ] = Field(default_factory=Headers, repr=False)
    extra_body: Annotated[
        Mapping[str, Any], AfterValidator(freeze), PlainSerializer(without_keys.dump_body, when_used="json")
    ] = Field(default_factory=ReadOnlyDict, repr=False)
    context_window: Annotated[int | None, NUMBER] = Field(default=None, gt=0)
    temperature: Annotated[float | None, NUMBER] = Field(default=None, allow_inf_nan=False)
    max_tokens: Annotated[int | None, NUMBER] = Field(default=None, gt=0)
    top_p: Annotated[float | None, NUMBER] = Field(default=None, allow_inf_nan=False)
    stop: Annotated[tuple[str, ...], BeforeValidator(read_stop)] = ()
    seed: Annotated[int | None, NUMBER] = None
    frequency_penalty: Annotated[float | None, NUMBER] = Field(default=None, allow_inf_nan=False)
    presence_penalty: Annotated[float | None, NUMBER] = Field(default=None, allow_inf_nan=False)
    reasoning_effort: str | None = None
    dimensions: Annotated[int | None, NUMBER] = Field(default=None, gt=0)
    reasoning_format: Literal["parsed", "raw", "hidden"] | None = None
    text_tool_calls: bool | None = None
    merge_messages: bool | None = None
    breaker: BreakerConfig = BreakerConfig()
    mlx: MLXConfig = MLXConfig()
    download: bool = False
    memory_limit: MemorySize = None
    standby: Literal["warm"] | None = None
    fallbacks: Annotated[tuple[Any, ...], BeforeValidator(read_fallbacks)] = Field(
        default=(), validation_alias=AliasChoices("fallbacks", "fallback_configs")
    )
    last_resort: bool | None = None
    space: str | None = None
    allow_http: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            fallbacks: Fallbacks | None = (),
            **fields: Unpack[TargetKeywords],
        ) -> None: ...

    else:

        def __init__(self, **fields: Any) -> None:
            given = Hidden(fields)
            del fields
            with CLEAR_VARIABLES:
                self._read(given)

    def _read(self, given: Hidden[dict[str, Any]]) -> None:
        fields = given.value
        if fields.get("api_key") == LEFT_OUT:
            fields["api_key"] = OmittedKey.KEY
        hide_keys(fields)
        for alias in fields.keys() & ALIASES.keys():
            fields[field_of(alias, fields)] = fields.pop(alias)
        if not fields.keys() <= default_fields().keys():
            refuse_unknown(fields, (*accepted_names(type(self)), *ALIASES), "LLMConfig")
        problem = None
        try:
            super().__init__(**without_unset(fields))
        except pydantic.ValidationError as invalid:
            problem = describe(invalid)
        except RecursionError:
            problem = "fallbacks or extra_body holds itself, or goes too deep."
        if problem:  # raised here, so that Pydantic's error, which repeats the values, is not its context
            raise ConfigurationError(problem)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse fields that contradict each other, or make no sense at their provider."""
        if self.api_key_env is not None and isinstance(self.api_key, (Secret, KeyCallable)):
            raise ConfigurationError("api_key= and api_key_env= are both given: leave one out.")
        if self.base_url is not None:
            check_base_url(self.base_url, self._find_row())
        if self.default_headers:
            check_key_header(self.default_headers, self._find_row())
        if self.model is not None and (problem := paths.problem_with(self.model.strip())):
            row = self._find_row()
            if row is not None and row.format != "mlx":  # whose models are folders
                raise ConfigurationError(f"model= {problem}: pass the name that the provider lists.")

        if self.standby is not None and (row := self._find_row()) is not None and not row.standby:
            raise ConfigurationError(
                f'standby="warm" is for fallbacks whose models can be loaded in advance (mlx, ollama, lmstudio): give '
                f"it to one of these rather than to {row.name}."
            )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields that were set, without what looks like a key in the wrong place."""
        if not hasattr(self, "__pydantic_fields_set__"):  # it was refused: an error tracker shows what there is of it
            return iter(())
        given = self.given(tuple(type(self).model_fields))
        return hide_misplaced_keys((name, value) for name, value in super().__repr_args__() if name in given)

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
                if "model" in fields:
                    raise ConfigurationError("model is given twice: leave one out.")
                return cls(model=config, **fields)
            case Mapping():
                named: Mapping[str, Any] = {**config, **fields}
                return cls(**named)
            case None:
                return cls(**fields)
        raise ConfigurationError(
            f"A client is made from a model string, an LLMConfig or a mapping, not from {explain(config)}"
        )

    def given(self, names: Sequence[str]) -> dict[str, Any]:
        """Return those of the named fields that were set explicitly, or are not the default whoever set them."""
        defaults, given = default_fields(), self.model_fields_set
        values = {name: getattr(self, name) for name in names}
        return {
            name: value
            for name, value in values.items()
            if name in given or (name in defaults and value != defaults[name])
        }

    @property
    def fallback_configs(self) -> tuple[Any, ...]:
        """The same as ``fallbacks``."""
        return self.fallbacks

    def _find_row(self) -> ProviderSpec | None:
        """Return the row of the provider, if this configuration names it."""
        from unified_llm._providers import registry

        if self.provider is not None:
            return registry.find(self.provider)
        named = registry.parse_model_string(self.model) if self.model and not self.model.isspace() else None
        return registry.find(named[0]) if named else None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """Copy, with other values for some fields, which are validated as in the constructor.

        Raises:
            ConfigurationError: A field is unknown, or a value makes no sense.
        """
        given = Hidden(update or {})
        del update
        with CLEAR_VARIABLES:
            changes = checked_changes(given.value, ALIASES)
            return type(self)(**{**self.given(tuple(type(self).model_fields)), **changes})

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Self:
        """Make a configuration from a mapping; return one as it is.

        Raises:
            ConfigurationError: A field is unknown, or a value makes no sense.
        """
        if isinstance(obj, cls):
            return obj.model_copy()
        if not isinstance(obj, Mapping):
            raise ConfigurationError("An LLMConfig is made from a mapping of its fields.")
        given = Hidden(cast("Mapping[str, Any]", obj))
        del obj
        with CLEAR_VARIABLES:
            return cls(**given.value)


@cache
def default_fields() -> Mapping[str, Any]:
    """Return the default of each field."""
    return {name: field.get_default(call_default_factory=True) for name, field in LLMConfig.model_fields.items()}


def given_fields(config: LLMConfig) -> dict[str, Any]:
    """Return the fields of a configuration that were given a value; None, which leaves a field unset, is none."""
    given = config.given(tuple(LLMConfig.model_fields))
    return {name: value for name, value in given.items() if value is not None}


def without_unset(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out None where it is no value of a field: an application has it for a setting that nobody made."""
    defaults = default_fields()
    return {name: value for name, value in fields.items() if value is not None or defaults.get(name) is None}


LLMConfig.__module__ = "unified_llm"  # where users import it from; set here, since Pydantic reads the names above
