"""What comes out: answers, chunks, vectors, rankings, descriptions of models. All of it is frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from unified_llm.types.messages import ProviderState, ToolCall, ToolCallChunk
from unified_llm.types.records import Attempt, Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


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
        provider_state: Opaque state of its provider, to be sent back with this response in the history.
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
    provider_state: ProviderState | None = None
    request_id: str | None = None
    latency_ms: float = 0.0
    retry_count: int = 0
    used_fallback: bool = False
    fallback_provider: str | None = None
    attempts: tuple[Attempt, ...] = ()
    raw: Any = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the attempts, and nothing of the answer."""
        from unified_llm._lib import attempt_table

        return attempt_table.response(self)


@dataclass(frozen=True, slots=True)
class LLMChunk:
    """A piece of an answer; ``content``, ``reasoning``, ``citations`` and ``logprobs`` are only what is new.

    ``finish_reason``, ``usage``, ``response_id``, ``request_id``, ``model``, ``provider``, ``provider_state``,
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
    provider_state: ProviderState | None = None
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


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document of a ranking: its place in the request, and its relevance, from 0 to 1 with most models."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """A ranking, the best first. Scores of two models cannot be compared."""

    results: tuple[RankedDocument, ...]
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()
