"""Attributes of spans and measurements under OpenTelemetry's semantic conventions for generative AI.

Names and numbers alone: nothing here imports OpenTelemetry. The few names that differ between the generations of the
conventions are in ``conventions``; what no convention names begins with ``unified_llm``. There is none for prompts or
responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from unified_llm._core.codec import AnyRequest, wants_stream
from unified_llm._core.features import Output
from unified_llm._core.target import Target
from unified_llm._observe.conventions import Conventions, Operation, TokenKind
from unified_llm._providers import registry
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.requests import EmbeddingRequest, FurtherRequest, LLMRequest

Attributes: TypeAlias = dict[str, str | bool | int | float | Sequence[str]]

ATTEMPT: Final = "unified_llm.attempt"
ERROR_TYPE: Final = "error.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

_OPERATION: Final = "gen_ai.operation.name"
_PROVIDER: Final = "gen_ai.provider.name"
_REQUEST_MODEL: Final = "gen_ai.request.model"
_SERVER: Final = ("server.address", "server.port")
# By these, tools and dashboards recognise and count the calls of a model.
_NAMES_OF_MODEL: Final = frozenset({_OPERATION, _REQUEST_MODEL, RESPONSE_MODEL})

# What a request for media makes, by the convention's names; it has none for video.
_OUTPUT_TYPES: Final[Mapping[Output, str]] = {
    "image": "image", "speech": "speech", "transcription": "text", "video": "video",
}  # fmt: skip
_PARAMETERS: Final = ("temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty")
# The fields of ``Usage`` that are a part of another. Many providers do not report them: a zero is left out.
_PARTS: Final[Mapping[TokenKind, str]] = {
    "cache_read": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}
_USAGE: Final[Mapping[TokenKind, str]] = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}


def operation(request: AnyRequest) -> Operation | None:
    """Name the operation of a request to a model; None for any other, such as one for a list, or a look at a job."""
    if isinstance(request, LLMRequest):
        return "chat"
    if isinstance(request, EmbeddingRequest):
        return "embeddings"
    return "generate_content" if _output_type(request) else None


def _output_type(request: AnyRequest) -> str | None:
    """Return what a request for media makes."""
    if not isinstance(request, FurtherRequest):
        return None
    from unified_llm._providers.further_needs import wanted_output  # few programs need it

    wanted = wanted_output(request)
    return _OUTPUT_TYPES.get(wanted[0]) if wanted else None


def request_attributes(operation_name: Operation, target: Target) -> Attributes:
    """Describe the request: operation, provider, model."""
    return {_OPERATION: operation_name, _PROVIDER: _provider(target), _REQUEST_MODEL: target.model}


def _provider(target: Target) -> str:
    spec = registry.find(target.provider)
    return (spec and spec.otel_name) or target.provider


def server(target: Target) -> Attributes:
    """Describe the address of a target; empty for one in this process."""
    url = urlsplit(target.base_url)
    if not url.hostname:
        return {}
    return dict(zip(_SERVER, (url.hostname, url.port or (80 if url.scheme == "http" else 443)), strict=True))


def answered_attributes(attributes: Attributes, served: Target) -> Attributes:
    """Return the attributes of a request that another target answered: with its provider and its address.

    What was requested stays, and with it the name of the span.
    """
    kept = {name: value for name, value in attributes.items() if name not in _SERVER}
    return {**kept, _PROVIDER: _provider(served), **server(served)}


def without_model(attributes: Attributes) -> Attributes:
    """Return the attributes without those by which calls of a model are counted."""
    return {name: value for name, value in attributes.items() if name not in _NAMES_OF_MODEL}


def parameters(request: AnyRequest, target: Target, conventions: Conventions) -> Attributes:
    """Describe the parameters of the request, the target's defaults included."""
    if isinstance(request, LLMRequest):
        return _chat_parameters(request, target, conventions)
    return (
        _embedding_parameters(request, target) if isinstance(request, EmbeddingRequest) else _media_parameters(request)
    )


def _embedding_parameters(request: EmbeddingRequest, target: Target) -> Attributes:
    dimensions = target.defaults.get("dimensions") if request.dimensions is None else request.dimensions
    return {} if dimensions is None else {"gen_ai.embeddings.dimension.count": dimensions}


def _chat_parameters(request: LLMRequest, target: Target, conventions: Conventions) -> Attributes:
    attributes: Attributes = {}
    for name in _PARAMETERS:
        value = getattr(request, name)
        value = target.defaults.get(name) if value is None else value
        if value is not None:
            attributes[f"gen_ai.request.{name}"] = value
    if stop := request.stop or target.defaults.get("stop"):
        attributes["gen_ai.request.stop_sequences"] = stop
    if (choices := request.n or target.defaults.get("n") or 1) != 1:
        attributes["gen_ai.request.choice.count"] = choices
    top_k = request.extra_body.get("top_k", target.extra_body.get("top_k"))
    if isinstance(top_k, int):
        attributes["gen_ai.request.top_k"] = top_k
    effort = request.reasoning_effort or target.defaults.get("reasoning_effort")
    if effort and conventions.reasoning_level:
        attributes[conventions.reasoning_level] = effort
    if request.stream:
        attributes["gen_ai.request.stream"] = True
    if request.response_format is not None:
        attributes["gen_ai.output.type"] = "json"
    return attributes


def _media_parameters(request: AnyRequest) -> Attributes:
    attributes: Attributes = {"gen_ai.output.type": _output_type(request) or ""}
    if (choices := getattr(request, "n", None) or 1) != 1:
        attributes["gen_ai.request.choice.count"] = choices
    if wants_stream(request):
        attributes["gen_ai.request.stream"] = True
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
    attributes: Attributes = {"unified_llm.served_by": target.name, "unified_llm.used_fallback": used_fallback}
    return {**attributes, "unified_llm.demo": True} if target.demo else attributes


def token_counts(request: AnyRequest, usage: Usage) -> dict[TokenKind, int]:
    """Count tokens by kind: input, output but for embeddings, and the parts of both that the provider reported."""
    counts: dict[TokenKind, int] = {"input": usage.prompt_tokens}
    if not isinstance(request, EmbeddingRequest):
        counts["output"] = usage.completion_tokens
    for kind, field in _PARTS.items():
        if count := getattr(usage, field):
            counts[kind] = count
    return counts


def usage_attributes(counts: Mapping[TokenKind, int], conventions: Conventions) -> Attributes:
    """Describe the tokens of a response."""
    return {_USAGE.get(kind, conventions.cache_write): count for kind, count in counts.items()}


def exception(error: Exception, message: str | None) -> Attributes:
    """Describe an error, with its message if there is one that may be recorded."""
    kind = type(error)
    described: Attributes = {"exception.type": f"{kind.__module__}.{kind.__qualname__}"}
    return described if message is None else {**described, "exception.message": message}


def attempt(ended: Attempt) -> Attributes:
    """Describe an attempt. The ``reason`` of a failure is left out: it is the provider's own code."""
    facts = ended.as_dict()
    if ended.outcome not in {"skipped", "cancelled"}:
        facts.pop("reason", None)
    if "adjusted" in facts:
        facts["adjusted"] = tuple(facts["adjusted"])  # the names: an attribute is no mapping
    return {f"{ATTEMPT}.{name}": value for name, value in facts.items() if value is not None}
