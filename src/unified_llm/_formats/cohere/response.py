"""Whole responses of Cohere: answers of ``/v2/chat``, vectors, rankings and models.

Nothing here raises for what the provider sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.cohere.errors import read_broken_off, read_error
from unified_llm._formats.finish_reasons import read_finish_reason
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import (
    brief,
    count,
    is_list,
    is_object,
    non_negative_int,
    object_or_empty,
    read_vectors,
    text_or_none,
)
from unified_llm._formats.response_fields import read_page, unusable_vectors
from unified_llm._lib.bounded_json import finite
from unified_llm.types.messages import ProviderState
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest, RerankRequest
from unified_llm.types.responses import (
    Citation,
    EmbeddingResponse,
    LLMResponse,
    ModelInfo,
    RankedDocument,
    RerankResponse,
    TokenLogprob,
)


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/v2/chat``."""
    if not is_object(body):
        return Failure("malformed")
    message = body.get("message")
    if not is_object(message):
        return read_error(body, target) if isinstance(message, str) else Failure("malformed")
    texts, thinking = _read_texts(message)
    content, plan = "".join(texts.values()), text_or_none(message.get("tool_plan")) or ""
    calls = tuple(response_fields.read_calls(message.get("tool_calls"), Identifiers()))
    has_content = bool(content or calls)
    reason = read_finish_reason(
        body.get("finish_reason"),
        target,
        has_content=has_content,
        has_calls=bool(calls),
        detail=brief(body.get("error")),
    )
    if isinstance(reason, Failure):
        return read_broken_off(reason, body.get("error"), target)
    return Done(
        LLMResponse(
            content=content,
            model=target.model,
            provider=target.provider,
            finish_reason=reason,
            response_id=text_or_none(body.get("id")),
            usage=read_usage(body.get("usage")),
            tool_calls=calls,
            reasoning=thinking + plan or None,
            citations=tuple(_read_citations(message, texts)),
            logprobs=read_logprobs(body.get("logprobs")),
            provider_state=keep_state(thinking, plan, target, has_calls=bool(calls)),
            raw=body,
        )
    )


def _read_texts(message: Mapping[str, Any]) -> tuple[dict[int, str], str]:
    """Read the texts, by their index in the list of blocks, and the reasoning."""
    blocks = message.get("content")
    if isinstance(blocks, str):
        return {0: blocks}, ""
    texts: dict[int, str] = {}
    thinking = ""
    for index, block in enumerate(blocks if is_list(blocks) else ()):
        text, fragment = read_content_block(block)
        if text:
            texts[index] = text
        thinking += fragment
    return texts, thinking


def read_content_block(block: object) -> tuple[str, str]:
    """Read text and reasoning of a content block, or of a fragment of one in a stream."""
    known = object_or_empty(block)
    return text_or_none(known.get("text")) or "", text_or_none(known.get("thinking")) or ""


def _read_citations(message: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[Citation]:
    citations = message.get("citations")
    starts: list[int] = []
    length = 0
    for number, text in texts.items():  # in the order of the list, in which some blocks have no text
        starts += [length] * (number + 1 - len(starts))
        length += len(text)
    for citation in citations if is_list(citations) else ():
        index = object_or_empty(citation).get("content_index")
        before = 0
        if isinstance(index, int) and index >= 0:
            before = starts[index] if index < len(starts) else length
        yield from read_citation(citation, before)


def read_citation(citation: object, before: int) -> Iterator[Citation]:
    """Read one citation for each source.

    Positions count from the start of a block; ``before`` is the length of the text before that block. Citations of a
    plan or of reasoning have no position in the text.
    """
    if not is_object(citation):
        return
    in_text = citation.get("type") in {None, "TEXT_CONTENT"}
    start, end = (non_negative_int(citation.get(name), before) if in_text else None for name in ("start", "end"))
    sources = citation.get("sources")
    for source in sources if is_list(sources) and sources else ({},):
        known = object_or_empty(source)
        document = object_or_empty(known.get("document"))
        yield Citation(
            url=text_or_none(document.get("url")),
            title=text_or_none(document.get("title")) or text_or_none(known.get("id")),
            text=text_or_none(citation.get("text")),
            start=start,
            end=end,
        )


def read_logprobs(items: object) -> tuple[TokenLogprob, ...]:
    """Read the log probabilities; that of a text of several tokens is the sum of theirs."""
    read: list[TokenLogprob] = []
    for item in items if is_list(items) else ():
        values = item.get("logprobs") if is_object(item) else None
        numbers = [number for value in (values if is_list(values) else ()) if (number := finite(value)) is not None]
        text = object_or_empty(item).get("text")
        if numbers and isinstance(text, str):
            read.append(TokenLogprob(text, sum(numbers)))
    return tuple(read)


def read_usage(usage: object) -> Usage | None:
    """Read the tokens that the model processed, or else the billed ones, which are fewer."""
    if not is_object(usage):
        return None
    counted = object_or_empty(usage.get("tokens")) or object_or_empty(usage.get("billed_units"))
    if not {"input_tokens", "output_tokens"} & counted.keys():
        return None
    prompt, completion = count(counted.get("input_tokens")), count(counted.get("output_tokens"))
    return Usage(prompt, completion, prompt + completion, cached_tokens=count(usage.get("cached_tokens")))


def keep_state(thinking: str, plan: str, target: Target, *, has_calls: bool) -> ProviderState | None:
    """Return the reasoning before tool calls, to send back with their results; None if there is none."""
    kept = {name: text for name, text in (("thinking", thinking), ("tool_plan", plan)) if text}
    return response_fields.keep_state(kept, target) if kept and has_calls else None


# The types of vectors with one number for each dimension, the most exact first; the others are packed bits.
_VECTOR_TYPES: Final = ("float", "base64", "int8", "uint8")
# The features of our table, by a model's endpoints.
_FEATURE_OF_ENDPOINT: Final[Mapping[str, str]] = {"chat": "streaming", "embed": "embeddings", "rerank": "rerank"}
_MADE_AT_ENDPOINT: Final[Mapping[str, str]] = {"chat": "text", "embed": "embeddings", "rerank": "rerank"}


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/v2/embed``: one vector for each text, all of one length."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    by_type = object_or_empty(answer.get("embeddings"))
    rows = next((values for name in _VECTOR_TYPES if (values := by_type.get(name))), None)
    vectors = read_vectors(rows, len(request.texts))
    if vectors is None:
        return unusable_vectors(rows, len(request.texts))
    return Done(EmbeddingResponse(vectors, target.model, target.provider, read_usage(answer.get("meta"))))


def read_rerank(request: RerankRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/v2/rerank``, sorted by score, highest first."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    items = answer.get("results")
    ranked: list[RankedDocument] = []
    for item in items if is_list(items) else ():
        known = object_or_empty(item)
        index, score = known.get("index"), finite(known.get("relevance_score"))
        if not isinstance(index, int) or not 0 <= index < len(request.documents) or score is None:
            return Failure("malformed")
        ranked.append(RankedDocument(index, score))
    if not ranked or len({document.index for document in ranked}) < len(ranked):
        return Failure("malformed")
    ranked.sort(key=lambda document: -document.score)
    return Done(RerankResponse(tuple(ranked), target.model, target.provider, read_usage(answer.get("meta"))))


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/v1/models``: ``(models, cursor)``."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("next_page_token"))
    return read_page(answer.get("models"), lambda item: _read_model_info(item, target), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/v1/models/{name}``."""
    answer = _read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    model = _read_model_info(answer, target)
    return Done(model) if model else Failure("malformed")


def _read_model_info(item: Mapping[str, Any], target: Target) -> ModelInfo | None:
    """Read a model with its features: those of our table for its endpoints, and Cohere's own names for the others."""
    if (name := text_or_none(item.get("name"))) is None:
        return None
    endpoints, features = item.get("endpoints"), item.get("features")
    known: set[str] = {name for name in features if isinstance(name, str)} if is_list(features) else set()
    made: set[str] = set()
    for endpoint in endpoints if is_list(endpoints) else ():
        if isinstance(endpoint, str) and endpoint in _FEATURE_OF_ENDPOINT:
            known.add(_FEATURE_OF_ENDPOINT[endpoint])
            made.add(_MADE_AT_ENDPOINT[endpoint])
    return ModelInfo(
        id=name,
        provider=target.provider,
        context_window=count(item.get("context_length")) or None,
        features=frozenset(known) if is_list(endpoints) or is_list(features) else None,
        output_types=frozenset(made) or None,
    )


def _read_body(body: object, target: Target) -> dict[str, Any] | Failure:
    """Return the body, or the failure if it is an error at status 200 or not a JSON object."""
    if not is_object(body):
        return Failure("malformed")
    return read_error(body, target) if isinstance(body.get("message"), str) else body
