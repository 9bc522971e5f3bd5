"""``UnifiedEmbedding``: batches that fit, no text requested twice, one vector space."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from tests.support.each import each
from tests.support.vectors import KEY, SMALL, EmbeddingTargets, vector
from unified_llm._core.outcome import Failure
from unified_llm._core.target import BreakerConfig
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConfigurationError,
    ContextOverflowError,
    GenerationError,
    ServiceUnavailableError,
    ValidationError,
)
from unified_llm.llama_index.embedding import UnifiedEmbedding

ELSEWHERE = {"base_url": "https://eu.example", "api_key": f"{KEY}-of-the-other-region"}
TEXTS = [f"text {'x' * number}" for number in range(9)]
VECTORS = [vector(text) for text in TEXTS]

Many = Callable[..., list[list[float]]]


def many(model: UnifiedEmbedding, texts: list[str], **options: Any) -> list[list[float]]:
    return model.get_text_embedding_batch(texts, **options)


def amany(model: UnifiedEmbedding, texts: list[str], **options: Any) -> list[list[float]]:
    return asyncio.run(model.aget_text_embedding_batch(texts, **options))


BOTH = pytest.mark.parametrize("embed", [many, amany])


def embedding(**fields: Any) -> UnifiedEmbedding:
    return UnifiedEmbedding(**{"model": SMALL, "api_key": KEY} | fields)


async def test_a_question_and_a_document_are_embedded_as_what_they_are() -> None:
    with EmbeddingTargets().running() as targets:
        model = embedding(dimensions=3)
        assert isinstance(model, BaseEmbedding)
        assert model.get_query_embedding("a") == await model.aget_query_embedding("a") == vector("a")
        assert model.get_text_embedding("b") == await model.aget_text_embedding("b") == vector("b")
        assert model.get_text_embedding_batch(["c"]) == await model.aget_text_embedding_batch(["c"]) == [vector("c")]
    assert [request.purpose for request in targets.requests] == ["query"] * 2 + ["document"] * 4
    assert {request.dimensions for request in targets.requests} == {3}
    assert targets.open == 0


@BOTH
def test_a_list_goes_in_batches_and_comes_back_in_its_order(embed: Many) -> None:
    with EmbeddingTargets().running() as targets:
        model = embedding(batch_size=4)
        assert embed(model, []) == []
        assert embed(model, [TEXTS[0], *TEXTS]) == [VECTORS[0], *VECTORS]
    assert [len(texts) for texts in targets.texts] == [3, 4, 2]  # the repeated text is asked for once


@each(("workers", "most"), [(None, 4), (1, 1), (2, 2)])
@each("progress", [True, False])
def test_only_some_batches_are_under_way_at_a_time(workers: int | None, most: int, *, progress: bool) -> None:
    with EmbeddingTargets().running() as targets:
        model = embedding(embed_batch_size=1, num_workers=workers)
        assert amany(model, TEXTS, show_progress=progress) == VECTORS
    assert targets.most_open == most


@BOTH
def test_progress_is_shown_as_llamaindex_shows_it(embed: Many, capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddingTargets().running():
        embed(embedding(embed_batch_size=3), TEXTS, show_progress=True)
        assert "Generating embeddings: 100%" in capsys.readouterr().err
        embed(embedding(embed_batch_size=3), TEXTS)
        assert capsys.readouterr().err == ""


@BOTH
def test_a_batch_that_fails_is_retried_by_itself(embed: Many) -> None:
    broken = iter([True, True, False])

    def respond(request: Any, _target: Any) -> Failure | None:
        return Failure("server", 503) if TEXTS[4] in request.texts and next(broken) else None

    with EmbeddingTargets(respond).running() as targets:
        assert embed(embedding(embed_batch_size=3), TEXTS) == VECTORS
    assert sorted(targets.texts) == sorted([tuple(TEXTS[:3]), *[tuple(TEXTS[3:6])] * 3, tuple(TEXTS[6:])])


@BOTH
def test_the_same_list_again_asks_only_for_what_is_missing(embed: Many) -> None:
    def respond(request: Any, _target: Any) -> Failure | None:
        return Failure("bad_request", 400) if broken and TEXTS[4] in request.texts else None

    broken = True
    model = embedding(embed_batch_size=1, num_workers=2)
    with EmbeddingTargets(respond).running() as targets:
        with pytest.raises(ValidationError):
            embed(model, TEXTS)
        finished = set(targets.answered)
        assert finished >= set(TEXTS[:4])
        assert len(targets.requests) < len(TEXTS), "no request is started after the failure"
        assert targets.open == 0
        broken = False
        targets.requests.clear()
        assert embed(model, TEXTS) == VECTORS
        assert {text for texts in targets.texts for text in texts} == set(TEXTS) - finished
        targets.requests.clear()
        assert embed(model, TEXTS) == VECTORS
        assert len(targets.requests) == len(TEXTS), "and nothing is kept after a success"


@BOTH
@pytest.mark.parametrize("failure", [Failure("too_large", 413), Failure("context", 400), Failure("bad_request", 400)])
def test_what_is_too_large_is_halved_until_it_fits(embed: Many, failure: Failure) -> None:
    with EmbeddingTargets(lambda request, _: failure if len(request.texts) > 2 else None).running() as targets:
        fallbacks = [] if failure.kind == "bad_request" else [ELSEWHERE]
        assert embed(embedding(fallbacks=fallbacks), TEXTS) == VECTORS
    assert [len(texts) for texts in targets.texts] == [9, 4, 2, 2, 5, 2, 3, 1, 2]
    assert set(targets.names) == {SMALL}


@BOTH
def test_no_request_has_more_texts_than_the_narrowest_provider_of_the_chain_takes(
    embed: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    texts = [f"{number}" for number in range(200)]
    narrow = {"model": "cohere/embed-v4.0", "space": "same"}
    with EmbeddingTargets().running() as targets:
        assert embed(embedding(space="same", fallbacks=[narrow], embed_batch_size=200), texts) == [*map(vector, texts)]
    assert [len(texts) for texts in targets.texts] == [96, 96, 8]


@BOTH
def test_one_text_that_is_too_large_is_an_error_that_no_halving_hides(embed: Many) -> None:
    with EmbeddingTargets(
        lambda request, _: Failure("too_large", 413) if TEXTS[2] in request.texts else None
    ).running() as targets:
        with pytest.raises(ContextOverflowError, match=r"too large \(HTTP 413\); send less at once"):
            embed(embedding(), TEXTS[:4])
        assert targets.texts == [tuple(TEXTS[:4]), tuple(TEXTS[:2]), tuple(TEXTS[2:4]), (TEXTS[2],), (TEXTS[3],)]


@BOTH
def test_what_is_too_large_for_the_last_that_is_left_is_halved_too(embed: Many) -> None:
    def respond(request: Any, target: Any) -> Failure | None:
        if target.base_url != "https://eu.example/v1":
            return Failure("model_not_found", 404)
        return Failure("too_large", 413) if len(request.texts) > 2 else None

    with EmbeddingTargets(respond).running():
        assert embed(embedding(fallbacks=[ELSEWHERE]), TEXTS) == VECTORS
    with EmbeddingTargets(lambda _request, _target: Failure("model_not_found", 404)).running() as targets:
        with pytest.raises(AllTargetsFailedError):
            embed(embedding(fallbacks=[ELSEWHERE]), TEXTS)
        assert len(targets.requests) == 2, "other failures are no reason to cut"


@BOTH
def test_another_place_with_the_same_model_stands_in_and_another_model_never_does(embed: Many) -> None:
    def respond(_request: Any, target: Any) -> Failure | None:
        return None if target.base_url == "https://eu.example/v1" else Failure("auth", 401)

    with EmbeddingTargets(respond).running() as targets:
        assert embed(embedding(fallbacks=[ELSEWHERE]), ["a"]) == [vector("a")]
        assert targets.names == [SMALL, SMALL]
        chain = embedding(space="small", fallbacks=[{"model": "ollama/small", "space": "small"}])
        with pytest.raises(AllTargetsFailedError):
            embed(chain, ["a"])
        assert "ollama/small" in targets.names
    with pytest.raises(ConfigurationError, match="ollama/nomic-embed-text cannot replace"):
        embedding(fallbacks=["ollama/nomic-embed-text", ELSEWHERE])


async def test_vectors_of_another_length_are_never_mixed_in() -> None:
    def respond(_request: Any, target: Any) -> Failure | None:
        return Failure("auth", 401) if down and target.base_url != "https://eu.example/v1" else None

    down = False
    with EmbeddingTargets(respond, lengths={"https://eu.example/v1": 5}).running():
        model = embedding(fallbacks=[ELSEWHERE], embed_batch_size=2)
        assert len(model.get_query_embedding("a")) == 3
        down = True
        for embed_one in (model.get_query_embedding, model.get_text_embedding):
            with pytest.raises(GenerationError, match="A vector of 5 numbers came where 3 were expected"):
                embed_one("a")
        with pytest.raises(GenerationError, match="set to the same dimensions"):
            await model.aget_text_embedding_batch(TEXTS)
        assert len(embedding(fallbacks=[ELSEWHERE]).get_query_embedding("a")) == 5, "each has its own measure"
        with pytest.raises(GenerationError, match="5 numbers came where 4 were expected"):
            await embedding(fallbacks=[ELSEWHERE], dimensions=4).aget_query_embedding("a")


def test_another_model_in_its_place_is_another_space() -> None:
    with EmbeddingTargets().running():
        model = embedding()
        assert len(model.get_query_embedding("a")) == 3
        model.dimensions = 5
        assert len(model.get_query_embedding("a")) == 5
        model.model_name = "openai/text-embedding-3-large"
        assert (model.model, model.model_name) == ("openai/text-embedding-3-large",) * 2
        assert model.to_payload()["model_name"] == "openai/text-embedding-3-large"


def test_two_event_loops_one_after_the_other_and_one_inside_a_thread_work() -> None:
    with EmbeddingTargets().running():
        model = embedding(embed_batch_size=2)
        assert [amany(model, TEXTS) for _ in range(2)] == [VECTORS] * 2


@BOTH
def test_llamaindexs_observers_see_each_batch_once(embed: Many) -> None:
    seen = LlamaDebugHandler(print_trace_on_end=False)
    model = embedding(embed_batch_size=4, callback_manager=CallbackManager([seen]))
    with EmbeddingTargets().running():
        embed(model, TEXTS)
    pairs = seen.get_event_pairs(CBEventType.EMBEDDING)
    assert [len(end.payload["chunks"]) for _, end in pairs if end.payload] == [4, 4, 1]
    assert KEY not in str(pairs)


@BOTH
def test_llamaindexs_cache_and_limiter_are_used(embed: Many) -> None:
    class Limiter:
        acquired = 0

        def acquire(self) -> None:
            self.acquired += 1

        async def async_acquire(self) -> None:
            self.acquired += 1

    limiter = Limiter()
    model = embedding(embed_batch_size=5, rate_limiter=limiter)
    with EmbeddingTargets().running() as targets:
        embed(model, TEXTS)
        assert limiter.acquired == 2
        cached = embedding(embeddings_cache=SimpleKVStore())
        assert embed(cached, TEXTS) == embed(cached, TEXTS) == VECTORS
        assert len(targets.requests) == 3


def test_nodes_get_their_vectors() -> None:
    with EmbeddingTargets().running():
        nodes = embedding()([TextNode(text=text) for text in TEXTS])
    assert [node.embedding for node in nodes] == VECTORS


def test_settings_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = embedding()
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = model
    assert Settings.embed_model is model


def test_a_dump_is_the_same_each_time_and_holds_no_key() -> None:
    model = embedding(
        fallbacks=[ELSEWHERE, {"model": SMALL, "base_url": "https://us.example", "api_key": KEY}],
        default_headers={"X-Token": KEY},
        on_attempt=print,
    )
    dumped = model.to_dict()
    with EmbeddingTargets().running():
        model.get_query_embedding("a")
    assert json.dumps(dumped) == json.dumps(model.to_dict())
    assert dumped["class_name"] == "unified_embedding"
    plain = embedding(fallbacks=["ollama/text-embedding-3-small"], breaker=BreakerConfig(failures=2)).to_dict()
    assert json.dumps(UnifiedEmbedding.from_dict(plain, api_key=KEY).to_dict()) == json.dumps(plain)
    for text in (json.dumps(dumped), repr(model), str(model.to_payload()), model.model_dump_json()):
        assert KEY not in text
    other = model.model_copy(update={"api_key": f"{KEY}-rotated"})
    assert other.to_dict() == dumped, "a new key is no reason to embed everything again"


def test_a_pickle_holds_no_key_and_looks_for_one_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = embedding(embed_batch_size=7, num_workers=2)
    with EmbeddingTargets().running():
        model.get_query_embedding("a")
        data = pickle.dumps(model)
        assert KEY.encode() not in data
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        copied: UnifiedEmbedding = pickle.loads(data)  # noqa: S301 - made above
        assert (copied.model, copied.embed_batch_size, copied.num_workers) == (SMALL, 7, 2)
        for duplicate in (copied, copy.deepcopy(model), copy.copy(model), model.model_copy()):
            assert duplicate.get_text_embedding_batch(TEXTS) == VECTORS
    assert copy.deepcopy(model).client is model.client


def test_a_pickle_without_a_key_says_so_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    copied: UnifiedEmbedding = pickle.loads(pickle.dumps(embedding()))  # noqa: S301 - made here
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        copied.get_query_embedding("a")


@each(
    ("fields", "pattern"),
    [
        ({"model": None}, "model"),
        ({"model": None, "provider": "openai"}, 'UnifiedEmbedding needs a model: write "provider/model"'),
        ({"embed_batch_size": 0}, "embed_batch_size"),
        ({"num_workers": 0}, "num_workers"),
        ({"temperature": 0}, "no field 'temperature'"),
        ({"fallbacks": [TextNode(text="no model")]}, "not TextNode"),
        ({"model": "mlx/no/such/folder"}, "no such folder"),
    ],
)
def test_bad_settings_are_found_at_construction(fields: dict[str, Any], pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=pattern):
        embedding(**fields)


def test_an_outage_of_the_only_target_raises_its_own_error() -> None:
    with (
        EmbeddingTargets(lambda _request, _target: Failure("server", 503)).running() as targets,
        pytest.raises(ServiceUnavailableError) as failed,
    ):
        embedding().get_query_embedding("a")
    assert len(failed.value.attempts) == len(targets.requests)
