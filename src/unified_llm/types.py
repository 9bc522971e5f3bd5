"""What goes in and what comes out: requests, answers and their parts.

The same shapes serve every provider and every surface. Everything here is frozen, decides nothing, and keeps
prompts and answers out of its ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from unified_llm.messages import Message, ResponseFormat, Sealed, Tool, ToolCall, ToolCallChunk

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One question to a chat model.

    A field left at None is not sent, so the provider's own default holds.

    Attributes:
        messages: The conversation, oldest first.
        model: Replaces the primary for this call (``provider/model``, or a model of the primary's provider).
        temperature: Randomness, commonly 0 to 2.
        max_tokens: The most tokens to generate.
        top_p: Nucleus sampling, 0 to 1.
        stop: Texts at which to stop, not part of the answer.
        seed: For repeatable sampling where the provider supports it.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        tools: What the model may call.
        tool_choice: ``auto``, ``none``, ``required``, or the name of one tool.
        parallel_tool_calls: Whether several calls may come in one answer.
        response_format: Ask for JSON.
        reasoning_effort: ``none``, ``minimal``, ``low``, ``medium``, ``high`` ..., as the provider names it.
        logprobs: Return log probabilities.
        top_logprobs: How many alternatives for each token.
        n: How many answers; those after the first are in ``alternatives``. Whole answers only.
        as_text: Continue the text of the last message, without a chat template (text completion).
        extra_body: Further fields of the request's body, sent as they are.
        stream: Set by the client: whether the answer comes in chunks.
        native: The framework's own form of this request, for a target that is itself a model of that framework.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    as_text: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    stream: bool = False
    native: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to turn into vectors, answered in the same order.

    Attributes:
        texts: At least one text.
        model: Replaces the primary for this call.
        dimensions: The length of the vectors, where the model can choose.
        purpose: ``query`` or ``document``, for providers that embed them differently.
        extra_body: Further fields of the request's body, sent as they are.
    """

    texts: tuple[str, ...] = field(repr=False)
    model: str | None = None
    dimensions: int | None = None
    purpose: Literal["query", "document"] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class ModelsRequest:
    """Ask a provider which models it has; ``cursor`` names the next page."""

    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens spent, counted in one way whoever answered.

    ``prompt_tokens`` includes cached ones, ``completion_tokens`` includes reasoning.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    audio_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one target in one call.

    Attributes:
        target: ``provider/model``.
        outcome: ``ok``, the kind of failure, ``skipped`` or ``cancelled``.
        status: The HTTP status, if one came.
        seconds: How long it took, until its outcome was known.
        waited: Seconds slept before it (back-off, Retry-After).
        first_token: Seconds until the first chunk of a stream, or None.
        request_id: The provider's identifier of this exchange.
        reason: Why it was skipped, the provider's error code, or ``hedged``: another attempt was faster.
        maybe_billed: The provider may charge for it although nothing came of it.
        retry: The same target had been asked before in the same call.
    """

    target: str
    outcome: str
    status: int | None = None
    seconds: float = 0.0
    waited: float = 0.0
    first_token: float | None = None
    request_id: str | None = None
    reason: str | None = None
    maybe_billed: bool = False
    retry: bool = False

    def as_dict(self) -> dict[str, Any]:
        """A plain dict for metadata and JSON; fields that say nothing are left out."""
        full = {each.name: getattr(self, each.name) for each in fields(self)}
        always = ("target", "outcome", "status", "seconds")
        return {name: value for name, value in full.items() if name in always or value}


@dataclass(frozen=True, slots=True)
class Citation:
    """Where something in an answer comes from.

    Attributes:
        url: The page, where there is one.
        title: Its title, or that of the document.
        text: The words cited.
        start: Where the sentence that rests on it begins in ``content``, in characters, where the provider says so.
        end: Where it ends.
    """

    url: str | None = None
    title: str | None = None
    text: str | None = field(default=None, repr=False)
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer, its log probability, and the likeliest tokens in its place, with theirs."""

    token: str = field(repr=False)
    logprob: float
    top: tuple[tuple[str, float], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class LLMResponse:
    """A whole answer.

    Attributes:
        content: The text.
        model: The model that answered, as its provider names it.
        provider: The provider that answered.
        finish_reason: ``stop``, ``length``, ``tool_calls`` or ``content_filter``.
        response_id: The provider's identifier of the answer.
        usage: Tokens spent by the attempt that answered.
        tool_calls: What the model wants to call.
        reasoning: Its visible reasoning, if any.
        refusal: The provider's refusal text, if the model declined.
        citations: What it rests on, where the provider says so.
        logprobs: One for each token, if they were asked for.
        alternatives: The other answers, where ``n`` asked for several.
        sealed: What its provider alone can read, and wants back with this answer in the history.
        request_id: The provider's identifier of the exchange, for its support.
        latency_ms: From the call to the answer, all attempts and waits included.
        retry_count: Attempts beyond the first, over all targets.
        used_fallback: Whether another target than the first answered.
        fallback_provider: The provider of that other target.
        attempts: Every attempt in order.
        raw: The provider's own body.
    """

    content: str = field(default="", repr=False)
    model: str = ""
    provider: str = ""
    finish_reason: FinishReason = "stop"
    response_id: str | None = None
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = field(default=None, repr=False)
    refusal: str | None = field(default=None, repr=False)
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    alternatives: tuple[LLMResponse, ...] = ()
    sealed: Sealed | None = None
    request_id: str | None = None
    latency_ms: float = 0.0
    retry_count: int = 0
    used_fallback: bool = False
    fallback_provider: str | None = None
    attempts: tuple[Attempt, ...] = ()
    raw: Any = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the attempts, and nothing of the answer."""
        from unified_llm import notebook

        return notebook.response(self)


@dataclass(frozen=True, slots=True)
class LLMChunk:
    """A piece of an answer; ``content``, ``reasoning``, ``citations`` and ``logprobs`` are only what is new.

    ``finish_reason``, ``usage``, ``response_id``, ``request_id``, ``model``, ``provider``, ``sealed``,
    ``used_fallback`` and ``attempts`` come on the last chunk alone.
    """

    content: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    tool_calls: tuple[ToolCallChunk, ...] = ()
    refusal: str = field(default="", repr=False)
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    response_id: str | None = None
    request_id: str | None = None
    sealed: Sealed | None = None
    model: str | None = None
    provider: str | None = None
    used_fallback: bool = False
    attempts: tuple[Attempt, ...] = ()
    raw: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """Vectors in the order of the texts, all of one length."""

    vectors: list[list[float]] = field(repr=False)
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider offers.

    Attributes:
        id: The provider's name for it.
        provider: Who offers it; ``provider/id`` is a model string.
        owned_by: Its maker, where the provider says so.
        created: Unix time in seconds, where the provider says so.
        context_window: Tokens, where the provider says so.
        max_output: The most tokens of an answer, where the provider says so.
        features: What it can do (``tools``, ``images``, ``json_schema`` ...), where the provider says so; else None.
        parameters: Request fields that it takes, where the provider says so; else None.
    """

    id: str
    provider: str
    owned_by: str | None = None
    created: int | None = None
    context_window: int | None = None
    max_output: int | None = None
    features: frozenset[str] | None = None
    parameters: frozenset[str] | None = None

    @property
    def model_string(self) -> str:
        """What to pass as ``model=``."""
        return f"{self.provider}/{self.id}"
