"""Attributes and instruments under OpenTelemetry's semantic conventions for generative AI.

Names and numbers alone: nothing here imports OpenTelemetry. The names are those of the conventions as the package
``opentelemetry-semantic-conventions`` has them (0.66, the last set before the conventions for generative AI moved to a
repository of their own); what no convention names begins with ``unified_llm``. There is none for prompts or responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

Attributes: TypeAlias = dict[str, str | bool | int | float | Sequence[str]]

# Histograms: name, unit, description, and the boundaries that the convention advises.
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
DURATION: Final = ("gen_ai.client.operation.duration", "s", "How long a call took.", _SECONDS)
FIRST_CHUNK: Final = (
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "From the beginning of a call to the first chunk of its stream.",
    _SECONDS,
)
TOKENS: Final = (
    "gen_ai.client.token.usage",
    "{token}",
    "Tokens that a call took.",
    tuple(float(4**power) for power in range(14)),
)

ATTEMPT: Final = "unified_llm.attempt"
ERROR_TYPE: Final = "error.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - tokens of text

_PARAMETERS: Final = ("temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty")
# Counts that many providers do not report: a zero is left out.
_PARTS: Final[Mapping[str, str]] = {
    "cached_tokens": "cache_read.input_tokens",
    "cache_write_tokens": "cache_creation.input_tokens",
    "reasoning_tokens": "reasoning.output_tokens",
}


def operation(request: LLMRequest | EmbeddingRequest) -> str:
    """Name the operation."""
    return "chat" if isinstance(request, LLMRequest) else "embeddings"


def request_attributes(request: LLMRequest | EmbeddingRequest, target: Target) -> Attributes:
    """Describe the request: operation, provider, model."""
    spec = registry.find(target.provider)
    return {
        "gen_ai.operation.name": operation(request),
        "gen_ai.provider.name": (spec and spec.otel_name) or target.provider,
        "gen_ai.request.model": target.model,
    }


def request_and_server(request: LLMRequest | EmbeddingRequest, target: Target) -> Attributes:
    """Describe the request and its server; set at the end of a span, since a fallback may have no address at all."""
    attributes = request_attributes(request, target)
    url = urlsplit(target.base_url)
    if url.hostname:
        attributes["server.address"] = url.hostname
        attributes["server.port"] = url.port or (80 if url.scheme == "http" else 443)
    return attributes


def parameters(request: LLMRequest | EmbeddingRequest, target: Target) -> Attributes:
    """Describe the parameters of the request, the target's defaults included."""
    if isinstance(request, EmbeddingRequest):
        dimensions = target.defaults.get("dimensions") if request.dimensions is None else request.dimensions
        return {} if dimensions is None else {"gen_ai.embeddings.dimension.count": dimensions}
    attributes: Attributes = {}
    for name in _PARAMETERS:
        value = getattr(request, name)
        value = target.defaults.get(name) if value is None else value
        if value is not None:
            attributes[f"gen_ai.request.{name}"] = value
    if stop := request.stop or target.defaults.get("stop"):
        attributes["gen_ai.request.stop_sequences"] = stop
    if request.stream:
        attributes["gen_ai.request.stream"] = True
    if request.response_format is not None:
        attributes["gen_ai.output.type"] = "json"
    return attributes


def response(value: Any) -> Attributes:
    """Describe an ``LLMResponse``, the last ``LLMChunk`` of a stream, or an ``EmbeddingResponse``."""
    attributes: Attributes = {}
    if identifier := getattr(value, "response_id", None):
        attributes["gen_ai.response.id"] = identifier
    if reason := getattr(value, "finish_reason", None):
        attributes["gen_ai.response.finish_reasons"] = (reason,)
    return attributes


def served(target: Target, *, used_fallback: bool) -> Attributes:
    """Describe the target that served the request, under the names of ``response_metadata``."""
    return {"unified_llm.served_by": target.name, "unified_llm.used_fallback": used_fallback}


def token_counts(request: LLMRequest | EmbeddingRequest, usage: Usage) -> dict[str, int]:
    """Count tokens by type: input, and for chat output."""
    counts = {"input": usage.prompt_tokens}
    return {**counts, "output": usage.completion_tokens} if isinstance(request, LLMRequest) else counts


def usage_attributes(request: LLMRequest | EmbeddingRequest, usage: Usage) -> Attributes:
    """Describe the tokens of a response."""
    counts = token_counts(request, usage)
    attributes: Attributes = {f"gen_ai.usage.{kind}_tokens": count for kind, count in counts.items()}
    for field, name in _PARTS.items():
        if count := getattr(usage, field):
            attributes[f"gen_ai.usage.{name}"] = count
    return attributes


def attempt(ended: Attempt) -> Attributes:
    """Describe an attempt. The ``reason`` of a failure is left out: it is the provider's own code."""
    facts = ended.as_dict()
    if ended.outcome not in {"skipped", "cancelled"}:
        facts.pop("reason", None)
    return {f"{ATTEMPT}.{name}": value for name, value in facts.items() if value is not None}
