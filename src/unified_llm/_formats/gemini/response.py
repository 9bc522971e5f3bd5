"""Whole responses of Gemini: answers, citations, vectors, models, token counts. Nothing here raises for what it sends.

A candidate, one of the answers to a prompt, is read part by part in the same way for whole answers and for streams.
Gemini's grounding (search, maps, files) and its quotations become citations, whose places ``CitedText`` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.finish_reasons import read_finish_reason
from unified_llm._formats.gemini.cited_text import CitedText
from unified_llm._formats.gemini.errors import is_error, read_error
from unified_llm._formats.gemini.provider_state import Layout
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import (
    brief,
    count,
    is_list,
    is_object,
    json_text,
    non_negative_int,
    object_or_empty,
    read_vectors,
    text_or_none,
)
from unified_llm._formats.response_fields import read_page, unusable_vectors
from unified_llm._lib.bounded_json import finite, size_of_value
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest
from unified_llm.types.responses import (
    Citation,
    EmbeddingResponse,
    LLMChunk,
    LLMResponse,
    ModelInfo,
    TokenLogprob,
)


class Candidate:
    """One answer, as far as it was received.

    Attributes:
        text: Its text.
        calls: The tool calls.
        calls_size: The bytes that the calls take, roughly.
        layout: How the answer was divided into parts.
        has_content: Whether an answer was received, media included; thoughts alone are none.
    """

    __slots__ = ("_identifiers", "_reasoning", "calls", "calls_size", "has_content", "layout", "text")

    def __init__(self) -> None:
        self.text = CitedText()
        self._reasoning: list[str] = []
        self.calls_size = 0
        self._identifiers = Identifiers()
        self.calls: list[ToolCall] = []
        self.layout = Layout()
        self.has_content = False

    @property
    def content(self) -> str:
        """The text so far."""
        return self.text.joined()

    @property
    def reasoning(self) -> str | None:
        """The visible thoughts so far."""
        return "".join(self._reasoning) or None

    def read(self, candidate: Mapping[str, Any], response_id: str | None) -> Iterator[LLMChunk]:
        """Read the next parts, as chunks."""
        parts = object_or_empty(candidate.get("content")).get("parts")
        for part in parts if is_list(parts) else ():
            chunk = self._read_part(part, response_id) if is_object(part) else None
            if chunk is not None:
                yield chunk

    def _read_part(self, part: dict[str, Any], response_id: str | None) -> LLMChunk | None:
        signature = text_or_none(part.get("thoughtSignature"))
        text = part["text"] if isinstance(part.get("text"), str) else None
        if is_object(part.get("functionCall")):
            return self._read_call(part["functionCall"], signature, response_id)
        if text is not None and part.get("thought") is True:
            if signature:
                self.layout.add_part(part)
            return self._add_reasoning(text)
        if text is not None:
            self.layout.add_text(len(text), signature)
            return self._add_text(text)
        self.has_content = True
        if "inlineData" not in part:  # images and audio of the model are not sent back
            self.layout.add_part(part)
        return None

    def _add_reasoning(self, text: str) -> LLMChunk | None:
        self._reasoning.append(text)
        return LLMChunk(reasoning=text) if text else None

    def _add_text(self, text: str) -> LLMChunk | None:
        self.text.append(text)
        self.has_content = self.has_content or bool(text)
        return LLMChunk(content=text) if text else None

    def _read_call(self, function: dict[str, Any], signature: str | None, response_id: str | None) -> LLMChunk:
        number = len(self.calls)
        # Models before the third generation send no call ids; the response id keeps ours unique across answers.
        default = f"call_{response_id}_{number}" if response_id else None
        identifier, name = self._identifiers.take(function.get("id"), default), text_or_none(function.get("name")) or ""
        call = ToolCall.parse(identifier, name, json_text(function.get("args") or {}))
        self.calls.append(call)
        self.calls_size += size_of_value(function)
        self.layout.add_call(call.id, signature)
        self.has_content = True
        return LLMChunk(tool_calls=(ToolCallChunk(number, call.id, call.name, call.raw_arguments),))


def read_logprobs(candidate: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """Read the tokens of a ``logprobsResult``, each with the likeliest alternatives."""
    result = object_or_empty(candidate.get("logprobsResult"))
    chosen, likeliest = result.get("chosenCandidates"), result.get("topCandidates")
    tokens: list[TokenLogprob] = []
    for index, item in enumerate(chosen if is_list(chosen) else ()):
        token = _read_token(item)
        if token is not None:
            step = likeliest[index] if is_list(likeliest) and index < len(likeliest) else None
            alternatives = object_or_empty(step).get("candidates")
            top = (_read_token(other) for other in (alternatives if is_list(alternatives) else ()))
            tokens.append(TokenLogprob(*token, top=tuple(other for other in top if other is not None)))
    return tuple(tokens)


def _read_token(item: object) -> tuple[str, float] | None:
    known = object_or_empty(item)
    token, logprob = known.get("token"), finite(known.get("logProbability", 0.0))
    return (token, logprob) if isinstance(token, str) and logprob is not None else None


_SOURCES: Final = ("web", "retrievedContext", "maps", "image")


def read_citations(candidate: Mapping[str, Any], text: CitedText) -> tuple[Citation, ...]:
    """Read the sources of a candidate, without duplicates; ``text`` is its text so far."""
    return tuple(dict.fromkeys([*_grounding_citations(candidate, text), *_quoted_citations(candidate, text)]))


def _grounding_citations(candidate: Mapping[str, Any], text_so_far: CitedText) -> Iterator[Citation]:
    """Read a citation for each pair of sentence and source, then the sources without a sentence."""
    grounding = object_or_empty(candidate.get("groundingMetadata"))
    chunks, supports = grounding.get("groundingChunks"), grounding.get("groundingSupports")
    sources = [_read_source(chunk) for chunk in (chunks if is_list(chunks) else ())]
    cited: set[int] = set()
    for item in supports if is_list(supports) else ():
        support = object_or_empty(item)
        start, end = text_so_far.locate(object_or_empty(support.get("segment")))
        indices = support.get("groundingChunkIndices")
        for index in indices if is_list(indices) else ():
            if type(index) is int and 0 <= index < len(sources):
                cited.add(index)
                url, title, text = sources[index]
                yield Citation(url, title, text, start, end)
    yield from (Citation(*source) for index, source in enumerate(sources) if index not in cited and any(source))


def _read_source(chunk: object) -> tuple[str | None, str | None, str | None]:
    known = object_or_empty(chunk)
    source: dict[str, Any] = next((known[name] for name in _SOURCES if is_object(known.get(name))), {})
    url = text_or_none(source.get("uri")) or text_or_none(source.get("sourceUri"))
    return url, text_or_none(source.get("title")), text_or_none(source.get("text"))


def _quoted_citations(candidate: Mapping[str, Any], text: CitedText) -> Iterator[Citation]:
    """Read the passages that the model quoted. The API has had two names for the list."""
    metadata = object_or_empty(candidate.get("citationMetadata"))
    quoted = metadata.get("citationSources") or metadata.get("citations")
    for passage in quoted if is_list(quoted) else ():
        if is_object(passage):
            start, end = text.locate(passage)
            yield Citation(text_or_none(passage.get("uri")), text_or_none(passage.get("title")), None, start, end)


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``:generateContent``."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    items = answer.get("candidates")
    candidates = [item for item in items if is_object(item)] if is_list(items) else []
    if not candidates:
        return read_blocked_prompt(answer) or Failure("empty")
    first = _read_candidate(candidates[0], answer, target)
    if isinstance(first, Failure):
        return first
    others = [_read_candidate(candidate, answer, target) for candidate in candidates[1:]]
    alternatives = tuple(response for response in others if not isinstance(response, Failure))
    return Done(replace(first, alternatives=alternatives, usage=read_usage(answer), raw=answer))


def _read_candidate(data: Mapping[str, Any], answer: Mapping[str, Any], target: Target) -> LLMResponse | Failure:
    candidate = Candidate()
    response_id = text_or_none(answer.get("responseId"))
    for _ in candidate.read(data, response_id):
        pass  # the candidate collects the parts; a whole answer needs no chunks
    reason = read_finish_reason(
        data.get("finishReason"),
        target,
        has_content=candidate.has_content,
        has_calls=bool(candidate.calls),
        detail=brief(data.get("finishMessage")),
    )
    if isinstance(reason, Failure):
        return reason
    content = candidate.content
    return LLMResponse(
        content=content,
        model=text_or_none(answer.get("modelVersion")) or target.model,
        provider=target.provider,
        finish_reason=reason,
        response_id=response_id,
        tool_calls=tuple(candidate.calls),
        reasoning=candidate.reasoning,
        citations=read_citations(data, candidate.text),
        logprobs=read_logprobs(data),
        provider_state=candidate.layout.keep_state(content, target),
    )


def read_blocked_prompt(answer: Mapping[str, Any]) -> Failure | None:
    """Return the failure of a blocked prompt, whose response has no candidate; None if it was not blocked."""
    feedback = object_or_empty(answer.get("promptFeedback"))
    reason = text_or_none(feedback.get("blockReason"))
    return Failure("filter", code=reason, detail=text_or_none(feedback.get("blockReasonMessage"))) if reason else None


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """Read the token counts.

    Gemini counts thoughts apart from the answer, and tokens that its built-in tools add apart from the prompt; both are
    included here.
    """
    usage = answer.get("usageMetadata")
    if not is_object(usage) or not usage:
        return None
    prompt = count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount"))
    completion = count(usage.get("candidatesTokenCount")) + thoughts
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cached_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        audio_tokens=_audio_tokens(usage.get("promptTokensDetails")),
        audio_output_tokens=_audio_tokens(usage.get("candidatesTokensDetails")),
    )


def _audio_tokens(details: object) -> int:
    items = (object_or_empty(detail) for detail in (details if is_list(details) else ()))
    return sum(count(item.get("tokenCount")) for item in items if item.get("modality") == "AUDIO")


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``:batchEmbedContents``: one vector for each text, in order, all of one length."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    items = answer.get("embeddings")
    rows = [object_or_empty(item).get("values") for item in (items if is_list(items) else ())]
    vectors = read_vectors(rows, len(request.texts))
    if vectors is None:
        return unusable_vectors(rows if is_list(items) else None, len(request.texts))
    return Done(EmbeddingResponse(vectors, target.model, target.provider, read_usage(answer)))


def read_models(_: ModelsRequest, body: object, target: Target) -> Done | Failure:
    """Read a page of the model list: ``(models, cursor)``. An empty page comes without a list."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("nextPageToken"))
    return read_page(answer.get("models", []), lambda item: _read_model_info(item, target), cursor)


def read_model(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """Read the description of one model."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    model = _read_model_info(answer, target)
    return Done(model) if model else Failure("malformed")


def read_count(_: CountRequest, body: object, _target: Target) -> Done | Failure:
    """Read the number of tokens of a prompt."""
    answer = read_body(body)
    if isinstance(answer, Failure):
        return answer
    tokens = non_negative_int(answer.get("totalTokens"))
    return Failure("malformed") if tokens is None else Done(tokens)


def _read_model_info(item: Mapping[str, Any], target: Target) -> ModelInfo | None:
    if (name := text_or_none(item.get("name"))) is None:
        return None
    methods = item.get("supportedGenerationMethods")
    # For chat models the API lists neither tools nor vision; only models for embeddings can be recognised.
    embeds_only = is_list(methods) and "generateContent" not in methods and any("mbed" in str(kind) for kind in methods)
    return ModelInfo(
        id=name.removeprefix("models/"),
        provider=target.provider,
        owned_by="google",
        context_window=count(item.get("inputTokenLimit")) or None,
        max_output=count(item.get("outputTokenLimit")) or None,
        features=frozenset({"embeddings"}) if embeds_only else None,
        description=text_or_none(item.get("description")),
        output_types=frozenset({"embeddings"}) if embeds_only else None,
    )


def read_body(body: object) -> dict[str, Any] | Failure:
    """Return the body, or the failure if it is an error at status 200 or not a JSON object."""
    if is_error(body):
        return read_error(body)
    return body if is_object(body) else Failure("malformed")
