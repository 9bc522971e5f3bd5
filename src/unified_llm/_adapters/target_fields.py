"""A chain of targets as fields of a Pydantic object: what the chat models and embeddings of every framework share.

The client is made from the fields, at construction, so that mistakes are found there; it is made again after a field is
set. Copies share it. Keys stay in memory: they are in no dump, no repr and no pickle. Nothing here imports a framework:
the adapters define what a wrapped model is, and which exceptions are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    SkipValidation,
    field_serializer,
    field_validator,
)

from unified_llm._adapters.copies import Copies
from unified_llm._adapters.field_values import hide_key, name_of, read_set_value, refuse_unknown_fields
from unified_llm._adapters.links import (
    ChainOfTargets,
    Link,
    describe_link,
    is_object,
    read_links,
    read_primary,
    wrap_links,
)
from unified_llm._adapters.models_and_health import ModelsAndHealth
from unified_llm._config.always_validated import AlwaysValidated
from unified_llm._config.field_errors import describe  # pyright: ignore[reportUnusedImport] # in __init__
from unified_llm._config.field_signatures import ShowsFields, accepted_names
from unified_llm._config.field_types import Limit, MemorySize, Wait, check_account, check_variable, read_url
from unified_llm._config.llm_config import LLMConfig, without_unset
from unified_llm._config.network_fields import ClientCertSetting, ProxySetting, VerifySSL
from unified_llm._core.api_key import OmittedKey
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.redaction import Headers, hide_misplaced_keys, show_chain
from unified_llm._core.target import BreakerConfig
from unified_llm._lib.read_only import freeze
from unified_llm._lib.short_repr import served_by, short_repr
from unified_llm.exceptions import ConfigurationError, UnconfiguredError

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient  # noqa: TC004 - the annotation of a private attribute is never evaluated
    from unified_llm._core.exchange import WrappedModel
    from unified_llm._core.target import Target

# Fields that copies share with their original: they belong to the process, or cannot be copied.
_SHARED: Final = ("model", "fallbacks", "on_attempt", "verify_ssl")
# Fields that are copied and cannot be changed in place: those of this class and of its adapters.
_MAPPINGS: Final = ("extra_body", "failover_on", "model_kwargs", "additional_kwargs")


class TargetFields(ChainOfTargets, ModelsAndHealth, Copies, AlwaysValidated, BaseModel, metaclass=ShowsFields):
    """A primary and its fallbacks.

    Args:
        model: ``provider/model``; with ``provider`` given, the model as the provider names it (alias ``model_name``). A
            chat model or LLM may be a model object of the framework instead, which keeps its own key, address and body.
        fallbacks: Further targets, in order: model strings, mappings of ``LLMConfig``'s fields, ``LLMConfig``, and
            model objects of the framework.
        provider: A known provider; not needed where ``model`` names it.
        name: What logs, attempts, health and metadata call the primary; see ``LLMConfig``. ``ChatUnified`` has the
            ``name`` of LangChain's models instead, for traces.
        base_url: The primary's address, where it is not the provider's own.
        api_key: The primary's key, or a callable that returns it; without it, the provider's own environment variable
            is looked up. See ``LLMConfig``, also for the next two.
        api_key_env: The environment variable that has the primary's key.
        account: A name for the account of the primary's key.
        api_version: Azure's ``api-version``.
        api: Another format than the provider's usual one; see ``LLMConfig``.
        timeout: Seconds for an attempt: to the first token of a stream, or for a whole response (``request_timeout``).
            None: 20 and 60 s while another target is ready, more for reasoning and local models (docs/failover.md).
        connect_timeout: Seconds for each step of making a connection, within ``timeout``. None: 5 s each.
        max_retries: Retries on each target; 0 is one attempt.
        resend: Whether a request is sent again where the server closed a kept connection before any response.
        retry_delay: Base of the exponential backoff, in seconds.
        retry_max_delay: The longest backoff, in seconds.
        max_response_bytes: The largest response that is accepted. None: 16 MiB, 256 MiB for embeddings and reranking.
        rpm: The most requests that the primary gets within a minute; calls beyond wait, or go to a fallback.
        tpm: The most tokens that the primary gets within a minute.
        default_headers: Sent with every request to the primary.
        extra_body: Merged into the body of every request to the primary.
        context_window: The primary's context window in tokens, where it is not known; at Ollama it is sent along.
        verify_ssl: True, False, the path of a bundle of certificates, ``"system"`` for those that the operating system
            trusts, or an ``ssl.SSLContext``.
        proxy: The URL of the primary's proxy; None: the environment's; False: none. See ``LLMConfig``.
        client_cert: The primary's client certificate: paths of PEM files. See ``LLMConfig``.
        allow_http: Permit plain HTTP to another machine although a key travels.
        breaker: When the circuit breaker of a failing target opens, and for how long.
        mlx: How the primary's model is loaded and run, if that is in this process; see ``LLMConfig``.
        download: Whether a model of the Hugging Face hub that is not on this machine is downloaded at construction.
        memory_limit: What the models in this process may take together, in bytes or as text (``"24GB"``).
        standby: ``"warm"``, where this local model is a fallback of another: it is loaded when that is in trouble.
        cache_ttl: Seconds that a provider's model list stays fresh.
        deadline: Seconds for a whole call, all attempts and waits included (600); None for no limit.
        failover_on: Kinds of failure that fail over or not, where that differs from the default (``{"filter": True}``):
            see ``LLMClient``.
        skip_unconfigured: Skip targets whose key or extra is missing, with one warning each.
        on_attempt: Called after each attempt. To be pickled it must be a function of a module, not a lambda.
    """

    # The validator is built with the first object: an import should cost little more than the framework's.
    model_config = ConfigDict(
        arbitrary_types_allowed=True, protected_namespaces=(), defer_build=True, populate_by_name=True
    )

    model: Any = None  # a string, or a model object
    fallbacks: Sequence[Any] = ()
    provider: str | None = None
    name: str | None = None
    base_url: Annotated[str | None, BeforeValidator(read_url)] = None
    api_key: SecretStr | KeyCallable | None = Field(default=None, exclude=True, repr=False)
    api_key_env: Annotated[str | None, BeforeValidator(check_variable)] = None
    account: Annotated[str | None, BeforeValidator(check_account)] = None
    api_version: str | None = None
    api: str | None = None
    timeout: Limit = None
    connect_timeout: Limit = None
    max_retries: int | None = None
    resend: bool | None = None
    retry_delay: Wait = None
    retry_max_delay: Wait = None
    max_response_bytes: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    default_headers: Annotated[Mapping[str, str], AfterValidator(Headers)] | None = Field(
        default=None, exclude=True, repr=False
    )
    extra_body: Mapping[str, Any] | None = Field(default=None, repr=False)
    context_window: int | None = Field(default=None, gt=0)
    verify_ssl: VerifySSL = Field(default=True, exclude=True, repr=False)
    proxy: ProxySetting = Field(default=None, exclude=True, repr=False)
    client_cert: ClientCertSetting = Field(default=None, exclude=True, repr=False)
    allow_http: bool = False
    breaker: BreakerConfig | None = None
    mlx: MLXConfig | None = None
    download: bool = False
    memory_limit: MemorySize = None
    standby: Literal["warm"] | None = None
    cache_ttl: Wait = None
    deadline: Limit = 600.0
    failover_on: Annotated[Mapping[str, bool] | None, SkipValidation] = None  # the client checks it
    skip_unconfigured: bool = False
    on_attempt: Annotated[Callable[..., Any] | None, SkipValidation] = Field(default=None, exclude=True, repr=False)

    _client: LLMClient | None = PrivateAttr(default=None)  # imported when the first is made: it is most of the package
    _key_omitted: bool = PrivateAttr(default=False)  # by a pickle, so that a missing key is reported

    # Other names of fields.
    ALIASES: ClassVar[Mapping[str, str]] = {
        "model_name": "model", "request_timeout": "timeout", "fallback_configs": "fallbacks",
    }  # fmt: skip
    # Arguments of the client, and all fields that it is made from, beside those of LLMConfig.
    PASSED_ON: ClassVar[frozenset[str]] = frozenset({"deadline", "failover_on", "skip_unconfigured", "on_attempt"})
    MADE_FROM: ClassVar[frozenset[str]] = PASSED_ON
    # What a model object of the framework is called, where one may be the primary.
    MODEL_OBJECTS: ClassVar[str] = ""
    # The name is that of the primary, not one that the framework gives a meaning to.
    NAMES_TARGET: ClassVar[bool] = True
    # What else the copies of an adapter share.
    SHARED: ClassVar[tuple[str, ...]] = _SHARED

    if not TYPE_CHECKING:  # type checkers see the fields, which are more precise than this signature

        def __init__(self, model: Any = None, /, **fields: Any) -> None:
            given = Hidden((model, fields))
            del model, fields
            with CLEAR_VARIABLES:
                self._read_fields(given)

        def _read_fields(self, given: Hidden[tuple[Any, dict[str, Any]]]) -> None:
            model, named = given.value
            fields = {} if model is None else {"model": model}
            for name, value in named.items():
                field = self.ALIASES.get(name, name)
                if field in fields and fields[field] != value:  # a dump of LlamaIndex has the model under two names
                    raise ConfigurationError(f"{field} is given twice: leave one out.")
                fields[field] = value
            fields.setdefault("fallbacks", ())
            if "api_key" in fields:
                fields["api_key"] = hide_key(fields["api_key"])
            if not fields.keys() <= type(self).model_fields.keys():
                refuse_unknown_fields(fields, accepted_names(type(self)), type(self).__name__)
            problem = None
            try:
                super().__init__(**without_unset(fields))
            except pydantic.ValidationError as error:
                problem = describe(error)
            if problem:  # raised here, so that Pydantic's error, which repeats the values, is not its context
                known = {name: value for name, value in fields.items() if name in LLMConfig.model_fields}
                known |= {"model": None} if is_object(known.get("model")) else {}
                LLMConfig(**{name: value for name, value in known.items() if value is not None})
                raise ConfigurationError(problem)

    def __repr__(self) -> str:
        """Show the names of the targets, and nothing else."""
        return short_repr(self, [show_chain(self._names())])

    __str__ = __repr__

    def _names(self) -> Iterator[str]:
        """Yield the names of the chain, from the fields: one may be wrong until another is set."""
        if client := getattr(self, "_client", None):
            yield from (target.name for target in client.targets)
            return
        provider, model = map(vars(self).get, ("provider", "model"))
        yield self.describe(model) if is_object(model) else served_by(provider, model)
        yield from (name_of(link) or f"{self.describe(link)}" for link in vars(self).get("fallbacks", ()))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields to show, without what looks like a key in the wrong place."""
        return hide_misplaced_keys(super().__repr_args__())

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Make an object from a mapping, as Pydantic does.

        Raises:
            ConfigurationError: A field is unknown or a value makes no sense.
        """
        given = Hidden(obj)
        del obj
        with CLEAR_VARIABLES:
            return super().model_validate(given.value, **options)

    # What an adapter overrides

    @classmethod
    def wrap(cls, candidate: object) -> WrappedModel | None:  # noqa: ARG003
        """Wrap a model object of the framework as a target; return None for anything else."""
        return None

    @classmethod
    def translated(cls) -> AbstractContextManager[None]:
        """Return a context that raises our errors as those of the framework."""
        return nullcontext()

    @property
    def fallback_configs(self) -> Sequence[Any]:
        """Another name for ``fallbacks``."""
        return self.fallbacks

    # The client

    @pydantic.model_validator(mode="after")
    def _connect_chain(self) -> Self:
        """Make the client, which finds mistakes. Nothing is sent, and no connection is made.

        Mappings become copies that cannot be changed, since the client would not learn of the change.
        """
        vars(self).update({name: freeze(vars(self)[name]) for name in _MAPPINGS if name in type(self).model_fields})
        self._client = self._client or self._make_client()
        return self

    @property
    def client(self) -> LLMClient:
        """The client of the chain."""
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _make_client(self) -> LLMClient:
        from unified_llm._client.client import LLMClient

        fallbacks, config = wrap_links(self.fallbacks, self.wrap), self._config()
        passed_on = {name: getattr(self, name) for name in self.PASSED_ON}
        if not is_object(self.model):
            return LLMClient(config, fallbacks=fallbacks, **passed_on)
        beside = config.given(tuple(LLMConfig.model_fields))
        return LLMClient(self.wrap(self.model), fallbacks=fallbacks, **passed_on, **beside)

    def _described_targets(self) -> Sequence[Target]:
        """Return the targets for what they can do, those included whose keys are missing, as in a pickled copy.

        Raises:
            ConfigurationError: A field is wrong.
        """
        with suppress(UnconfiguredError):
            if not self.skip_unconfigured:
                return self.client.targets
        from unified_llm._config import resolve
        from unified_llm._config.model_objects import PrimaryObject

        config, model = self._config(), self.wrap(self.model)
        return resolve.described(
            PrimaryObject(model, config) if model else config, wrap_links(self.fallbacks, self.wrap)
        )

    def _config(self) -> LLMConfig:
        """Make the primary's configuration of every field that was given a value; that of an object has no model."""
        fields, chosen = type(self).model_fields, self.model_fields_set
        given = {name: getattr(self, name) for name in LLMConfig.model_fields if name in fields}
        given = {name: value for name, value in given.items() if name in chosen or value != fields[name].default}
        given.pop("fallbacks", None)
        if not self.NAMES_TARGET:
            given.pop("name", None)
        if is_object(self.model):
            given.pop("model", None)
        if self._key_omitted and given.get("api_key") is None:
            given["api_key"] = OmittedKey.KEY
        return LLMConfig(**{name: value for name, value in given.items() if value is not None})

    # The primary and the fallbacks

    @field_validator("model", mode="plain")
    @classmethod
    def _read_model(cls, model: Any) -> Any:
        return read_primary(model, cls.wrap, cls.MODEL_OBJECTS)

    @field_validator("fallbacks", mode="plain")
    @classmethod
    def _read_fallbacks(cls, fallbacks: Any) -> tuple[Link, ...]:
        return read_links(fallbacks, cls.wrap)

    def links(self) -> tuple[Link, ...]:
        """Return the whole chain, as fallbacks of another one: without those targets that it skips itself.

        Those without a model have what they take over from the primary of this chain, not from that of the other.
        """
        from unified_llm._config.profile_names import profile_named
        from unified_llm._config.resolve import Primary, complete, inherit, is_configured

        settings = self._config()
        if is_object(self.model):
            first, named = self.model, self.wrap(self.model)
            primary = Primary(settings, named.provider, named.model) if named else Primary(settings)
        else:
            first = completed = complete(settings, has_fallbacks=bool(self.fallbacks))
            primary = Primary.of(completed)
            if profile_named(settings.model) is not None:  # which is looked up again in another process
                first = settings.model_copy(update={"fallbacks": ()}) if self.fallbacks else settings
        links = [first]
        for link in self.fallbacks:
            follows = isinstance(link, LLMConfig) and link.model is None
            links.append(inherit(primary, link) if follows else link)
        return tuple(link for link in links if not self.skip_unconfigured or is_configured(link))

    def fallbacks_in_use(self) -> Sequence[Link]:
        """Return the fallbacks of this chain; where it has none of its own, those of its profile."""
        if self.fallbacks or is_object(self.model):
            return self.fallbacks
        from unified_llm._config.merged_fields import expand_profile

        return expand_profile(self._config()).fallbacks

    @field_serializer("model")
    def _describe_model(self, model: Any) -> Any:
        return self.describe(model)

    @field_serializer("fallbacks")
    def _describe_fallbacks(self, fallbacks: Sequence[Link]) -> list[Any]:
        return [self.describe(link) for link in fallbacks]

    @classmethod
    def describe(cls, link: Link) -> Any:
        """Describe a target as plain data without its key: for dumps, traces and cache keys."""
        return describe_link(link, cls.wrap)

    # Changes

    def __setattr__(self, name: str, value: Any) -> None:
        """Let the change of a field take effect with the next call."""
        given = Hidden(value)
        del value
        with CLEAR_VARIABLES:
            self._set(self.ALIASES.get(name, name), given)

    def _set(self, name: str, given: Hidden[Any]) -> None:
        match name, given.value:
            case "model", model:
                given = Hidden(read_primary(model, self.wrap, self.MODEL_OBJECTS))
            case "fallbacks", fallbacks:
                given = Hidden(read_links(fallbacks, self.wrap))
            case _:
                given = Hidden(read_set_value(name, given.value, _MAPPINGS))
        super().__setattr__(name, given.value)
        if name in type(self).model_fields and (name in LLMConfig.model_fields or name in self.MADE_FROM):
            self._client = None
            self._changed()

    def _changed(self) -> None:
        """React to a change of a field that the client is made from."""
