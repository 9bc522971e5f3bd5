"""Features that a request needs, and whether a target has them. A need is never dropped silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from unified_llm._core.codec import AnyRequest
from unified_llm._core.features import ENDPOINTS, MEDIA, Feature, FeaturePair, Output, features
from unified_llm._core.pairs import conflicts
from unified_llm._core.target import Target
from unified_llm._providers.output_types import describe
from unified_llm._providers.provider_fields import TEXT_FIELDS
from unified_llm._providers.registry import ROWS
from unified_llm.types.content import AudioPart, FilePart, ImagePart
from unified_llm.types.messages import Message
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    FurtherRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
    TokenText,
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
    "file_urls": "read files by URL",
    "streaming": "stream",
    "embeddings": "make embeddings",
    "models": "list its models",
    "model_info": "describe a model",
    "count_tokens": "count tokens",
    "rerank": "rank documents",
    "as_text": "continue a text without a chat template",
    "n": "give several answers at once",
    "generate_image": "make images",
    "edit_image": "edit images",
    "stream_image": "stream images",
    "speech": "read texts aloud",
    "transcription": "transcribe recordings",
    "translation": "translate recordings",
    "stream_transcription": "stream a transcription",
    "video": "make videos",
    "moderation": "rate texts for moderation",
    "file_storage": "store files",
    "batches": "run batches",
    "batch_service": "run batches for unified-llm batch --service batch",
    "stored_responses": "store responses",
    "stored_completions": "store chat completions",
}

_PAIR_WORDS: Final[Mapping[FeaturePair, str]] = {
    "tools with JSON": "call tools and answer in JSON",
    "streaming with JSON": "stream and answer in JSON",
    "thinking with a forced tool": "think and be required to call a tool",
    "built-in tools with functions": "use its own tools and call functions",
    "prefill with thinking": "think and continue an answer that was begun",
    "tools with streaming": "call tools and stream",
}

# What a request wants made, and what that is called.
_WANTED: Final[Mapping[type, tuple[Output, str]]] = {
    LLMRequest: ("text", "chat"),
    EmbeddingRequest: ("embeddings", _WORDS["embeddings"]),
    RerankRequest: ("rerank", _WORDS["rerank"]),
}

_TAKE_TOKENS: Final = frozenset({"openai_chat", "openai_responses", "azure", "azure_responses"})
# Features that few providers have, so that errors name these; only the first of many.
_OF_FEW: Final = MEDIA | ENDPOINTS | features("batch_service")
_MOST_NAMED: Final = 6
# What ``_structured`` emulates, except at a last resort.
_NONE: Final[frozenset[Feature]] = frozenset()
_EMULATED: Final[frozenset[Feature]] = frozenset({"tool_choice", "json_object", "json_schema"})
_EMULATED_PAIRS: Final[frozenset[FeaturePair]] = frozenset(
    {"tools with JSON", "streaming with JSON", "thinking with a forced tool", "tools with streaming"}
)


def missing(ask: AnyRequest, target: Target) -> str | None:
    """Say what the target lacks for this request; return None when it lacks nothing."""
    if target.outputs and (wanted := _wanted(ask)) and wanted[0] not in target.outputs:
        return f"it cannot {wanted[1]}, since its model {describe(target.outputs)}"
    if isinstance(ask, EmbeddingRequest) and isinstance(ask.texts[0], TokenText) and target.format not in _TAKE_TOKENS:
        return "it takes texts, and no lists of tokens"
    if isinstance(ask, LLMRequest) and ask.as_text == "preferred" and (field := _only_for_texts(ask, target)):
        return f"its format has no {field}, which text completion of OpenAI's API alone has"
    emulated = _NONE if target.last_resort else _EMULATED
    for need in _needs(ask):
        if need not in target.features and need not in emulated:
            return f"it cannot {_WORDS[need]}{_who_can(need, target.provider)}"
    if isinstance(ask, FurtherRequest):
        return _lack_of_further(ask, target)
    if target.exclusive and isinstance(ask, LLMRequest):
        for pair in conflicts(ask, target):
            if target.last_resort or pair not in _EMULATED_PAIRS:
                return f"it cannot {_PAIR_WORDS[pair]} in one request"
    return None


def _wanted(ask: AnyRequest) -> tuple[Output, str] | None:
    """Return the output that a request is for, and what a model does that makes it."""
    if isinstance(ask, FurtherRequest):
        from unified_llm._providers.further_needs import wanted_output  # few programs need it

        wanted = wanted_output(ask)
        return (wanted[0], _WORDS[wanted[1]]) if wanted else None
    return _WANTED.get(type(ask))


def _lack_of_further(ask: FurtherRequest, target: Target) -> str | None:
    from unified_llm._providers.further_needs import lack_of  # few programs need it

    return lack_of(ask, target)


@cache
def _who_can(need: Feature, provider: str) -> str:
    """Name the providers that have a feature of few; nothing where it is the model alone that lacks it."""
    names = [row.name for row in ROWS if need in row.features] if need in _OF_FEW else []
    if provider in names:
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f" (which {', '.join(names[:_MOST_NAMED])}{more} can)" if names else ""


def _only_for_texts(request: LLMRequest, target: Target) -> str | None:
    """Return a field that text completion in OpenAI's format alone has, where the target has another way."""
    if "as_text" in target.features and target.format in _TAKE_TOKENS:
        return None
    body = request.extra_body
    given = (name for name, harmless in TEXT_FIELDS.items() if body.get(name) not in (None, harmless))
    return next(given, "logprobs" if request.logprobs else None)


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
            from unified_llm._providers.further_needs import needs_of  # few programs need it

            yield from needs_of(ask)


def _chat_needs(request: LLMRequest) -> Iterator[Feature]:
    if request.stream:
        yield "streaming"
    if request.as_text is True:
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
                yield "file_urls" if part.url and part.data is None else "files"
            case _:
                pass
