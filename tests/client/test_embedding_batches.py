"""``LLMClient.embed`` of many texts: requests that fit, no text twice, one length, one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.each import each
from tests.support.embed_ways import SYNC_AND_ASYNC, Embed
from tests.support.vectors import KEY, SMALL, EmbeddingTargets, vector
from unified_llm import LLMClient, Usage
from unified_llm._client.embedding_batches import FinishedVectors
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    ContextOverflowError,
    GenerationError,
    TimeoutError,
    ValidationError,
)
from unified_llm.langchain import UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding

COHERE = "cohere/embed-v4.0"
EU, EU_URL = {"base_url": "https://eu.example", "api_key": f"{KEY}-eu"}, "https://eu.example/v1"
TEXTS = [f"text {'x' * number}" for number in range(9)]
VECTORS = [vector(text) for text in TEXTS]


@pytest.fixture(autouse=True)
def _cohere_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHERE_API_KEY", KEY)


def client(*fallbacks: Any, model: str = SMALL, **options: Any) -> LLMClient:
    return LLMClient(model, fallbacks=fallbacks, **options)


def numbered(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def sizes(targets: EmbeddingTargets) -> list[int]:
    return [len(texts) for texts in targets.texts]


# Sizes


@SYNC_AND_ASYNC
def test_300_texts_are_four_requests_to_cohere(embed: Embed) -> None:
    texts = numbered(300)
    with EmbeddingTargets().running() as targets:
        response = embed(client(model=COHERE), texts)
    assert response.vectors == [vector(text) for text in texts]
    assert targets.texts == [tuple(texts[start : start + 96]) for start in (0, 96, 192, 288)]
    assert sizes(targets) == [96, 96, 96, 12]


@SYNC_AND_ASYNC
def test_a_small_list_is_one_request_as_it_stands(embed: Embed) -> None:
    with EmbeddingTargets().running() as targets:
        response = embed(client(), TEXTS, purpose="query", dimensions=3, extra_body={"user": "u"})
        assert embed(client(), "alone").vectors == [vector("alone")]
    assert response.vectors == VECTORS
    assert targets.texts == [tuple(TEXTS), ("alone",)]
    request = targets.requests[0]
    assert (request.purpose, request.dimensions, request.extra_body) == ("query", 3, {"user": "u"})


@SYNC_AND_ASYNC
def test_the_smallest_of_all_limits_counts(embed: Embed) -> None:
    chain = LLMClient({"model": SMALL, "space": "same"}, fallbacks=[{"model": COHERE, "space": "same"}])
    with EmbeddingTargets().running() as targets:
        embed(chain, numbered(100))
        embed(chain, numbered(100), batch_size=500)
        embed(chain, numbered(100), batch_size=60)
        embed(client(), numbered(100))
        embed(client(), numbered(100), model=COHERE)
    assert sizes(targets) == [96, 4, 96, 4, 60, 40, 100, 96, 4]


@SYNC_AND_ASYNC
@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "all"])
def test_a_batch_size_is_a_whole_number_of_at_least_one(embed: Embed, batch_size: Any) -> None:
    with EmbeddingTargets().running() as targets:
        with pytest.raises(ValidationError, match="batch_size must be a whole number, 1 or greater"):
            embed(client(), TEXTS, batch_size=batch_size)
        assert targets.requests == []


@SYNC_AND_ASYNC
@pytest.mark.parametrize("texts", [[], (), None, [1], {"a": 1}])
def test_without_a_text_nothing_is_sent(embed: Embed, texts: Any) -> None:
    with EmbeddingTargets().running() as targets:
        with pytest.raises(ValidationError, match="at least one string"):
            embed(client(), texts)
        assert targets.requests == []


# Requests that are too large


@SYNC_AND_ASYNC
@pytest.mark.parametrize(
    "failure",
    [Failure("too_large", 413), Failure("context", 400), Failure("bad_request", 400), Failure("bad_request", 422)],
)
def test_a_request_that_is_too_large_is_halved_until_it_fits(embed: Embed, failure: Failure) -> None:
    with EmbeddingTargets(lambda request, _: failure if len(request.texts) > 2 else None).running() as targets:
        response = embed(client(), TEXTS)
    assert response.vectors == VECTORS
    assert sizes(targets) == [9, 4, 2, 2, 5, 2, 3, 1, 2]
    assert sorted(targets.answered) == sorted(TEXTS), "no text is answered twice"


@SYNC_AND_ASYNC
def test_one_text_that_is_too_large_is_the_error(embed: Embed) -> None:
    with EmbeddingTargets(
        lambda request, _: Failure("too_large", 413) if TEXTS[2] in request.texts else None
    ).running() as targets:
        with pytest.raises(ContextOverflowError) as caught:
            embed(client(), TEXTS[:4])
        assert targets.texts == [tuple(TEXTS[:4]), tuple(TEXTS[:2]), tuple(TEXTS[2:4]), (TEXTS[2],), (TEXTS[3],)]
    outcomes = [attempt.outcome for attempt in caught.value.attempts]
    assert outcomes == ["too_large", "ok", "too_large", "too_large", "ok"]


@SYNC_AND_ASYNC
def test_other_failures_are_no_reason_to_halve(embed: Embed) -> None:
    with EmbeddingTargets(lambda _request, _target: Failure("auth", 401)).running() as targets:
        with pytest.raises(AuthenticationError) as caught:
            embed(client(), TEXTS)
        assert sizes(targets) == [9]
    assert len(caught.value.attempts) == 1


@SYNC_AND_ASYNC
def test_a_request_that_is_too_large_for_the_last_target_that_is_left_is_halved(embed: Embed) -> None:
    def respond(request: Any, target: Any) -> Failure | None:
        if target.base_url != EU_URL:
            return Failure("model_not_found", 404)
        return Failure("too_large", 413) if len(request.texts) > 5 else None

    with EmbeddingTargets(respond).running():
        assert embed(client(EU), TEXTS).vectors == VECTORS
    with EmbeddingTargets(lambda _request, _target: Failure("model_not_found", 404)).running() as targets:
        with pytest.raises(AllTargetsFailedError):
            embed(client(EU), TEXTS)
        assert sizes(targets) == [9, 9]


# Order, duplicates, length


@SYNC_AND_ASYNC
def test_equal_texts_are_requested_once_and_the_order_is_kept(embed: Embed) -> None:
    texts = [TEXTS[3], TEXTS[1], TEXTS[3], TEXTS[0], TEXTS[1], TEXTS[2]]
    with EmbeddingTargets().running() as targets:
        response = embed(client(), texts, batch_size=3)
    assert response.vectors == [vector(text) for text in texts]
    assert targets.texts == [(TEXTS[3], TEXTS[1], TEXTS[0]), (TEXTS[2],)]


@SYNC_AND_ASYNC
def test_vectors_of_two_lengths_are_an_error(embed: Embed) -> None:
    broken = iter([None, Failure("auth", 401)])
    targets = EmbeddingTargets(
        lambda _request, target: None if target.base_url == EU_URL else next(broken), lengths={EU_URL: 5}
    )
    with targets.running(), pytest.raises(GenerationError, match="A vector of 5 numbers came where 3 were") as caught:
        embed(client(EU), TEXTS, batch_size=5)
    assert (caught.value.provider, caught.value.model) == ("openai", "text-embedding-3-small")
    assert [attempt.outcome for attempt in caught.value.attempts] == ["ok", "auth", "ok"]


@SYNC_AND_ASYNC
def test_vectors_have_the_length_that_was_asked_for(embed: Embed) -> None:
    with EmbeddingTargets(lengths={"https://api.openai.com/v1": 5}).running():
        assert len(embed(client(), "a").vectors[0]) == 5
        with pytest.raises(GenerationError, match="5 numbers came where 4 were expected"):
            embed(client(), "a", dimensions=4)


# One call


@SYNC_AND_ASYNC
def test_the_deadline_is_that_of_all_requests_together(embed: Embed) -> None:
    with EmbeddingTargets(latency=4.0).running() as targets:
        with pytest.raises(TimeoutError) as caught:
            embed(client(), TEXTS, batch_size=3, deadline=10.0)
        assert targets.clock == pytest.approx(110.0)
        assert [attempt.outcome for attempt in caught.value.attempts] == ["ok", "ok", "timeout"]
        targets.clock = 100.0
        assert embed(client(deadline=12.0), TEXTS, batch_size=3).vectors == VECTORS
        with pytest.raises(TimeoutError, match="deadline of 8 s") as caught:
            embed(client(), TEXTS, batch_size=3, deadline=8.0)
        assert [attempt.outcome for attempt in caught.value.attempts] == ["ok", "ok"]
        assert embed(client(), TEXTS, batch_size=1, deadline=None).vectors == VECTORS


@SYNC_AND_ASYNC
def test_usage_is_the_sum_of_all_requests(embed: Embed) -> None:
    def usage(request: Any) -> Usage | None:
        count = len(request.texts)
        return (
            Usage(prompt_tokens=count, total_tokens=count, cached_tokens=1) if TEXTS[4] not in request.texts else None
        )

    with EmbeddingTargets(usage=usage).running():
        response = embed(client(), TEXTS, batch_size=4)
        assert response.usage == Usage(prompt_tokens=5, total_tokens=5, cached_tokens=2)
        assert embed(client(), [TEXTS[4], TEXTS[4]]).usage is None


@SYNC_AND_ASYNC
def test_a_failover_in_the_middle_is_in_the_attempts(embed: Embed) -> None:
    def respond(request: Any, target: Any) -> Failure | None:
        return Failure("auth", 401) if TEXTS[4] in request.texts and target.provider == "openai" else None

    fallback = {"model": "openrouter/openai/text-embedding-3-small", "api_key": KEY}
    with EmbeddingTargets(respond).running() as targets:
        response = embed(client(fallback), TEXTS[:8], batch_size=4)
    assert response.vectors == VECTORS[:8]
    assert [(attempt.target, attempt.outcome) for attempt in response.attempts] == [
        (SMALL, "ok"),
        (SMALL, "auth"),
        ("openrouter/openai/text-embedding-3-small", "ok"),
    ]
    assert (response.provider, response.model) == ("openrouter", "openai/text-embedding-3-small")
    assert targets.open == 0


@SYNC_AND_ASYNC
def test_an_error_has_the_attempts_of_the_requests_before_it(embed: Embed) -> None:
    def respond(request: Any, _target: Any) -> Failure | None:
        return Failure("auth", 401) if TEXTS[4] in request.texts else None

    with EmbeddingTargets(respond).running() as targets:
        with pytest.raises(AuthenticationError) as caught:
            embed(client(), TEXTS, batch_size=2)
        assert sizes(targets) == [2, 2, 2], "nothing is sent after the failure"
    assert [attempt.outcome for attempt in caught.value.attempts] == ["ok", "ok", "auth"]


# What an adapter keeps


@SYNC_AND_ASYNC
def test_finished_vectors_are_not_requested_again(embed: Embed) -> None:
    def respond(request: Any, _target: Any) -> Failure | None:
        return Failure("auth", 401) if broken and TEXTS[4] in request.texts else None

    broken, finished = True, FinishedVectors()
    with EmbeddingTargets(respond).running() as targets:
        with pytest.raises(AuthenticationError):
            embed(client(), TEXTS, batch_size=2, finished=finished)
        assert set(finished.by_text) == set(TEXTS[:4])
        broken = False
        targets.requests.clear()
        assert embed(client(), TEXTS, finished=finished).vectors == VECTORS
        assert targets.texts == [tuple(TEXTS[4:])]
        again = embed(client(), TEXTS, finished=finished)
        assert (again.vectors, again.usage, again.attempts) == (VECTORS, None, ())


def _langchain(texts: Sequence[str]) -> list[list[float]]:
    return UnifiedEmbeddings(model=COHERE, batch_size=96).embed_documents(list(texts))


def _alangchain(texts: Sequence[str]) -> list[list[float]]:
    return asyncio.run(UnifiedEmbeddings(model=COHERE, batch_size=96).aembed_documents(list(texts)))


def _llama_index(texts: Sequence[str]) -> list[list[float]]:
    return UnifiedEmbedding(model=COHERE).get_text_embedding_batch(list(texts))


def _allama_index(texts: Sequence[str]) -> list[list[float]]:
    model = UnifiedEmbedding(model=COHERE, num_workers=1)
    return asyncio.run(model.aget_text_embedding_batch(list(texts)))


@each("adapter", [_langchain, _alangchain, _llama_index, _allama_index])
@each("count", [1, 96, 300])
def test_adapters_send_the_requests_that_the_client_sends(
    adapter: Callable[[Sequence[str]], list[list[float]]], count: int
) -> None:
    def respond(request: Any, _target: Any) -> Failure | None:
        return Failure("too_large", 413) if len(request.texts) > 50 else None

    texts = numbered(count)
    with EmbeddingTargets(respond).running() as targets:
        vectors = client(model=COHERE).embed(texts, purpose="document").vectors
        expected, targets.requests = targets.requests, []
        assert adapter(texts) == vectors
        assert targets.requests == expected
