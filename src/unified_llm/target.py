"""A target: one place to ask, with everything that policy and codecs need to know of it.

The client resolves it once from the user's configuration and the provider table; nothing below changes it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from unified_llm.exceptions import ConfigurationError
from unified_llm.outcome import FailureKind
from unified_llm.secret import Secret

Feature = Literal[
    "tools", "tool_choice", "json_object", "json_schema", "images", "image_urls", "audio", "files", "streaming",
    "embeddings", "models", "model_info", "count_tokens", "rerank", "as_text", "n",
]  # fmt: skip
CHAT: frozenset[Feature] = frozenset({"streaming", "models"})


class Quirks(TypedDict, total=False):
    """Where an OpenAI-compatible provider differs. The set is closed: what needs a condition is a format of its own.

    rename: Request fields under another name (``{"max_tokens": "max_completion_tokens"}``); ``messages.reasoning``
        names the field in which it wants the reasoning of earlier tool turns back.
    drop: Request fields that it refuses; ``messages.name`` leaves out speakers' names, ``tool_choice.function`` turns
        the choice of one tool into ``required`` with that tool alone; ``tool_choice.none`` leaves out the tools where
        none may be called, ``top_p.with_temperature`` the one where there is the other.
    key_header: The header that carries the key, in place of ``Authorization: Bearer``.
    codes: What error codes of its own mean, and HTTP statuses ("412") that mean something else there.
    context_status: The HTTP status that means a context overflow, where it is not 400 (Together: 403).
    filter_status: The HTTP status that means moderation (OpenRouter: 403).
    reasoning_apart: Reasoning tokens are not included in its completion tokens (xAI).
    tool_id_length: The exact length of a tool call's identifier (Mistral: 9 letters and digits); 0 leaves them as they
        are, where others would be shortened to OpenAI's limit of 40.
    usage_always: It refuses ``stream_options`` and sends usage without being asked.
    models_path: The path of its model list, where it is not ``/models``; empty where it has none.
    models_whole: It describes a single model in that list alone.
    text_path: The path of text completion, where it is not ``/completions``.
    send: Fields that every chat request has, unless the user says otherwise.
    drop_reasoning: Request fields that it refuses while it reasons, which is unless ``reasoning_effort`` is ``none``.
    reasons_unasked: It reasons if ``reasoning_effort`` is not sent at all.
    thinking: It has no effort ``none``, but a field ``thinking`` that turns reasoning off and on: with an effort
        besides (``level``), or alone (``switch``).
    efforts: Other names for values of ``reasoning_effort``.
    reasoning_filler: What stands for reasoning that is wanted back (see ``rename``) and that a turn does not have.
    reasoning_details: It wants the parts of its reasoning back as they came, in ``reasoning_details``.
    logprobs_count: Its ``logprobs`` is the number of alternatives (Together).
    thinks: How a model of Anthropic's is told how hard to think: by a ``budget`` of tokens, or by an effort. Of the
        latter, one thinks when ``asked``, and others unless they are told ``disabled`` or ``between_tools``, or
        ``always``. Without it both are sent, for servers that have models of many makers.
    closed_schemas: A JSON schema must list every property that an object may have.
    turns: ``alternating``: system messages come first, then the user and the model take turns (Perplexity);
        ``closed``: the model has the word after the results of tools, before the user (Mistral).
    """

    rename: Mapping[str, str]
    drop: frozenset[str]
    key_header: str
    codes: Mapping[str, FailureKind]
    context_status: int
    filter_status: int
    reasoning_apart: bool
    tool_id_length: int
    usage_always: bool
    models_path: str
    models_whole: bool
    text_path: str
    send: Mapping[str, Any]
    drop_reasoning: frozenset[str]
    reasons_unasked: bool
    thinking: Literal["level", "switch"]
    efforts: Mapping[str, str]
    reasoning_filler: str
    reasoning_details: bool
    logprobs_count: bool
    thinks: Literal["budget", "asked", "disabled", "between_tools", "always"]
    closed_schemas: bool
    turns: Literal["alternating", "closed"]


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """When a failing target is left alone, and for how long.

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
        """Refuse what makes no sense."""
        for name in ("failures", "window", "cooldown", "cooldown_max"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise ConfigurationError(f"BreakerConfig.{name} must be a number greater than 0.")
        if self.cooldown_max < self.cooldown:
            raise ConfigurationError("BreakerConfig.cooldown_max must not be smaller than cooldown.")


@dataclass(frozen=True, slots=True)
class Timing:
    """Limits of one attempt, in seconds.

    Attributes:
        connect: For a connection.
        first_token: From the request to the first chunk of a stream.
        gap: Between two chunks.
        whole: For a whole answer, while another target remains; alone it has what is left of the deadline.
        fixed: The user chose ``timeout``: ``whole`` holds even when no other target remains.
    """

    connect: float = 5.0
    first_token: float = 30.0
    gap: float = 60.0
    whole: float = 60.0
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how soon one target is asked again.

    Attributes:
        limit: Retries after the first attempt; None is the policy's own (one while another target is ready, else two).
        delay: Base of the back-off after throttling, in seconds; a blip starts at a quarter of it.
        delay_max: The longest back-off, in seconds.
        factor: Growth of the back-off from one retry to the next.
    """

    limit: int | None = None
    delay: float = 1.0
    delay_max: float = 10.0
    factor: float = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """One place to ask.

    Attributes:
        provider: A name of the provider table, or of a framework's own model.
        model: As the provider names it.
        wire: How to talk to it: the name of a codec, ``mlx``, or ``foreign``.
        base_url: Without a slash at the end; empty where there is no network.
        key: Its key, or None where it needs none.
        headers: Sent with every request.
        extra_body: Merged into every request's body.
        features: What it can do.
        quirks: Where it differs from its format.
        context_window: Tokens, where known.
        max_output: The most tokens that its answer can have, where known.
        embeds_at_once: The most texts that one embedding request to it can have.
        reasoning: It is known to think before it answers.
        api_version: The version of its API, where the user chooses one (Azure).
        timing: Limits of an attempt.
        retry: Retries.
        breaker: When to leave it alone.
        last_resort: It does not lower what the chain advertises, and is skipped for what it cannot do.
        verify: Certificates: True, False, the path of a bundle, or an ``ssl.SSLContext``.
        space: The declared vector space, for embeddings.
        foreign: A framework's own model object, for ``wire="foreign"``.
        defaults: Request fields that hold unless the call sets them (temperature, max_tokens ...).
    """

    provider: str
    model: str
    wire: str
    base_url: str = ""
    key: Secret | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    features: frozenset[Feature] = CHAT
    quirks: Quirks = field(default_factory=Quirks)
    context_window: int | None = None
    max_output: int | None = None
    embeds_at_once: int = 2048
    reasoning: bool = False
    api_version: str | None = None
    timing: Timing = Timing()
    retry: Retry = Retry()
    breaker: BreakerConfig = BreakerConfig()
    last_resort: bool = False
    verify: Any = field(default=True, repr=False)
    space: str | None = None
    foreign: Any = field(default=None, repr=False, compare=False)
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """``provider/model``, for people."""
        return f"{self.provider}/{self.model}" if self.model else self.provider

    @property
    def health_key(self) -> Hashable:
        """What a breaker and a retry budget belong to."""
        return (self.provider, self.base_url, self.model, self.foreign.number if self.foreign is not None else None)

    @property
    def credentials_key(self) -> Hashable:
        """What a refused key or an empty purse belongs to: the provider and the key, whatever the model."""
        holder = self.key.fingerprint if self.key else self.health_key
        return (self.provider, holder)

    @property
    def limit_key(self) -> Hashable:
        """What a rate limit belongs to: the key and the model."""
        return (*self.credentials_key, self.model)  # type: ignore[misc] # a tuple, said more widely
