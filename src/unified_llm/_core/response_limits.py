"""Limits of what one response may be, by the kind of request and by the target.

A response is limited in bytes, and before its JSON is parsed in structure: parsed, ``{"a":1},`` takes 20 times its
size, and a number 5 times. For a stream, the text, reasoning, tool calls and citations of all its chunks count, and
what its decoder keeps for the end; the framing of its events does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import MAX_STRUCTURE
from unified_llm.types.requests import EmbeddingRequest, FurtherRequest, LLMRequest, RerankRequest
from unified_llm.types.responses import LLMChunk

CHAT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a chat response, and of anything else but vectors and rankings."""

BULK_BYTES: Final = 256 * 1024 * 1024
"""Most bytes of a response with vectors (2,048 of 3,072 numbers are 134 MiB), ranked documents, media or files."""

MAX_CALLS: Final = 32_768
"""Most tool calls of one response; OpenAI allows for 128 tools."""

_LOGPROBS_FACTOR: Final = 4  # log probabilities of 20 alternatives are 2 KB for each token
# For the vector of each text, and for all of them together.
_NUMBERS_PER_TEXT: Final = 20_000
_MAX_NUMBERS: Final = 16_000_000
_NAMES_PER_TEXT: Final = 64
_FURTHER_NAMES: Final = 20_000  # of a response, besides the vectors

# What is counted for a chunk, a call and a source besides their texts: roughly, what their objects take where they
# are kept, and the header of a string.
CHUNK_COST: Final = 16
_PART_COST: Final = 64
_CALL_COST: Final = 512


class OversizedResponseError(Exception):
    """A response has more parts than are accepted; the HTTP backend makes it a ``Failure``."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Limits of one response.

    Attributes:
        size: Bytes, decompressed.
        structure: Most of ``{``, ``[`` and ``,`` in its JSON: about the number of values.
        names: Most of ``{``, ``[`` and ``"``, where it consists of numbers; else None.
    """

    size: int
    structure: int = MAX_STRUCTURE
    names: int | None = None


def response_limits(request: AnyRequest, target: Target) -> ResponseLimits:
    """Return the limits of a response.

    ``max_response_bytes`` of the target takes the place of the default size. A larger one allows for more structure, in
    proportion.
    """
    default = _default_limits(request)
    size = target.max_response_bytes
    if size is None:
        return default
    return replace(default, size=size, structure=max(default.structure, default.structure * size // default.size))


def _default_limits(request: AnyRequest) -> ResponseLimits:
    match request:
        case EmbeddingRequest():
            texts = len(request.texts)
            numbers = min(_MAX_NUMBERS, _NUMBERS_PER_TEXT * texts + MAX_STRUCTURE)
            return ResponseLimits(BULK_BYTES, numbers, _NAMES_PER_TEXT * texts + _FURTHER_NAMES)
        case RerankRequest() | FurtherRequest():
            return ResponseLimits(BULK_BYTES)
        case LLMRequest() if request.logprobs or request.top_logprobs:
            return ResponseLimits(_LOGPROBS_FACTOR * CHAT_BYTES, _LOGPROBS_FACTOR * MAX_STRUCTURE)
        case _:
            return ResponseLimits(CHAT_BYTES)


def size_of_chunk(chunk: LLMChunk) -> int:
    """Return what a chunk adds to the size of its response."""
    size = CHUNK_COST + len(chunk.content) + len(chunk.reasoning)
    if not (chunk.tool_calls or chunk.citations or chunk.logprobs or chunk.refusal):  # nearly every chunk
        return size
    size += len(chunk.refusal)
    for call in chunk.tool_calls:
        begins = call.id or call.name
        size += len(call.arguments) + (_CALL_COST + len(call.id or "") + len(call.name or "") if begins else CHUNK_COST)
    for citation in chunk.citations:
        size += _PART_COST + sum(len(text or "") for text in (citation.url, citation.title, citation.text))
    for logprob in chunk.logprobs:
        size += _PART_COST + len(logprob.token) + sum(_PART_COST + len(token) for token, _ in logprob.top)
    return size
