"""What a request needs, and whether a target has it. A need is never dropped silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from unified_llm.content import AudioPart, FilePart, ImagePart
from unified_llm.messages import Message
from unified_llm.providers.codec import Ask
from unified_llm.target import Feature, Target
from unified_llm.types import EmbeddingRequest, LLMRequest

_WORDS: Final[Mapping[Feature, str]] = {
    "tools": "call tools",
    "tool_choice": "be told which tool to call",
    "json_object": "answer in JSON",
    "json_schema": "answer by a JSON schema",
    "images": "read images",
    "image_urls": "read images by URL",
    "audio": "hear audio",
    "files": "read files",
    "streaming": "stream",
    "embeddings": "make embeddings",
    "models": "list its models",
}


def missing(ask: Ask, target: Target) -> str | None:
    """What the target lacks for this request, in words; None when it lacks nothing."""
    for need in _needs(ask):
        if need not in target.features:
            return f"it cannot {_WORDS[need]}"
    return None


def _needs(ask: Ask) -> Iterator[Feature]:
    match ask:
        case LLMRequest():
            yield from _chat_needs(ask)
        case EmbeddingRequest():
            yield "embeddings"
        case _:
            yield "models"


def _chat_needs(request: LLMRequest) -> Iterator[Feature]:
    if request.stream:
        yield "streaming"
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
