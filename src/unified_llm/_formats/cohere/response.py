"""Whole answers: what the JSON of ``/v2/chat`` means. Nothing here raises for what the provider sends.

Vectors, rankings and models: what the other endpoints answer. Nothing here raises for what the provider sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.cohere.errors import read_error
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
from unified_llm._formats.response_fields import read_page
from unified_llm._lib.bounded_json import finite
from unified_llm.types.messages import ProviderState
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest, RerankRequest
from unified_llm.types.responses import (
    Citation,
    EmbeddingResponse,
    FinishReason,
    LLMResponse,
    ModelInfo,
    RankedDocument,
    RerankResponse,
    TokenLogprob,
)

_FINISH: Final[Mapping[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
# The provider gave up in the middle.
_BROKEN_OFF: Final = frozenset({"ERROR", "TIMEOUT"})


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v2/chat``."""
    if not is_object(body):
        return Failure("malformed")
    message = body.get("message")
    if not is_object(message):
        return read_error(body) if isinstance(message, str) else Failure("malformed")
    texts, thoughts = _texts(message)
    content, plan = "".join(texts.values()), text_or_none(message.get("tool_plan")) or ""
    calls = tuple(response_fields.read_calls(message.get("tool_calls"), Identifiers()))
    end = read_end(body, target, spoke=bool(content or thoughts or plan or calls), has_calls=bool(calls))
    if isinstance(end, Failure):
        return end
    return Done(
        LLMResponse(
            content=content,
            model=target.model,
            provider=target.provider,
            finish_reason=end,
            response_id=text_or_none(body.get("id")),
            usage=read_usage(body.get("usage")),
            tool_calls=calls,
            reasoning=thoughts + plan or None,
            citations=tuple(_citations(message, texts)),
            logprobs=read_logprobs(body.get("logprobs")),
            provider_state=keep_state(thoughts, plan, target, has_calls=bool(calls)),
            raw=body,
        )
    )


def _texts(message: Mapping[str, Any]) -> tuple[dict[int, str], str]:
    """The texts, by their places in the list of blocks, and the reasoning."""
    blocks = message.get("content")
    if isinstance(blocks, str):
        return {0: blocks}, ""
    texts: dict[int, str] = {}
    thoughts = ""
    for index, block in enumerate(blocks if is_list(blocks) else ()):
        text, thought = read_block(block)
        if text:
            texts[index] = text
        thoughts += thought
    return texts, thoughts


def read_block(block: object) -> tuple[str, str]:
    """Text and reasoning of a block of content, or of a piece of one."""
    known = object_or_empty(block)
    return text_or_none(known.get("text")) or "", text_or_none(known.get("thinking")) or ""


def _citations(message: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[Citation]:
    citations = message.get("citations")
    for citation in citations if is_list(citations) else ():
        index = object_or_empty(citation).get("content_index")
        before = sum(len(text) for position, text in texts.items() if isinstance(index, int) and position < index)
        yield from read_citation(citation, before)


def read_citation(citation: object, before: int) -> Iterator[Citation]:
    """One for each source. Places are counted from the start of a block, which has so much text ``before`` it.

    What a plan or the reasoning rests on has no place in the text.
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
    """The log probabilities. A text of several tokens is as likely as all of them together."""
    read: list[TokenLogprob] = []
    for item in items if is_list(items) else ():
        values = item.get("logprobs") if is_object(item) else None
        numbers = [number for each in (values if is_list(values) else ()) if (number := finite(each)) is not None]
        text = object_or_empty(item).get("text")
        if numbers and isinstance(text, str):
            read.append(TokenLogprob(text, sum(numbers)))
    return tuple(read)


def read_end(body: Mapping[str, Any], target: Target, *, spoke: bool, has_calls: bool) -> FinishReason | Failure:
    """Why it ended, from an answer or the last event of a stream. An unknown reason is a ``stop``."""
    said = body.get("finish_reason")
    if isinstance(said, str) and said in _BROKEN_OFF:
        return Failure("server", code=said, detail=brief(body.get("error")))
    reason = response_fields.finish_reason(said, _FINISH, target, has_calls=has_calls)
    return reason if spoke or reason == "length" else Failure("empty")


def read_usage(usage: object) -> Usage | None:
    """Tokens that the model read and wrote; those that are billed, which are fewer, where nothing else is said."""
    if not is_object(usage):
        return None
    counted = object_or_empty(usage.get("tokens")) or object_or_empty(usage.get("billed_units"))
    if not {"input_tokens", "output_tokens"} & counted.keys():
        return None
    prompt, completion = count(counted.get("input_tokens")), count(counted.get("output_tokens"))
    return Usage(prompt, completion, prompt + completion, cached_tokens=count(usage.get("cached_tokens")))


def keep_state(thoughts: str, plan: str, target: Target, *, has_calls: bool) -> ProviderState | None:
    """What led to calls, for the turn that brings their results."""
    kept = {name: text for name, text in (("thinking", thoughts), ("tool_plan", plan)) if text}
    return response_fields.keep_state(kept, target) if kept and has_calls else None


# The forms of a vector that hold one number for each dimension, the most exact first; the others are packed bits.
_FORMS: Final = ("float", "base64", "int8", "uint8")
# What the endpoints of a model mean in the words of our table.
_FEATURES: Final[Mapping[str, str]] = {"chat": "streaming", "embed": "embeddings", "rerank": "rerank"}


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v2/embed``: one vector for each text, all of one length."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    forms = object_or_empty(answer.get("embeddings"))
    vectors = read_vectors(next((found for form in _FORMS if (found := forms.get(form))), None), len(request.texts))
    if vectors is None:
        return Failure("malformed")
    return Done(EmbeddingResponse(vectors, target.model, target.provider, read_usage(answer.get("meta"))))


def read_ranking(request: RerankRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v2/rerank``, the best first."""
    answer = _answer(body)
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
    """The answer of ``/v1/models``: ``(models, cursor)``."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    cursor = text_or_none(answer.get("next_page_token"))
    return read_page(answer.get("models"), lambda item: _model(item, target), cursor)


def read_info(_: ModelRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v1/models/{name}``."""
    answer = _answer(body)
    if isinstance(answer, Failure):
        return answer
    model = _model(answer, target)
    return Done(model) if model else Failure("malformed")


def _model(item: Mapping[str, Any], target: Target) -> ModelInfo | None:
    """A model, with what it can be asked for; what else it has goes by Cohere's own names."""
    if (name := text_or_none(item.get("name"))) is None:
        return None
    endpoints, features = item.get("endpoints"), item.get("features")
    known: set[str] = {name for name in features if isinstance(name, str)} if is_list(features) else set()
    for endpoint in endpoints if is_list(endpoints) else ():
        if isinstance(endpoint, str) and endpoint in _FEATURES:
            known.add(_FEATURES[endpoint])
    return ModelInfo(
        id=name,
        provider=target.provider,
        context_window=count(item.get("context_length")) or None,
        features=frozenset(known) if is_list(endpoints) or is_list(features) else None,
    )


def _answer(body: object) -> dict[str, Any] | Failure:
    """The body if it is one, rather than an error at status 200 or no JSON object at all."""
    if not is_object(body):
        return Failure("malformed")
    return read_error(body) if isinstance(body.get("message"), str) else body
