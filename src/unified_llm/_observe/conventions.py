"""Names that differ between the two generations of OpenTelemetry's conventions for generative AI.

The first generation is that of the package ``opentelemetry-semantic-conventions``, up to version 1.41 of the
conventions. The second has a repository of its own, open-telemetry/semantic-conventions-genai, whose first release is
0.1.0. An application asks for it with OpenTelemetry's own variable: ``gen_ai_latest_experimental`` in the
comma-separated list of ``OTEL_SEMCONV_STABILITY_OPT_IN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from unified_llm._core import defaults

Operation: TypeAlias = Literal["chat", "embeddings", "generate_content"]
TokenKind: TypeAlias = Literal["input", "output", "cache_read", "cache_write", "reasoning"]

# Histogram boundaries that the conventions advise: seconds, and tokens.
SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS: Final = tuple(float(4**power) for power in range(14))


@dataclass(frozen=True, slots=True)
class TokenMetric:
    """A measurement of tokens.

    Attributes:
        name: The name of the instrument; several of these may share one.
        operation: The operation that it is recorded for.
        kind: The tokens that it counts.
        histogram: Whether it is a histogram rather than a counter.
        attributes: Attributes of each of its points, beside those of every measurement.
    """

    name: str
    operation: Operation
    kind: TokenKind
    histogram: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Conventions:
    """One generation.

    Attributes:
        schema_url: Identifies it, for the schema URL of tracer, meter and logger.
        durations: The histogram of how long a call took, by operation.
        first_chunk: The histogram of the time to the first chunk of a stream.
        tokens: The measurements of tokens.
        cache_write: The attribute of a span for tokens that were written to the provider's cache.
        reasoning_level: The attribute of a span for the requested reasoning effort, or None.
        exceptions: The event of an error, by operation; empty where there is none.
    """

    schema_url: str
    durations: Mapping[Operation, str]
    first_chunk: str
    tokens: tuple[TokenMetric, ...]
    cache_write: str
    reasoning_level: str | None
    exceptions: Mapping[Operation, str]


def _typed(operation: Operation, kind: TokenKind) -> TokenMetric:
    return TokenMetric("gen_ai.client.token.usage", operation, kind, attributes={"gen_ai.token.type": kind})


def _counter(name: str, kind: TokenKind, operation: Operation = "chat") -> TokenMetric:
    # Providers report no modality for most tokens, and the convention calls that unknown.
    modality = {"gen_ai.token.modality": "unknown"}
    return TokenMetric(f"gen_ai.client.inference.usage.{name}", operation, kind, histogram=False, attributes=modality)


FIRST: Final = Conventions(
    schema_url="https://opentelemetry.io/schemas/1.41.0",
    durations=dict.fromkeys(("chat", "embeddings", "generate_content"), "gen_ai.client.operation.duration"),
    first_chunk="gen_ai.client.operation.time_to_first_chunk",
    tokens=(
        _typed("chat", "input"),
        _typed("chat", "output"),
        _typed("embeddings", "input"),
        _typed("generate_content", "input"),
        _typed("generate_content", "output"),
    ),
    cache_write="gen_ai.usage.cache_creation.input_tokens",
    reasoning_level=None,
    exceptions={},
)
SECOND: Final = Conventions(
    schema_url="https://opentelemetry.io/schemas/gen-ai/0.1.0",
    durations={
        "chat": "gen_ai.client.inference.duration",
        "generate_content": "gen_ai.client.inference.duration",
        "embeddings": "gen_ai.client.embeddings.duration",
    },
    first_chunk="gen_ai.client.inference.time_to_first_chunk",
    tokens=(
        _counter("input_tokens", "input"),
        _counter("output_tokens", "output"),
        _counter("cache_read.input_tokens", "cache_read"),
        _counter("cache_write.input_tokens", "cache_write"),
        _counter("reasoning.output_tokens", "reasoning"),
        _counter("input_tokens", "input", "generate_content"),
        _counter("output_tokens", "output", "generate_content"),
        TokenMetric("gen_ai.client.inference.operation.input_tokens", "chat", "input"),
        TokenMetric("gen_ai.client.inference.operation.output_tokens", "chat", "output"),
        TokenMetric("gen_ai.client.inference.operation.input_tokens", "generate_content", "input"),
        TokenMetric("gen_ai.client.inference.operation.output_tokens", "generate_content", "output"),
        TokenMetric("gen_ai.client.embeddings.operation.input_tokens", "embeddings", "input"),
    ),
    cache_write="gen_ai.usage.cache_write.input_tokens",
    reasoning_level="gen_ai.request.reasoning.level",
    exceptions={
        "chat": "gen_ai.client.inference.exception",
        "generate_content": "gen_ai.client.inference.exception",
        "embeddings": "gen_ai.client.embeddings.exception",
    },
)


def chosen() -> Conventions:
    """Return the generation that the environment asks for, the first by default."""
    return SECOND if defaults.wants_latest_conventions() else FIRST
