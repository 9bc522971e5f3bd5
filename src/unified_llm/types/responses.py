"""Whole responses, chunks, vectors, rankings, descriptions of models. All classes are frozen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from unified_llm._lib.other_names import HintsAtOtherNames
from unified_llm._lib.short_repr import count, served_by, short_repr, tokens
from unified_llm.types.messages import ProviderState, ToolCall, ToolCallChunk
from unified_llm.types.records import Attempt, Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class FurtherResponse:
    """Base of responses of media and further endpoints, which have the fields that are set at the end of their call.

    They are ``model``, ``provider``, ``request_id``, ``used_fallback`` and ``attempts``.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """The source of a statement in a response.

    Attributes:
        url: The address of the page, if it is one.
        title: The title of the page or document.
        text: The quoted text.
        start: The position in ``content``, in characters, at which the supported sentence begins, if the provider
            reports it.
        end: The position at which that sentence ends.
    """

    url: str | None = None
    title: str | None = None
    text: str | None = field(default=None, repr=False)
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the response, its log probability, and the likeliest alternatives with theirs."""

    token: str = field(repr=False)
    logprob: float
    top: tuple[tuple[str, float], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class LLMResponse(HintsAtOtherNames):
    """A whole response. ``str(response)`` is its text; its repr has no text.

    Attributes:
        content: The text.
        model: The model that served the request, as its provider names it.
        provider: The provider that served the request.
        finish_reason: ``stop``, ``length``, ``tool_calls`` or ``content_filter``.
        response_id: The provider's identifier of the response.
        latency_ms: Milliseconds from the call to the response, including all attempts and waits.
        usage: Tokens used by the attempt that succeeded.
        tool_calls: The calls that the model requests.
        reasoning: The model's visible reasoning, if any.
        refusal: The provider's refusal text, if the model declined.
        citations: The sources of the response, if the provider reports them.
        logprobs: One entry for each token, if the request asked for them.
        alternatives: The other responses, if ``n`` requested several.
        provider_state: Opaque state of the provider, to be sent back with this response in the history.
        request_id: The provider's identifier of the request, for its support.
        retry_count: Attempts beyond the first, over all targets.
        used_fallback: Whether another target than the first served the request.
        fallback_provider: The provider of that other target.
        attempts: Every attempt in order.
        raw: The body of the provider's response.
    """

    OTHER_NAMES: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("text", "message", "choices", "output", "output_text", "completion"), ".content"),
        "served_by": ".provider and .model", "id": ".response_id", "stop_reason": ".finish_reason",
        "response_metadata": ".attempts and .usage", "usage_metadata": ".usage",
        "additional_kwargs": ".raw",
    }  # fmt: skip

    content: str = field(default="", repr=False)
    model: str = ""
    provider: str = ""
    finish_reason: FinishReason = "stop"
    response_id: str | None = None
    latency_ms: float = 0.0
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = field(default=None, repr=False)
    refusal: str | None = field(default=None, repr=False)
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    alternatives: "tuple[LLMResponse, ...]" = ()
    provider_state: ProviderState | None = None
    request_id: str | None = None
    retry_count: int = 0
    used_fallback: bool = False
    fallback_provider: str | None = None
    attempts: tuple[Attempt, ...] = ()
    raw: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the text; without text, the refusal, or the names of the tools called."""
        return _shown(self)

    def __repr__(self) -> str:
        """Return what served the request, how it ended, and the tokens used; no text."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield self.finish_reason
        yield tokens(_token_counts(self.usage))
        yield count(len(self.tool_calls), "tool call")
        yield "used a fallback" if self.used_fallback else ""
        yield count(len(self.attempts), "attempt")

    def _repr_html_(self) -> str:
        """Return the text, and a table of the attempts, as HTML for notebooks."""
        from unified_llm._lib import attempt_table

        return attempt_table.render_response(
            _shown(self),
            served_by(self.provider, self.model),
            [attempt.as_row() for attempt in self.attempts],
            used_fallback=self.used_fallback,
            latency_ms=self.latency_ms,
            usage=_token_counts(self.usage),
            finish_reason=self.finish_reason,
            tool_calls=len(self.tool_calls),
        )


# The only annotation that names its own class: evaluated here, where the name is known.
LLMResponse.__annotations__["alternatives"] = tuple[LLMResponse, ...]


@dataclass(frozen=True, slots=True)
class LLMChunk(HintsAtOtherNames):
    """A chunk of a streamed response; ``content``, ``reasoning``, ``citations`` and ``logprobs`` are the new part only.

    ``finish_reason``, ``usage``, ``response_id``, ``request_id``, ``model``, ``provider``, ``provider_state``,
    ``used_fallback`` and ``attempts`` are set on the last chunk only. ``str(chunk)`` is the text; the repr has no text.
    """

    OTHER_NAMES: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("text", "delta", "choices", "message", "output"), ".content"),
        "id": ".response_id", "stop_reason": ".finish_reason", "usage_metadata": ".usage",
    }  # fmt: skip

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

    def __str__(self) -> str:
        """Return the new text; without text, the names of the tools whose calls begin here."""
        return _shown(self)

    def __repr__(self) -> str:
        """Return what is in the chunk, and on the last one what served the request and how it ended; no text."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield self.finish_reason or ""
        yield tokens(_token_counts(self.usage))
        yield count(len(self.content), "character")
        yield count(len(self.reasoning), "character") + " of reasoning" if self.reasoning else ""
        yield count(len(self.tool_calls), "fragment") + " of tool calls" if self.tool_calls else ""
        yield count(len(self.citations), "citation")
        yield count(len(self.attempts), "attempt")


def _shown(response: LLMResponse | LLMChunk) -> str:
    """Return what users see of a response: its text; without text, the refusal, or the names of the tools called."""
    called = ", ".join(call.name for call in response.tool_calls if call.name)
    return str(response.content or response.refusal or called)


def _token_counts(usage: Usage | None) -> tuple[int, int] | None:
    return (usage.prompt_tokens, usage.completion_tokens) if usage else None


@dataclass(frozen=True, slots=True)
class EmbeddingResponse(HintsAtOtherNames):
    """Vectors in the order of the texts, all of one length.

    Attributes:
        vectors: One vector for each text.
        model: The model that embedded them, as its provider names it.
        provider: The provider that embedded them.
        usage: Tokens used by all requests.
        attempts: Every attempt in order.
    """

    OTHER_NAMES: ClassVar[Mapping[str, str]] = dict.fromkeys(("data", "embedding", "embeddings", "vector"), ".vectors")

    vectors: list[list[float]] = field(repr=False)
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        """Return the model, the number of vectors and their length, and the tokens used."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        length = f" of {len(self.vectors[0])}" if self.vectors else ""
        yield served_by(self.provider, self.model)
        yield f"{count(len(self.vectors), 'vector') or 'no vectors'}{length}"
        yield count(self.usage.prompt_tokens, "token") if self.usage else ""
        yield count(len(self.attempts), "attempt")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of a model that a provider offers.

    Attributes:
        id: The provider's name for it.
        provider: The provider that offers it; ``provider/id`` is a model string.
        object: ``model``, as in OpenAI's lists.
        created: Unix time in seconds, if the provider reports it.
        owned_by: The organisation that made it, if the provider reports it.
        context_length: Another name for ``context_window``.
        description: What the provider says of it, if it says anything.
        context_window: Size in tokens, if the provider reports it. Where both names are given, this one counts.
        max_output: The most tokens of a response, if that is reported or known.
        features: Supported features (``tools``, ``images``, ``json_schema`` ...), if the provider reports them; else
            None.
        parameters: Supported request fields, if the provider reports them; else None.
        family: The family that its architecture belongs to (``llama``, ``qwen3``), if the provider reports it.
        size: The bytes of its weights, of a model on this machine or on a server that reports it.
        quantization: How its weights are quantized (``4-bit, group size 64``, ``Q4_K_M``), if that is reported.
        output_types: What it makes (``text``, ``image``, ``embeddings`` ...), if that is reported or known.
        stale: The list is older than ``cache_ttl``: it could not be requested again, or that takes long.
    """

    id: str
    provider: str
    object: str = "model"
    created: int | None = None
    owned_by: str | None = None
    context_length: int | None = field(default=None, repr=False)
    description: str | None = field(default=None, repr=False)
    context_window: int | None = None
    max_output: int | None = field(default=None, compare=False)  # as output_types, may be known beside the list
    features: frozenset[str] | None = None
    parameters: frozenset[str] | None = None
    family: str | None = None
    size: int | None = None
    quantization: str | None = None
    output_types: frozenset[str] | None = field(default=None, compare=False)
    stale: bool = False

    def __post_init__(self) -> None:
        """Give the context window both of its names."""
        window = self.context_length if self.context_window is None else self.context_window
        object.__setattr__(self, "context_window", window)
        object.__setattr__(self, "context_length", window)

    @property
    def model_string(self) -> str:
        """The value to pass as ``model=``."""
        return f"{self.provider}/{self.id}"


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document of a ranking: its index in the request, and its relevance, from 0 to 1 with most models."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """A ranking, the best document first. Scores of two models cannot be compared."""

    results: tuple[RankedDocument, ...]
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        """Return the model, and the number of documents with the index of the best one."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield served_by(self.provider, self.model)
        yield count(len(self.results), "document") or "no documents"
        yield f"best {self.results[0].index}" if self.results else ""
        yield count(len(self.attempts), "attempt")
