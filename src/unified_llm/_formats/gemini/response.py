"""Whole answers: what Gemini's JSON means. Nothing here raises for what it sends.

One of the answers to a prompt, read part by part: the same for whole answers and for streams.

What an answer rests on: Gemini's grounding (search, maps, files) and its quotations, as citations.

Gemini counts bytes of UTF-8, we count characters; and it counts within one part, while here the parts are one text. So
a place is taken over only if the text there is the one that Gemini says, and looked for otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import Target
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
from unified_llm._formats.response_fields import read_page
from unified_llm._lib.bounded_json import finite
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest
from unified_llm.types.responses import (
    Citation,
    EmbeddingResponse,
    FinishReason,
    LLMChunk,
    LLMResponse,
    ModelInfo,
    TokenLogprob,
)

log = logging.getLogger("unified_llm")

_FINISH: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
# Reasons that end no answer: what the model wrote could not be read, or the request should not have been answered.
_BROKEN_OFF: Final[Mapping[str, FailureKind]] = {
    "MALFORMED_FUNCTION_CALL": "invalid",
    "UNEXPECTED_TOOL_CALL": "invalid",
    "TOO_MANY_TOOL_CALLS": "invalid",
    "MALFORMED_RESPONSE": "malformed",
    "MISSING_THOUGHT_SIGNATURE": "bad_request",
    "PUP_LIMITED_DISABLED": "permission",  # the account is limited or disabled
}


class Candidate:
    """What has come of one answer.

    Attributes:
        calls: The functions it wants to call.
        layout: How it was cut into parts.
        spoke: Whether anything came at all, pictures and the like included.
    """

    __slots__ = ("_content", "_identifiers", "_reasoning", "calls", "layout", "spoke")

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._identifiers = Identifiers()
        self.calls: list[ToolCall] = []
        self.layout = Layout()
        self.spoke = False

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._content)

    @property
    def reasoning(self) -> str | None:
        """The visible thoughts so far."""
        return "".join(self._reasoning) or None

    def read(self, candidate: Mapping[str, Any], response_id: str | None) -> Iterator[LLMChunk]:
        """Its next parts, as chunks."""
        parts = object_or_empty(candidate.get("content")).get("parts")
        for part in parts if is_list(parts) else ():
            chunk = self._part(part, response_id) if is_object(part) else None
            if chunk is not None:
                yield chunk

    def _part(self, part: dict[str, Any], response_id: str | None) -> LLMChunk | None:
        signature = text_or_none(part.get("thoughtSignature"))
        text = part["text"] if isinstance(part.get("text"), str) else None
        if is_object(part.get("functionCall")):
            return self._call(part["functionCall"], signature, response_id)
        if text is not None and part.get("thought") is True:
            if signature:
                self.layout.other(part)
            return self._thought(text)
        if text is not None:
            self.layout.text(len(text), signature)
            return self._text(text)
        self.spoke = True
        if "inlineData" not in part:  # what was drawn or spoken is not sent back
            self.layout.other(part)
        return None

    def _thought(self, text: str) -> LLMChunk | None:
        self._reasoning.append(text)
        self.spoke = self.spoke or bool(text)
        return LLMChunk(reasoning=text) if text else None

    def _text(self, text: str) -> LLMChunk | None:
        self._content.append(text)
        self.spoke = self.spoke or bool(text)
        return LLMChunk(content=text) if text else None

    def _call(self, said: dict[str, Any], signature: str | None, response_id: str | None) -> LLMChunk:
        number = len(self.calls)
        # Models before the third generation name no calls; the answer's own name keeps ours apart from other answers'.
        made = f"call_{response_id}_{number}" if response_id else None
        identifier, name = self._identifiers.take(said.get("id"), made), text_or_none(said.get("name")) or ""
        call = ToolCall.from_text(identifier, name, json_text(said.get("args") or {}))
        self.calls.append(call)
        self.layout.call(call.id, signature)
        self.spoke = True
        return LLMChunk(tool_calls=(ToolCallChunk(number, call.id, call.name, call.raw_arguments),))


def finish_reason(said: str | None, candidate: Candidate, target: Target) -> FinishReason | Failure:
    """One of our four; or why this is no answer."""
    if said is not None and said in _BROKEN_OFF:
        return Failure(_BROKEN_OFF[said], code=said)
    reason = _FINISH.get(said or "")
    if reason is None and said:
        log.debug("%s gave a finish reason that is not known; it is read as stop", target.name)
    reason = reason or "stop"
    if reason != "stop":
        return reason
    if not candidate.spoke:
        return Failure("empty", code=said if said != "STOP" else None)
    return "tool_calls" if candidate.calls else "stop"


def read_logprobs(candidate: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """The tokens of a ``logprobsResult``, each with the likeliest in its place."""
    result = object_or_empty(candidate.get("logprobsResult"))
    chosen, likeliest = result.get("chosenCandidates"), result.get("topCandidates")
    tokens: list[TokenLogprob] = []
    for index, each in enumerate(chosen if is_list(chosen) else ()):
        token = _token(each)
        if token is not None:
            beside = likeliest[index] if is_list(likeliest) and index < len(likeliest) else None
            others = object_or_empty(beside).get("candidates")
            top = (_token(other) for other in (others if is_list(others) else ()))
            tokens.append(TokenLogprob(*token, top=tuple(other for other in top if other is not None)))
    return tuple(tokens)


def _token(said: object) -> tuple[str, float] | None:
    known = object_or_empty(said)
    token, logprob = known.get("token"), finite(known.get("logProbability", 0.0))
    return (token, logprob) if isinstance(token, str) and logprob is not None else None


_SOURCES: Final = ("web", "retrievedContext", "maps", "image")


def read_citations(candidate: Mapping[str, Any], content: str) -> tuple[Citation, ...]:
    """What a candidate says of its sources, each once; ``content`` is its text up to here."""
    return tuple(dict.fromkeys([*_grounded(candidate, content), *_quoted(candidate, content)]))


def _grounded(candidate: Mapping[str, Any], content: str) -> Iterator[Citation]:
    """A citation for each sentence and source, then the sources that no sentence names."""
    grounding = object_or_empty(candidate.get("groundingMetadata"))
    chunks, supports = grounding.get("groundingChunks"), grounding.get("groundingSupports")
    sources = [_source(each) for each in (chunks if is_list(chunks) else ())]
    named: set[int] = set()
    for each in supports if is_list(supports) else ():
        support = object_or_empty(each)
        start, end = _place(object_or_empty(support.get("segment")), content)
        indices = support.get("groundingChunkIndices")
        for index in indices if is_list(indices) else ():
            if type(index) is int and 0 <= index < len(sources):
                named.add(index)
                url, title, text = sources[index]
                yield Citation(url, title, text, start, end)
    yield from (Citation(*source) for index, source in enumerate(sources) if index not in named and any(source))


def _source(chunk: object) -> tuple[str | None, str | None, str | None]:
    known = object_or_empty(chunk)
    source: dict[str, Any] = next((known[name] for name in _SOURCES if is_object(known.get(name))), {})
    url = text_or_none(source.get("uri")) or text_or_none(source.get("sourceUri"))
    return url, text_or_none(source.get("title")), text_or_none(source.get("text"))


def _quoted(candidate: Mapping[str, Any], content: str) -> Iterator[Citation]:
    """Passages that the model took word for word. The list has had two names."""
    metadata = object_or_empty(candidate.get("citationMetadata"))
    quoted = metadata.get("citationSources") or metadata.get("citations")
    for each in quoted if is_list(quoted) else ():
        if is_object(each):
            start, end = _place(each, content)
            yield Citation(text_or_none(each.get("uri")), text_or_none(each.get("title")), None, start, end)


def _place(segment: Mapping[str, Any], content: str) -> tuple[int, int] | tuple[None, None]:
    """Where a segment begins and ends, in characters."""
    text = text_or_none(segment.get("text"))
    start, end = count(segment.get("startIndex")), count(segment.get("endIndex"))
    whole = content.encode(errors="replace")
    if start < end <= len(whole) and (text is not None or not segment.get("partIndex")):
        before, here = (piece.decode(errors="replace") for piece in (whole[:start], whole[start:end]))
        if text is None or here == text:
            return len(before), len(before) + len(here)
    found = content.find(text) if text else -1
    return (found, found + len(text)) if text and found >= 0 else (None, None)


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
        provider_state=candidate.layout.keep_state(content, target),
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


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``:batchEmbedContents``: as many vectors as there were texts, in their order, all of one length."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    listed = answer.get("embeddings")
    rows = [object_or_empty(each).get("values") for each in (listed if is_list(listed) else ())]
    vectors = read_vectors(rows, len(request.texts))
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
    tokens = non_negative_int(answer.get("totalTokens"))
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
