"""Whole answers: what Gemini's JSON means. Nothing here raises for what it sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.outcome import Done, Failure
from unified_llm.providers.gemini.candidate import Candidate, finish_reason, read_logprobs
from unified_llm.providers.gemini.errors import is_error, read_error
from unified_llm.providers.gemini.grounding import read_citations
from unified_llm.providers.numbers import count, place, read_vectors
from unified_llm.providers.reading import read_page
from unified_llm.providers.shapes import brief, is_list, is_object, object_or_empty, text_or_none
from unified_llm.target import Target
from unified_llm.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    LLMRequest,
    LLMResponse,
    ModelInfo,
    ModelsRequest,
    Usage,
)


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``:generateContent``."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    listed = answer.get("candidates")
    candidates = [each for each in listed if is_object(each)] if is_list(listed) else []
    if not candidates:
        return read_block(answer) or Failure("empty")
    first = _response(candidates[0], answer, target)
    if isinstance(first, Failure):
        return first
    others = [_response(each, answer, target) for each in candidates[1:]]
    alternatives = tuple(each for each in others if not isinstance(each, Failure))
    return Done(replace(first, alternatives=alternatives, usage=read_usage(answer), raw=answer))


def _response(said: Mapping[str, Any], answer: Mapping[str, Any], target: Target) -> LLMResponse | Failure:
    candidate = Candidate()
    response_id = text_or_none(answer.get("responseId"))
    for _ in candidate.read(said, response_id):
        pass  # a whole answer is what has come when all of it was read
    reason = finish_reason(text_or_none(said.get("finishReason")), candidate, target)
    if isinstance(reason, Failure):
        return replace(reason, detail=brief(said.get("finishMessage")))
    content = candidate.content
    return LLMResponse(
        content=content,
        model=text_or_none(answer.get("modelVersion")) or target.model,
        provider=target.provider,
        finish_reason=reason,
        response_id=response_id,
        tool_calls=tuple(candidate.calls),
        reasoning=candidate.reasoning,
        citations=read_citations(said, content),
        logprobs=read_logprobs(said),
        sealed=candidate.layout.seal(content, target),
    )


def read_block(answer: Mapping[str, Any]) -> Failure | None:
    """Why the prompt was blocked, if it was: then there is no candidate."""
    feedback = object_or_empty(answer.get("promptFeedback"))
    reason = text_or_none(feedback.get("blockReason"))
    return Failure("filter", code=reason, detail=text_or_none(feedback.get("blockReasonMessage"))) if reason else None


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Tokens counted in our one way.

    Gemini counts thoughts beside the answer, and what its own tools put into the prompt beside the prompt.
    """
    said = answer.get("usageMetadata")
    if not is_object(said) or not said:
        return None
    prompt = count(said.get("promptTokenCount")) + count(said.get("toolUsePromptTokenCount"))
    thoughts = count(said.get("thoughtsTokenCount"))
    completion = count(said.get("candidatesTokenCount")) + thoughts
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cached_tokens=count(said.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        audio_tokens=_heard(said.get("promptTokensDetails")),
        audio_output_tokens=_heard(said.get("candidatesTokensDetails")),
    )


def _heard(details: object) -> int:
    every = (object_or_empty(each) for each in (details if is_list(details) else ()))
    return sum(count(each.get("tokenCount")) for each in every if each.get("modality") == "AUDIO")


def read_embeddings(ask: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``:batchEmbedContents``: as many vectors as there were texts, in their order, all of one length."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    listed = answer.get("embeddings")
    rows = [object_or_empty(each).get("values") for each in (listed if is_list(listed) else ())]
    vectors = read_vectors(rows, len(ask.texts))
    if vectors is None:
        return Failure("malformed")
    return Done(EmbeddingResponse(vectors, target.model, target.provider, read_usage(answer)))


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """A page of models: ``(models, cursor)``. An empty page is written without its list."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("nextPageToken"))
    return read_page(answer.get("models", []), lambda each: _model(each, target), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """What Gemini says of one model."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    model = _model(answer, target)
    return Done(model) if model else Failure("malformed")


def read_count(_: CountRequest, body: object, _target: Target) -> Done | Failure:
    """How many tokens a prompt has."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    tokens = place(answer.get("totalTokens"))
    return Failure("malformed") if tokens is None else Done(tokens)


def _model(said: Mapping[str, Any], target: Target) -> ModelInfo | None:
    if (name := text_or_none(said.get("name"))) is None:
        return None
    methods = said.get("supportedGenerationMethods")
    # Of models that answer, it says neither that they call tools nor that they see; of others, that they only embed.
    embeds_only = is_list(methods) and "generateContent" not in methods and any("mbed" in str(each) for each in methods)
    return ModelInfo(
        id=name.removeprefix("models/"),
        provider=target.provider,
        owned_by="google",
        context_window=count(said.get("inputTokenLimit")) or None,
        max_output=count(said.get("outputTokenLimit")) or None,
        features=frozenset({"embeddings"}) if embeds_only else None,
    )


def _answer(body: object) -> dict[str, Any] | Failure:
    """The body if it is an answer, rather than an error at status 200 or no JSON object at all."""
    if is_error(body):
        return read_error(body)
    return body if is_object(body) else Failure("malformed")
