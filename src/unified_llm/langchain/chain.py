"""What ``ChatUnified`` and ``UnifiedEmbeddings`` share: a chain of targets as fields of a Pydantic object.

The client behind it is made from the fields, at construction, so that mistakes are found there; it is made anew after a
field is set. Copies share it. Keys stay in memory: they are in no dump, no repr and no pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from ssl import SSLContext
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NoReturn, Self, TypeAlias

import pydantic
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, PrivateAttr, SecretStr

from unified_llm.config import LLMConfig, refuse_unknown
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain.errors import translated
from unified_llm.langchain.names import ALIASES, wrap
from unified_llm.secret import Secret, covered, may_be_a_key
from unified_llm.target import BreakerConfig

if TYPE_CHECKING:
    from unified_llm.client import LLMClient  # noqa: TC004 - the annotation of a private attribute is never evaluated
    from unified_llm.types import ModelInfo

Fallback: TypeAlias = str | LLMConfig | Mapping[str, Any] | Runnable[Any, Any]
Link: TypeAlias = str | LLMConfig | Runnable[Any, Any]

# What copies have in common with their original: it belongs to the process, or cannot be copied at all.
_SHARED: Final = ("fallbacks", "on_attempt", "verify_ssl", "callbacks", "cache", "rate_limiter")


def read_links(fallbacks: Any) -> tuple[Link, ...]:
    """Check fallbacks, and turn mappings into configurations, so that no key lies about in a plain dict.

    Raises:
        ConfigurationError: One of them is nothing that can answer.
    """
    if isinstance(fallbacks, (str, Mapping)) or not isinstance(fallbacks, Sequence):
        raise ConfigurationError("fallbacks= is a list: of model strings, mappings, LLMConfig or chat models.")
    return tuple(link for each in fallbacks for link in _read_link(each))


def _read_link(fallback: Any) -> tuple[Link, ...]:
    if isinstance(fallback, Chain):
        return fallback.links()  # a chain in a chain: its targets, so that each has a health of its own
    if isinstance(fallback, Mapping):
        return (LLMConfig(**fallback),)
    if isinstance(fallback, (str, LLMConfig)) or wrap(fallback) is not None:
        return (fallback,)
    raise ConfigurationError(
        f"A fallback is a model string, a mapping, an LLMConfig, a chat model or a chat model with bound tools, not "
        f"{type(fallback).__name__}."
    )


def describe(links: Sequence[Link]) -> list[Any]:
    """Fallbacks as plain data without keys, for dumps and traces; a chat model object stays itself."""
    return [_plain(link) if isinstance(link, LLMConfig) else link for link in links]


def _plain(config: LLMConfig) -> dict[str, Any]:
    hidden = {"api_key", "default_headers", "fallbacks", "verify_ssl"}
    return config.model_dump(include=set(config.model_fields_set) - hidden)


def _name(link: Link) -> Any:
    """A fallback as traces name it."""
    if isinstance(link, str):
        return link
    if isinstance(link, LLMConfig):
        return _plain(link)
    foreign = wrap(link)
    return f"{foreign.provider}/{foreign.model}" if foreign else type(link).__name__


class Chain(BaseModel):
    """A primary and its fallbacks.

    Args:
        model: ``provider/model``; with ``provider`` given, the model as the provider names it (alias ``model_name``).
        fallbacks: Further targets, in order: model strings, mappings of ``LLMConfig``'s fields, ``LLMConfig``.
        provider: A known provider; not needed where ``model`` names it.
        base_url: The primary's address, where it is not the provider's own.
        api_key: The primary's key; without it, the provider's own environment variable is looked up.
        api_version: Azure's ``api-version``.
        timeout: Seconds for an attempt: to the first token of a stream, or for a whole answer (``request_timeout``).
        max_retries: Retries on each target; 0 is one attempt.
        retry_delay: Base of the back-off, in seconds.
        retry_max_delay: The longest back-off, in seconds.
        default_headers: Sent with every request to the primary.
        extra_body: Merged into the body of every request to the primary.
        verify_ssl: True, False, the path of a bundle of certificates, or an ``ssl.SSLContext``.
        allow_http: Permit plain HTTP to another machine although a key travels.
        breaker: When a failing target is left alone.
        cache_ttl: Seconds that a provider's model list stays fresh.
        deadline: Seconds for a whole call, all attempts and waits included (600); None for no limit.
        failover_on: Kinds of failure that fail over or not, if not as usual (``{"filter": True}``): see ``LLMClient``.
        skip_unconfigured: Leave out targets whose key or extra is missing, with one warning each.
        on_attempt: Called after each attempt. To be pickled it must be a function of a module, not a lambda.
    """

    # Pydantic's part is put off until the first object is made: an import should cost little more than LangChain's own.
    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=(), defer_build=True)

    model: str | None = None
    fallbacks: Annotated[
        Sequence[Fallback], PlainValidator(read_links), PlainSerializer(describe, return_type=list[Any])
    ] = ()
    provider: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None
    api_version: str | None = None
    timeout: float | None = None
    max_retries: int | None = None
    retry_delay: float | None = None
    retry_max_delay: float | None = None
    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    extra_body: Mapping[str, Any] | None = Field(default=None, repr=False)
    verify_ssl: bool | str | SSLContext = Field(default=True, exclude=True, repr=False)
    allow_http: bool = False
    breaker: BreakerConfig | None = None
    cache_ttl: float | None = None
    deadline: float | None = 600.0
    failover_on: Mapping[str, bool] | None = None
    skip_unconfigured: bool = False
    on_attempt: Callable[..., None] | None = Field(default=None, exclude=True, repr=False)

    _client: LLMClient | None = PrivateAttr(default=None)  # imported when the first is made: it is most of the core

    # Fields that are the client's own arguments, and all that it is made from, beside those of LLMConfig.
    PASSED_ON: ClassVar[frozenset[str]] = frozenset({"deadline", "failover_on", "skip_unconfigured", "on_attempt"})
    MADE_FROM: ClassVar[frozenset[str]] = PASSED_ON

    if not TYPE_CHECKING:  # type checkers know the fields, which say more than this signature does

        def __init__(self, model: Any = None, /, **fields: Any) -> None:
            """Take the model by position too, refuse unknown fields, and repeat no value that could be a key."""
            if model is not None:
                fields["model"] = model
            fields = {ALIASES.get(name, name): value for name, value in fields.items()}
            if isinstance(fields.get("api_key"), Secret):
                fields["api_key"] = SecretStr(fields["api_key"].reveal())
            elif isinstance(fields.get("api_key"), str):  # whatever else is wrong, the traceback must not show it
                fields["api_key"] = SecretStr(fields["api_key"])
            fields["fallbacks"] = covered(fields.get("fallbacks", ()))
            refuse_unknown(fields, tuple(type(self).model_fields), type(self).__name__)
            try:
                super().__init__(**fields)
            except pydantic.ValidationError as problem:
                _explain(fields, problem)

    @pydantic.model_validator(mode="after")
    def _connect_chain(self) -> Self:
        """Find mistakes now. Nothing is sent, and no connection is made."""
        self._client = self._client or self._make_client()
        return self

    @property
    def client(self) -> LLMClient:
        """The client behind, which resolves the chain."""
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _make_client(self) -> LLMClient:
        from unified_llm.client import LLMClient

        fallbacks = [link if isinstance(link, (str, LLMConfig)) else wrap(link) or link for link in self._links]
        return LLMClient(
            self._config(),
            fallbacks=fallbacks,  # type: ignore[arg-type] # the rest has been wrapped
            **{name: getattr(self, name) for name in self.PASSED_ON},
        )

    def _config(self) -> LLMConfig:
        """The primary's configuration: every field that was given a value."""
        given = {name: getattr(self, name) for name in LLMConfig.model_fields if name in type(self).model_fields}
        given.pop("fallbacks")
        return LLMConfig(**{name: value for name, value in given.items() if value is not None})

    @property
    def _links(self) -> tuple[Link, ...]:
        return read_links(self.fallbacks)

    def links(self) -> tuple[Link, ...]:
        """The whole chain, as fallbacks of another one."""
        return (self._config(), *self._links)

    @property
    def model_name(self) -> str | None:
        """``model`` under the name that much of LangChain looks for."""
        return self.model

    # Models and health

    def list_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """The models of every provider in the chain; a list is kept for ``cache_ttl`` seconds.

        Raises:
            LLMError: No provider answered.
        """
        with translated():
            return self.client.list_models(use_cache=use_cache)

    async def alist_models(self, *, use_cache: bool = True) -> list[ModelInfo]:
        """As ``list_models``."""
        with translated():
            return await self.client.alist_models(use_cache=use_cache)

    def health(self) -> list[dict[str, Any]]:
        """What this process knows of each target of the chain; see ``unified_llm.health_snapshot``."""
        from unified_llm.registry import health_snapshot

        names = {target.name for target in self.client.targets}
        return [each for each in health_snapshot() if each["target"] in names]

    # What LangChain asks of a serializable object

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """It can be dumped and loaded."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where a dump finds the class again, wherever its file is moved."""
        return ["unified_llm", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that a dump names in place of the key."""
        from unified_llm.providers import table

        named = table.named(self.model or "")
        provider = self.provider or (named[0] if named else "openai-compatible")
        variables = table.row(provider).key_env
        return {"api_key": variables[0] if variables else "UNIFIED_LLM_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Fallbacks without their keys, and what is no plain data yet."""
        attributes: dict[str, Any] = {"fallbacks": describe(self._links)} if self.fallbacks else {}
        return {**attributes, "breaker": asdict(self.breaker)} if self.breaker else attributes

    def _identity(self) -> dict[str, Any]:
        """What tells this chain from another: for traces and cache keys, so without keys and without breakers."""
        names = (*LLMConfig.model_fields, *sorted(self.MADE_FROM))
        hidden = {"api_key", "default_headers", "fallbacks", "verify_ssl", "on_attempt"}
        known = [name for name in names if name in type(self).model_fields and name not in hidden]
        identity = {name: value for name in known if (value := getattr(self, name)) not in (None, (), [])}
        return {**identity, "fallbacks": [_name(link) for link in self._links]}

    # Copies

    def __setattr__(self, name: str, value: Any) -> None:
        """Let the change of a field take effect with the next call."""
        name = ALIASES.get(name, name)
        if name == "fallbacks":
            value = read_links(value)
        elif name == "api_key" and isinstance(value, str):
            value = SecretStr(value)
        super().__setattr__(name, value)
        if name in type(self).model_fields:
            vars(self).pop("_serialized", None)  # LangChain's dump of the object, which nobody else would renew
            if name in LLMConfig.model_fields or name in self.MADE_FROM:
                self._client = None
                self._changed()

    def _changed(self) -> None:
        """A field that the client is made from has been set."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, which shares connections and health with the original.

        Raises:
            ConfigurationError: ``update`` has a field that is unknown.
        """
        refuse_unknown(update or {}, (*type(self).model_fields, *ALIASES), type(self).__name__)
        copied = super().model_copy(deep=deep)
        vars(copied).pop("_serialized", None)
        if isinstance(metadata := getattr(copied, "metadata", None), dict):
            vars(copied)["metadata"] = dict(metadata)
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy of the settings; connections, health and other models are shared."""
        memo = {} if memo is None else memo
        for shared in (self._client, *(getattr(self, name, None) for name in _SHARED)):
            if shared is not None:
                memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings without keys: the copy looks in its own environment."""
        state = super().__getstate__()
        fields = {name: value for name, value in state["__dict__"].items() if name != "_serialized"}
        fields["api_key"] = None
        if isinstance(fields["verify_ssl"], SSLContext):
            fields["verify_ssl"] = True
        if headers := fields["default_headers"]:
            fields["default_headers"] = {name: headers[name] for name in headers if not may_be_a_key(name)}
        private = {**(state["__pydantic_private__"] or {}), "_client": None}
        return {**state, "__dict__": fields, "__pydantic_private__": private}


def _explain(fields: Mapping[str, Any], problem: pydantic.ValidationError) -> NoReturn:
    """Say what is wrong without Pydantic's echo of the value.

    Raises:
        ConfigurationError: Always.
    """
    LLMConfig(**{name: value for name, value in fields.items() if name in LLMConfig.model_fields and value is not None})
    names = sorted({str(error["loc"][0]) for error in problem.errors(include_input=False) if error["loc"]})
    raise ConfigurationError(f"{', '.join(names) or 'The configuration'}: a value of the wrong type.") from None
