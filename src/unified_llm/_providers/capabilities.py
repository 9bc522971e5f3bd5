"""Features that a request needs, and whether a target has them. A need is never dropped silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, assert_never

from unified_llm._core.codec import AnyRequest
from unified_llm._core.features import Feature
from unified_llm._core.target import Target
from unified_llm.types.content import AudioPart, FilePart, ImagePart
from unified_llm.types.messages import Message
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)

_WORDS: Final[Mapping[Feature, str]] = {
    "tools": "call tools",
    "tool_choice": "be required to call a given tool",
    "json_object": "answer in JSON",
    "json_schema": "answer by a JSON schema",
    "images": "read images",
    "image_urls": "read images by URL",
    "audio": "hear audio",
    "files": "read files",
    "streaming": "stream",
    "embeddings": "make embeddings",
    "models": "list its models",
    "model_info": "describe a model",
    "count_tokens": "count tokens",
    "rerank": "rank documents",
    "as_text": "continue a text without a chat template",
    "n": "give several answers at once",
}

# Features that ``_structured`` emulates, except at a last resort.
_EMULATED: Final = frozenset({"json_object", "json_schema"})


def missing(ask: AnyRequest, target: Target) -> str | None:
    """Say what the target lacks for this request; return None when it lacks nothing."""
    for need in _needs(ask):
        if need not in target.features and not (need in _EMULATED and _may_emulate(target)):
            return f"it cannot {_WORDS[need]}"
    return None


def _may_emulate(target: Target) -> bool:
    return target.format != "wrapped" and not target.last_resort


def _needs(ask: AnyRequest) -> Iterator[Feature]:
    match ask:
        case LLMRequest():
            yield from _chat_needs(ask)
        case EmbeddingRequest():
            yield "embeddings"
        case ModelsRequest():
            yield "models"
        case ModelRequest():
            yield "model_info"
        case CountRequest():
            yield "count_tokens"
        case RerankRequest():
            yield "rerank"
        case _:
            assert_never(ask)


def _chat_needs(request: LLMRequest) -> Iterator[Feature]:
    if request.stream:
        yield "streaming"
    if request.as_text:
        yield "as_text"
    if request.n is not None and request.n > 1:
        yield "n"
    if request.tools:
        yield "tools"
        if request.tool_choice not in {None, "auto", "none"}:
            yield "tool_choice"
    if request.response_format:
        yield "json_schema" if request.response_format.schema is not None else "json_object"
    for message in request.messages:
        yield from _message_needs(message)


def _message_needs(message: Message) -> Iterator[Feature]:
    if isinstance(message.content, str):
        return
    for part in message.content:
        match part:
            case ImagePart():
                yield "images" if part.data is not None else "image_urls"
            case AudioPart():
                yield "audio"
            case FilePart():
                yield "files"
            case _:
                pass
