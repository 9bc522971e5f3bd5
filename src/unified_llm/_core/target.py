"""``Target``: a model at a provider, with everything that the policy and the codecs need.

The client makes it from the user's configuration and the provider table; it is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

from unified_llm._core.account import ANONYMOUS, identify
from unified_llm._core.api_key import NoKey, Secret
from unified_llm._core.base_url import split_origin
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.features import CHAT, Feature, FeaturePair, Output
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.proxy import Proxy
from unified_llm._core.quirks import Quirks
from unified_llm._core.redaction import has_key
from unified_llm._core.seconds import FOREVER, SecondsError, read_seconds
from unified_llm.exceptions import ConfigurationError

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Settings of a circuit breaker: when it opens, and for how long.

    Attributes:
        failures: So many failures in a row open the breaker (a timeout counts twice).
        window: The share of failures is taken over this many seconds.
        cooldown: Seconds until a probe is let through; each failed probe doubles it.
        cooldown_max: The longest cooldown, in seconds.

    Raises:
        ConfigurationError: A value is no positive number, or ``cooldown_max`` is smaller than ``cooldown``.
    """

    failures: int = 5
    window: float = 60.0
    cooldown: float = 30.0
    cooldown_max: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        failures = self.failures
        if isinstance(failures, bool) or not isinstance(failures, (int, float)) or not 0 < failures < FOREVER:
            raise ConfigurationError("BreakerConfig.failures must be a number greater than 0.")
        for name in ("window", "cooldown", "cooldown_max"):
            try:
                read_seconds(getattr(self, name), or_none=False)
            except SecondsError as wrong:
                raise ConfigurationError(f"BreakerConfig.{name} {wrong}.") from None
        if self.cooldown_max < self.cooldown:
            raise ConfigurationError("BreakerConfig.cooldown_max must not be smaller than cooldown.")


BreakerConfig.__module__ = "unified_llm"  # where users import it from


@dataclass(frozen=True, slots=True)
class Timing:
    """Limits of one attempt, in seconds. Which of them holds depends on the moment: see ``limit``.

    Attributes:
        connect: For each step of making a connection: the look-up, TCP, a proxy's tunnel, the TLS handshake.
        first_token: From the request to the first chunk of a stream, while another target is ready.
        last_first_token: The same while no other is.
        whole: To a whole response, while another target is ready; infinite for what is left of the deadline, which is
            what the last target always has.
        cold: At least this much, to a first chunk and to a whole response, while another target is ready and the model
            may have to be loaded: it has not responded for some minutes.
        gap: Between two chunks.
        fixed: The user chose ``timeout``: ``first_token`` and ``whole`` hold at any moment.
        of_call: The limits are those of one call, not of the configuration.
        streams: False if the response to this request comes as a whole even where it is streamed.
    """

    connect: float = 5.0
    first_token: float = 20.0
    last_first_token: float = 30.0
    whole: float = 60.0
    cold: float = 0.0
    gap: float = 60.0
    fixed: bool = False
    of_call: bool = False
    streams: bool = True

    def limit(self, *, streaming: bool, last: bool = False, cold: bool = False) -> float:
        """Return the seconds that an attempt may take, to its first chunk or for its whole response.

        Args:
            streaming: The response is streamed.
            last: No other target of the call is ready.
            cold: The model has not responded lately.
        """
        by_chunks = streaming and self.streams
        usual = self.first_token if by_chunks else self.whole
        if self.fixed:
            return usual
        if last:
            return self.last_first_token if by_chunks else FOREVER
        return max(usual, self.cold) if cold else usual

    def breaker_limit(self, *, streaming: bool) -> float:
        """Return the seconds by which a circuit breaker tells callers apart: the least that an attempt is given."""
        usual = self.first_token if streaming and self.streams else self.whole
        return usual if usual < FOREVER else self.first_token


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Limits of the retries on one target: how many, and how soon.

    Attributes:
        limit: The user's own number of retries after the first attempt, which no cap, budget or breaker lowers;
            None is the policy's (one while another target is ready, else two).
        delay: Base of the exponential backoff after throttling, in seconds; a transient error starts at a quarter.
        delay_max: The longest backoff, in seconds.
        factor: Growth of the backoff from one retry to the next.
    """

    limit: int | None = None
    delay: float = 1.0
    delay_max: float = 10.0
    factor: float = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider.

    Attributes:
        provider: A name of the provider table, or of a wrapped model.
        model: As the provider names it.
        format: How to talk to it: a name of ``_formats.codecs.FORMATS``, ``mlx``, ``wrapped`` (a framework's own
            model object) or ``user`` (an object given to ``register_provider``).
        base_url: Without a slash at the end; empty where there is no network.
        key: Its key, or None where it needs none or a callable returns it.
        headers: Sent with every request.
        extra_body: Merged into every request's body.
        query: Names and values that are added to the query of every request's address.
        features: What it can do.
        exclusive: Pairs of features that it cannot combine in one request.
        outputs: What its model makes (text, images, vectors ...); empty where that is not known.
        quirks: Where it differs from its format.
        context_window: Tokens, where known.
        window_declared: The user declared ``context_window`` for this target, or the number that its server is sent.
        max_output: The most tokens that its answer can have, where known.
        embeds_at_once: The most texts that one embedding request to it can have.
        max_response_bytes: The largest response that is accepted, where that is not the default of ``response_limits``.
        reasoning: It is known to think before it answers.
        names_have_parts: The slashes in its models' names separate parts (``org/name``), which paths keep apart.
        api_version: The version of its API, where the user chooses one (Azure).
        timing: Limits of an attempt.
        retry: Retries.
        breaker: When its circuit breaker opens.
        rpm: The most requests that it gets within a minute; None for no limit.
        tpm: The most tokens within a minute; None for no limit.
        resend: A request is sent again where a kept connection was closed before any byte of a response.
        last_resort: It does not lower what the chain advertises, and is skipped for what it cannot do.
        demo: It is the package's demo model, which answers a short list of questions and nothing else.
        verify: Certificates: True, False, the path of a bundle, ``"system"``, or an ``ssl.SSLContext``.
        proxy: Its proxy; None for that of the environment, False for none.
        client_certificate: What it is shown where it demands a certificate.
        vendor_host: The host of ``base_url`` is the provider's own, where one API key is one account.
        space: The declared vector space, for embeddings.
        vector_length: The length of its vectors, where its model has only one.
        label: The user's own name for it.
        suffix: What tells it apart from other targets of its name in the chain: its host, a number.
        mlx: How its model is loaded and run, where that is in this process.
        download: A model of the Hugging Face hub that is not here may be downloaded.
        memory_limit: The bytes that models in this process may take when this one is loaded; None for the default.
        standby: Its model is loaded in the background when the primary is in trouble (``warm``).
        account_name: The user's own name for the account, in place of its key, headers and fields of bodies.
        key_callable: The callable that returns its key, which an exchange calls: codecs see a target with the key.
        tokens_as_bearer: Signed tokens go as ``Authorization: Bearer`` even where a key has a header of its own.
        no_key: Why it has no API key, for the message where its server wants one.
        instance: The object that answers, for the formats ``wrapped`` and ``user``.
        defaults: Request fields that hold unless the call sets them (temperature, max_tokens ...).
        own_name: Its label, or ``provider/model`` (computed, as what follows): others of the chain may have the same.
        name: Its own name, and what tells it apart in the chain: for logs, attempts, health and errors.
        origin: The origin of ``base_url``; empty where there is no network.
        account: Who pays: a digest of the account's name, or of the key and of what else identifies the caller
            (headers, fields of the body, the client certificate), and the origin unless ``vendor_host``: a dummy key
            such as ``EMPTY`` is another account at each server.
        health_key: The key of its breaker and its retry budget; a proxy of its own is a part of it.
        credentials_key: The key of cooldowns for a refused API key or an exhausted quota: provider and account, any
            model. Without a key, those of one model at one address.
        limit_key: The key of rate limits and their cooldowns, which are per account, model and region.
    """

    provider: str
    model: str
    format: str
    base_url: str = ""
    key: Secret | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    features: frozenset[Feature] = CHAT
    exclusive: frozenset[FeaturePair] = frozenset()
    outputs: frozenset[Output] = frozenset()
    quirks: Quirks = field(default_factory=Quirks)
    context_window: int | None = None
    window_declared: bool = False
    max_output: int | None = None
    embeds_at_once: int = 2048
    max_response_bytes: int | None = None
    reasoning: bool = False
    names_have_parts: bool = False
    api_version: str | None = None
    timing: Timing = Timing()
    retry: RetryLimits = RetryLimits()
    breaker: BreakerConfig = BreakerConfig()
    rpm: int | None = None
    tpm: int | None = None
    resend: bool = True
    last_resort: bool = False
    demo: bool = False
    verify: Any = field(default=True, repr=False)
    proxy: Proxy | Literal[False] | None = None
    client_certificate: ClientCertificate | None = None
    vendor_host: bool = False
    space: str | None = None
    vector_length: int | None = None
    label: str | None = None
    suffix: str = ""
    mlx: MLXConfig = field(default_factory=MLXConfig)
    download: bool = False
    memory_limit: int | None = None
    standby: Literal["warm"] | None = None
    account_name: str | None = None
    key_callable: KeyCallable | None = None
    tokens_as_bearer: bool = False
    no_key: NoKey | None = field(default=None, repr=False, compare=False)
    instance: Any = field(default=None, repr=False, compare=False)
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    own_name: str = field(init=False, repr=False, compare=False)
    name: str = field(init=False, repr=False, compare=False)
    origin: str = field(init=False, repr=False, compare=False)
    account: Hashable = field(init=False, repr=False, compare=False)
    health_key: Hashable = field(init=False, repr=False, compare=False)
    credentials_key: Hashable = field(init=False, repr=False, compare=False)
    limit_key: Hashable = field(init=False, repr=False, compare=False)

    @property
    def sends_no_key(self) -> bool:
        """Its requests have no API key, although its server may want one."""
        return self.no_key is not None and not has_key(self.headers, self.extra_body)

    @property
    def loads_model(self) -> bool:
        """Its requests may have to wait for a model that this process loads, or has its server load."""
        return self.format == "mlx" or self.standby is not None

    @property
    def has_dated_api(self) -> bool:
        """The version of its API is a date: that of Azure's older one, which ``preview`` and ``v1`` are not."""
        return _DATE.match(self.api_version or "") is not None

    def with_key(self, key: Secret) -> Self:
        """Return the target with the key that its callable returned; the account stays the same."""
        if self.tokens_as_bearer and key.is_token:
            return replace(self, key=key, quirks=replace(self.quirks, key_header=""))
        return replace(self, key=key)

    def __post_init__(self) -> None:
        """Compute the names, and the keys of the health registry: every call looks them up several times."""
        own_name = self.label
        if own_name is None:
            own_name = f"{self.provider}/{self.model}" if self.model else self.provider
        origin, path = split_origin(self.base_url)
        number = self.instance.number if self.instance is not None else None
        key = self.key_callable or self.key
        identity = identify(key, self.headers, self.extra_body, self.client_certificate, name=self.account_name)
        where = None if self.vendor_host and identity != ANONYMOUS else origin
        # A proxy of its own may fail where others reach the same server.
        via = f" via {self.proxy.address}" if self.proxy else ""
        health_key = (self.provider, origin + path + via, self.model, number)
        in_process = () if origin else (number,)
        computed: dict[str, Hashable] = {
            "own_name": own_name,
            "name": own_name + self.suffix,
            "origin": origin,
            "account": (identity, where),
            "health_key": health_key,
            # What an anonymous caller may use differs between the models of one server.
            "credentials_key": (self.provider, identity, where)
            if identity != ANONYMOUS
            else (self.provider, identity, *health_key[1:]),
            "limit_key": (self.provider, identity, origin, self.model, *in_process),
        }
        for name, value in computed.items():
            object.__setattr__(self, name, value)
