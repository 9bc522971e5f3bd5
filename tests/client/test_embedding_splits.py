"""Lists that a target refuses: sent to it in parts, before another target gets what it refuses alone (local 11)."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.embed_ways import SYNC_AND_ASYNC, Embed
from tests.support.vectors import KEY, SMALL, EmbeddingTargets, vector
from unified_llm import LLMClient, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm._formats.codecs import codec_for
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    GenerationError,
    LLMError,
    ServiceUnavailableError,
    TimeoutError,
    ValidationError,
)
from unified_llm.langchain import UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding
from unified_llm.types import EmbeddingRequest

EU, EU_URL = {"base_url": "https://eu.example", "api_key": f"{KEY}-eu"}, "https://eu.example/v1"
TEXTS = [f"text {'x' * number}" for number in range(16)]
VECTORS = [vector(text) for text in TEXTS]
REFUSALS = [
    Failure("bad_request", 400),
    Failure("bad_request", 422),
    Failure("too_large", 413),
    Failure("too_large", 500),
    Failure("context", 400),
    Failure("malformed", about_input=True),
]


def client(*fallbacks: Any, **options: Any) -> LLMClient:
    return LLMClient(SMALL, fallbacks=fallbacks, **options)


def refusing(failure: Failure, *bad: int, url: str = EU_URL) -> EmbeddingTargets:
    """Return targets of which all but the one at ``url`` refuse every list with one of these texts."""
    texts = {TEXTS[number] for number in bad}

    def respond(request: EmbeddingRequest, target: Any) -> Failure | None:
        return failure if target.base_url != url and texts & set(request.texts) else None

    return EmbeddingTargets(respond)


def sizes(targets: EmbeddingTargets) -> list[int]:
    return [len(texts) for texts in targets.texts]


@SYNC_AND_ASYNC
def test_local_11_one_text_spoils_no_list(embed: Embed) -> None:
    """Local 11: the others are embedded, and the error is that of the text, with its position."""
    for failure in REFUSALS:
        with refusing(failure, 5).running() as targets:
            with pytest.raises((ValidationError, GenerationError)) as caught:
                embed(client(), TEXTS[:8])
            assert sizes(targets) == [8, 4, 4, 2, 1, 1, 2]
        error = caught.value
        assert error.position == 5
        assert error.partial == {number: VECTORS[number] for number in range(8) if number != 5}
        assert "It is the text at index 5; .partial has the vectors of the others" in str(error)
        assert TEXTS[5] not in str(error)
        assert len(error.attempts) == 7
        (known,) = health_snapshot()
        assert (known["state"], known["consecutive_failures"], known["retry_budget"]) == ("closed", 0, 10.0)


@SYNC_AND_ASYNC
def test_local_11_the_position_is_that_in_the_users_list(embed: Embed) -> None:
    texts = [TEXTS[0], TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[1], TEXTS[3]]
    with refusing(REFUSALS[0], 2).running(), pytest.raises(ValidationError) as caught:
        embed(client(), texts, batch_size=3)
    assert caught.value.position == 3
    assert sorted(caught.value.partial) == [0, 1, 2, 4], "equal texts share a vector; the next batch is not begun"
    with refusing(REFUSALS[0], 2).running(), pytest.raises(ValidationError) as caught:
        embed(client(), texts, batch_size=1)
    assert caught.value.position == 3
    with refusing(REFUSALS[0], 2).running(), pytest.raises(ValidationError) as caught:
        embed(client(), TEXTS[2])
    assert (caught.value.position, caught.value.partial) == (0, {})
    assert "index" not in str(caught.value)


@SYNC_AND_ASYNC
def test_local_11_what_a_target_refuses_alone_goes_to_the_next(embed: Embed) -> None:
    """Local 11: after the split at the target, all such texts together."""
    for failure in REFUSALS:
        with refusing(failure, 2, 5).running() as targets:
            response = embed(client(EU), TEXTS[:8])
            assert response.vectors == VECTORS[:8]
            assert targets.texts[-1] == (TEXTS[2], TEXTS[5])
            assert len(targets.requests) == len(response.attempts)
        assert all(row["consecutive_failures"] == 0 for row in health_snapshot())


@SYNC_AND_ASYNC
def test_a_text_that_every_target_refuses_is_named_with_all_refusals(embed: Embed) -> None:
    with refusing(REFUSALS[0], 5, url="none").running() as targets:
        with pytest.raises(LLMError) as caught:
            embed(client(EU), TEXTS[:8])
        assert targets.texts[-1] == (TEXTS[5],)
    assert caught.value.position == 5
    assert len(caught.value.partial) == 7
    assert [attempt.outcome for attempt in caught.value.attempts].count("bad_request") == 5


@SYNC_AND_ASYNC
def test_a_fallback_that_is_down_is_an_outage_of_the_text_that_was_left(embed: Embed) -> None:
    def respond(request: EmbeddingRequest, target: Any) -> Failure | None:
        if target.base_url == EU_URL:
            return Failure("auth", 401)
        return REFUSALS[0] if TEXTS[5] in request.texts else None

    with EmbeddingTargets(respond).running(), pytest.raises(AllTargetsFailedError) as caught:
        embed(client(EU), TEXTS[:8])
    assert [type(error) for error in caught.value.errors][1] is AuthenticationError
    assert (caught.value.position, len(caught.value.partial)) == (5, 7)


@SYNC_AND_ASYNC
def test_local_11_four_disjoint_parts_in_a_row_that_fail_end_the_split(embed: Embed) -> None:
    everything = range(len(TEXTS))
    with refusing(REFUSALS[0], *everything).running() as targets:
        assert embed(client(EU), TEXTS).vectors == VECTORS
        assert sizes(targets) == [16, 8, 4, 2, 1, 1, 2, 1, 1, 16], "the last one is the fallback's"
    with refusing(REFUSALS[0], *everything).running() as targets:
        with pytest.raises(ValidationError) as caught:
            embed(client(), TEXTS)
        assert sizes(targets) == [16, 8, 4, 2, 1, 1, 2, 1, 1]
    assert (caught.value.position, caught.value.partial) == (0, {})
    with refusing(REFUSALS[0], 0, 1, 2, 4, 5, 6).running() as targets:
        assert embed(client(EU), TEXTS).vectors == VECTORS
        assert targets.texts[-1] == tuple(TEXTS[number] for number in (0, 1, 2, 4, 5, 6)), "three in a row at most"


@SYNC_AND_ASYNC
def test_a_target_that_fails_in_the_middle_of_a_split_is_left_for_the_next(embed: Embed) -> None:
    def respond(request: EmbeddingRequest, target: Any) -> Failure | None:
        if target.base_url == EU_URL:
            return None
        if len(request.texts) > 2:
            return REFUSALS[2]
        return Failure("server", 503) if TEXTS[2] in request.texts else None

    with EmbeddingTargets(respond).running() as targets:
        assert embed(client(EU), TEXTS[:8]).vectors == VECTORS[:8]
        assert targets.texts[-1] == tuple(TEXTS[2:8])
    with EmbeddingTargets(respond).running(), pytest.raises(ServiceUnavailableError) as caught:
        embed(client(), TEXTS[:8])
    assert caught.value.position is None
    assert sorted(caught.value.partial) == [0, 1]


@SYNC_AND_ASYNC
def test_the_requests_of_a_split_are_no_retries(embed: Embed) -> None:
    def respond(request: EmbeddingRequest, _target: Any) -> Failure | None:
        return REFUSALS[3] if len(request.texts) > 1 else None

    with EmbeddingTargets(respond).running() as targets:
        response = embed(client(max_retries=0), TEXTS)
        assert response.vectors == VECTORS
        assert len(targets.requests) == 31, "more than the attempts of a call"
    assert not any(attempt.retry for attempt in response.attempts)
    (known,) = health_snapshot()
    assert (known["state"], known["consecutive_failures"], known["retry_budget"]) == ("closed", 0, 10.0)


@SYNC_AND_ASYNC
def test_a_split_ends_with_the_deadline(embed: Embed) -> None:
    targets = EmbeddingTargets(lambda request, _: REFUSALS[2] if len(request.texts) > 1 else None, latency=4.0)
    with targets.running():
        with pytest.raises(TimeoutError) as caught:
            embed(client(EU), TEXTS, deadline=10.0)
        assert targets.clock <= 110.0
    assert sorted(caught.value.partial) == [0, 1]


@SYNC_AND_ASYNC
def test_what_must_not_fail_over_stays_at_its_target(embed: Embed) -> None:
    with refusing(REFUSALS[0], 5).running() as targets:
        with pytest.raises(ValidationError) as caught:
            embed(client(EU, failover_on={"bad_request": False}), TEXTS[:8])
        assert len(targets.requests) == 7
        assert caught.value.position == 5
        with pytest.raises(ValidationError):
            embed(client(EU), TEXTS[5], failover_on={"bad_request": False})
        assert len(targets.requests) == 8


@SYNC_AND_ASYNC
def test_headers_and_limits_of_a_call_hold_for_the_parts_too(embed: Embed) -> None:
    """Headers of a call are for the first target's server alone, whichever target a part is sent to."""
    seen: list[tuple[str, int, bool, float]] = []

    def respond(request: EmbeddingRequest, target: Any) -> Failure | None:
        eu = target.base_url == EU_URL
        seen.append(("eu" if eu else "us", len(request.texts), "x-trace" in target.headers, target.timing.whole))
        return REFUSALS[0] if not eu and TEXTS[1] in request.texts else None

    with EmbeddingTargets(respond).running():
        embed(client(EU), TEXTS[:2], extra_headers={"x-trace": "1"}, timeout=7)
    assert seen == [("us", 2, True, 7), ("us", 1, True, 7), ("us", 1, True, 7), ("eu", 1, False, 7)]


# Responses with too few vectors


def test_local_11_a_response_without_one_of_the_vectors_is_about_the_texts() -> None:
    """Local 11: a server that leaves out blank texts, or writes null for what is no number."""
    request = EmbeddingRequest(("a", "", "c"))
    good: list[Any] = [[1.0, 2.0]]
    (target,) = LLMClient("ollama/m").targets
    for rows in (good * 2, [*good, None, *good], [*good, [None, None], *good], [*good, [1.0, None], *good]):
        bodies: dict[str, Any] = {
            "ollama": {"embeddings": rows},
            "cohere": {"embeddings": {"float": rows}},
            "gemini": {"embeddings": [{"values": row} for row in rows]},
            "huggingface": rows,
            "openai_chat": {"data": [{"index": number, "embedding": row} for number, row in enumerate(rows)]},
        }
        for name, body in bodies.items():
            failure = codec_for(name).decode(request, target, body)
            assert isinstance(failure, Failure)
            assert (failure.kind, failure.about_input) == ("malformed", True), name
    none = codec_for("ollama").decode(replace(request, texts=("",)), target, {"embeddings": []})
    assert isinstance(none, Failure)
    assert none.about_input, "what Ollama sends for a blank text"
    for broken in ({}, {"embeddings": None}, {"embeddings": good * 4}, {"embeddings": [["x"]] * 3}):
        failure = codec_for("ollama").decode(request, target, broken)
        assert isinstance(failure, Failure)
        assert not failure.about_input


def test_a_single_text_without_a_vector_is_sent_once() -> None:
    with refusing(REFUSALS[5], 0).running() as targets:
        with pytest.raises(GenerationError, match="it sent no usable vector for a text; leave out blank texts"):
            client().embed(TEXTS[0])
        assert sizes(targets) == [1]


# Adapters


def _langchain(texts: list[str]) -> Any:
    return UnifiedEmbeddings(model=SMALL, batch_size=4).embed_documents(texts)


def _alangchain(texts: list[str]) -> Any:
    return asyncio.run(UnifiedEmbeddings(model=SMALL, batch_size=4).aembed_documents(texts))


def _llama_index(texts: list[str]) -> Any:
    return UnifiedEmbedding(model=SMALL, embed_batch_size=4).get_text_embedding_batch(texts)


def _allama_index(texts: list[str]) -> Any:
    model = UnifiedEmbedding(model=SMALL, embed_batch_size=4, num_workers=1)
    return asyncio.run(model.aget_text_embedding_batch(texts))


@each("adapter", [_langchain, _alangchain, _llama_index, _allama_index])
def test_local_11_adapters_name_the_position_in_the_whole_list(adapter: Callable[[list[str]], Any]) -> None:
    with refusing(REFUSALS[0], 6).running(), pytest.raises(ValidationError) as caught:
        adapter(TEXTS)
    assert caught.value.position == 6
    assert caught.value.partial == {number: VECTORS[number] for number in (0, 1, 2, 3, 4, 5, 7)}
    assert "It is the text at index 6" in str(caught.value)
    restored = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - made here
    assert (restored.position, restored.partial) == (6, None)
    assert str(restored) == str(caught.value)


def test_local_11_a_500_whose_wording_is_about_the_input_is_no_failure_of_the_server() -> None:
    """Local 11: NaN of one text, and one text over the physical batch, as Ollama and llama.cpp report them."""
    sentences = {
        "failed to encode response: json: unsupported value: NaN": "bad_request",
        "input (1001 tokens) is too large to process. increase the physical batch size (64)": "too_large",
        'do embedding request: Post "http://127.0.0.1:33967/embedding": EOF': "too_large",
    }
    for sentence, kind in sentences.items():
        for model, body in (
            ("ollama/m", {"error": sentence}),
            ("llamacpp/m", {"error": {"code": 500, "message": sentence, "type": "server_error"}}),
        ):
            (target,) = LLMClient(model).targets
            failure = codec_for(target.format).failure(500, {}, json.dumps(body).encode(), target)
            assert failure.kind == kind, (sentence, model)
