"""Checks of everything that codecs return, whatever a provider sends, for every format."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from tests.support.recordings import RecordedTarget
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._lib.bounded_json import dump
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import (
    Citation,
    CountRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    FinishReason,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    ModelInfo,
    ModelRequest,
    ModelsRequest,
    ProviderState,
    RerankRequest,
    RerankResponse,
    TokenLogprob,
    Usage,
)


def play(source: RecordedTarget, events: Iterable[ServerSentEvent]) -> list[Any]:
    """Decode a stream to its end, and check it."""
    decoder, out = source.decoder(), list[Any]()
    for event in events:
        chunks = decoder.feed(event)
        if out and isinstance(out[-1], (Done, Failure)):
            assert not chunks, "nothing comes after the end"
        out.extend(chunks)
    if not out or not isinstance(out[-1], (Done, Failure)):
        out.append(decoder.finish())
    check_stream(out)
    return out


def check_stream(out: Sequence[Any]) -> None:
    """Check that there are chunks, none of them empty, and then one end."""
    *chunks, end = out
    calls: dict[int, str] = {}
    for chunk in chunks:
        assert isinstance(chunk, LLMChunk), chunk
        texts = (chunk.content, chunk.reasoning, chunk.refusal)
        assert all(isinstance(text, str) for text in texts)
        assert any(texts) or chunk.tool_calls or chunk.citations or chunk.logprobs, "no chunk is empty"
        assert not (chunk.tool_calls and any(texts)), "text and calls never share a chunk"
        last = (chunk.finish_reason, chunk.usage, chunk.model, chunk.provider, chunk.provider_state, chunk.response_id)
        assert last == (None,) * 6, "what belongs to the last chunk is on the last chunk"
        check_citations_and_logprobs(chunk.citations, chunk.logprobs)
        for fragment in chunk.tool_calls:
            assert type(fragment.index) is int
            assert isinstance(fragment.arguments, str)
            if fragment.index in calls:
                assert fragment.id is None
                assert fragment.name is None
            else:
                assert fragment.index == len(calls), "calls are numbered in their order"
                assert isinstance(fragment.name, str)
                assert fragment.id
                calls[fragment.index] = fragment.id
    assert len(set(calls.values())) == len(calls), "no two calls of an answer have one identifier"
    if isinstance(end, Failure):
        check_failure(end)
        return
    assert isinstance(end, Done)
    assert isinstance(end.value, LLMChunk)
    check_end(end.value, len(calls))
    assert not any((end.value.content, end.value.reasoning, end.value.tool_calls))


def check_end(last: LLMChunk | LLMResponse, calls: int) -> None:
    """Check the fields that a whole response and a last chunk have in common."""
    assert last.finish_reason in get_args(FinishReason)
    assert calls or last.finish_reason != "tool_calls"
    assert isinstance(last.model, str)
    assert last.model
    assert last.provider
    assert last.response_id is None or (isinstance(last.response_id, str) and last.response_id)
    check_usage(last.usage)
    check_provider_state(last.provider_state)


def check_usage(usage: Usage | None) -> None:
    if usage is None:
        return
    counts = [getattr(usage, name) for name in Usage.__slots__]
    assert all(type(count) is int and count >= 0 for count in counts), usage
    assert usage.total_tokens >= usage.prompt_tokens + usage.completion_tokens, usage


def check_provider_state(provider_state: ProviderState | None) -> None:
    if provider_state is not None:
        assert len(dump(provider_state.as_dict())) < 100_000
        assert ProviderState.from_dict(json.loads(dump(provider_state.as_dict()))) == provider_state


def check_citations_and_logprobs(citations: tuple[Citation, ...], logprobs: tuple[TokenLogprob, ...]) -> None:
    for citation in citations:
        for text in (citation.url, citation.title, citation.text):
            assert text is None or (isinstance(text, str) and text)
        for offset in (citation.start, citation.end):
            assert offset is None or (type(offset) is int and offset >= 0), citation
    for token in logprobs:
        for name, number in ((token.token, token.logprob), *token.top):
            assert isinstance(name, str)
            assert isinstance(number, float)
            assert math.isfinite(number)


def check_failure(failure: Failure) -> None:
    assert failure.kind in get_args(FailureKind)
    assert failure.code is None or re.fullmatch(r"[\w.\-:/ ]{1,80}", failure.code, re.ASCII), failure.code
    assert failure.detail is None or isinstance(failure.detail, str)
    assert len(failure.detail or "") < 3000
    assert failure.retry_after is None or 0 <= failure.retry_after <= 10**6
    assert failure.status is None or type(failure.status) is int


def check_outcome(request: AnyRequest, outcome: Any) -> None:
    """Check the outcome of a request of any kind."""
    if isinstance(outcome, Failure):
        check_failure(outcome)
        return
    assert isinstance(outcome, Done)
    value = outcome.value
    repr(value)
    match request:
        case LLMRequest():
            for answer in (value, *value.alternatives):
                check_answer(answer)
        case EmbeddingRequest():
            check_vectors(request, value)
        case ModelsRequest():
            models, cursor = value
            assert cursor is None or (isinstance(cursor, str) and cursor)
            for model in models:
                check_model(model)
        case ModelRequest():
            check_model(value)
        case CountRequest():
            assert type(value) is int
            assert value >= 0
        case RerankRequest():
            assert isinstance(value, RerankResponse)
            check_usage(value.usage)
            indexes = [result.index for result in value.results]
            assert len(set(indexes)) == len(indexes)
            assert set(indexes) <= set(range(len(request.documents)))
            assert all(math.isfinite(result.score) for result in value.results)


def check_answer(answer: Any) -> None:
    assert isinstance(answer, LLMResponse)
    assert isinstance(answer.content, str)
    for text in (answer.reasoning, answer.refusal):
        assert text is None or (isinstance(text, str) and text)
    check_end(answer, len(answer.tool_calls))
    check_citations_and_logprobs(answer.citations, answer.logprobs)
    for call in answer.tool_calls:
        assert isinstance(call.id, str)
        assert call.id
        assert isinstance(call.name, str)
        assert isinstance(call.raw_arguments, str)
    identifiers = [call.id for call in answer.tool_calls]
    assert len(set(identifiers)) == len(identifiers), "no two calls of an answer have one identifier"


def check_vectors(request: EmbeddingRequest, value: Any) -> None:
    assert isinstance(value, EmbeddingResponse)
    check_usage(value.usage)
    assert len(value.vectors) == len(request.texts)
    assert len({len(vector) for vector in value.vectors}) == 1
    assert all(type(number) is float and math.isfinite(number) for vector in value.vectors for number in vector)


def check_model(model: Any) -> None:
    assert isinstance(model, ModelInfo)
    assert isinstance(model.id, str)
    assert model.id
    for number in (model.created, model.context_window, model.max_output):
        assert number is None or (type(number) is int and number > 0)
    for names in (model.features, model.parameters):
        assert names is None or all(isinstance(name, str) for name in names)
