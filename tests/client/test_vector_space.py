"""Vectors of two lengths do not mix: which length is right, and what becomes of a target that sends another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.vectors import KEY, SMALL, EmbeddingTargets, vector
from unified_llm import LLMClient, LLMConfig
from unified_llm._core.outcome import Failure
from unified_llm._providers import registry
from unified_llm.exceptions import AllTargetsFailedError, AuthenticationError, ConfigurationError, GenerationError
from unified_llm.langchain import UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding

US_URL = "https://api.openai.com/v1"
EU, EU_URL = {"base_url": "https://eu.example", "api_key": f"{KEY}-eu"}, "https://eu.example/v1"
ASIA, ASIA_URL = {"base_url": "https://asia.example", "api_key": f"{KEY}-asia"}, "https://asia.example/v1"
TEXTS = [f"text {'x' * number}" for number in range(8)]


class Targets(EmbeddingTargets):
    """Targets, of which some are down."""

    def __init__(self, *down: str, **lengths: int) -> None:
        urls = {"us": US_URL, "eu": EU_URL, "asia": ASIA_URL}
        super().__init__(
            lambda _, target: Failure("auth", 401) if target.base_url in self.down else None,
            {urls[name]: length for name, length in lengths.items()},
        )
        self.down = {urls[name] for name in down}


def _client(**fields: Any) -> Callable[[list[str]], list[list[float]]]:
    client = LLMClient(SMALL, api_key=KEY, **fields)
    return lambda texts: client.embed(texts).vectors


def _aclient(**fields: Any) -> Callable[[list[str]], list[list[float]]]:
    client = LLMClient(SMALL, api_key=KEY, **fields)
    return lambda texts: asyncio.run(client.aembed(texts)).vectors


def _langchain(**fields: Any) -> Callable[[list[str]], list[list[float]]]:
    return UnifiedEmbeddings(model=SMALL, api_key=KEY, **fields).embed_documents


def _llama_index(**fields: Any) -> Callable[[list[str]], list[list[float]]]:
    return UnifiedEmbedding(model=SMALL, api_key=KEY, **fields).get_text_embedding_batch


def _allama_index(**fields: Any) -> Callable[[list[str]], list[list[float]]]:
    model = UnifiedEmbedding(model=SMALL, api_key=KEY, num_workers=1, **fields)
    return lambda texts: asyncio.run(model.aget_text_embedding_batch(texts))


EVERY_SURFACE = pytest.mark.parametrize("make", [_client, _aclient, _langchain, _llama_index, _allama_index])


def lengths(vectors: list[list[float]]) -> set[int]:
    return {len(vector) for vector in vectors}


def records(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    texts = [record.getMessage() for record in caplog.records if record.levelno == level]
    return [text for text in texts if "failed over to" not in text]


@EVERY_SURFACE
def test_a_fallback_that_answers_first_is_dropped_when_the_primary_differs(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with Targets("us", eu=5).running() as targets:
        embed = make(fallbacks=[EU])
        for text in "abc":
            assert lengths(embed([text])) == {5}
        (warning,) = records(caplog, logging.WARNING)
        assert "eu.example: it is the first to send vectors, before openai/text-embedding-3-small" in warning
        assert "length of 5" in warning
        targets.down.clear()  # type: ignore[attr-defined]
        targets.clock += 400
        assert lengths(embed(["d"])) == {3}, "the primary goes on"
        (error,) = records(caplog, logging.ERROR)
        assert "eu.example: its vectors have 5 numbers, and those of openai/text-embedding-3-small" in error
        assert "have 3" in error
        targets.down = {US_URL}  # type: ignore[attr-defined]
        requests = len(targets.requests)
        with pytest.raises(AuthenticationError):
            embed(["e"])
        assert len(targets.requests) == requests + 1, "the fallback is not asked any more"
        assert len(records(caplog, logging.ERROR)) == 1


@EVERY_SURFACE
def test_within_one_list_the_texts_of_the_dropped_fallback_are_embedded_again(make: Callable[..., Any]) -> None:
    targets = Targets(eu=5)
    first = iter([Failure("server", 500)] * 2)  # a retry included
    targets.respond = lambda _, target: next(first, None) if target.base_url == US_URL else None
    size = "embed_batch_size" if make in (_llama_index, _allama_index) else "batch_size"
    with targets.running():
        if make in (_client, _aclient):
            client = LLMClient(SMALL, api_key=KEY, fallbacks=[EU])
            if make is _client:
                vectors = client.embed(TEXTS, batch_size=3).vectors
            else:
                vectors = asyncio.run(client.aembed(TEXTS, batch_size=3)).vectors
        else:
            vectors = make(fallbacks=[EU], **{size: 3})(TEXTS)
    assert vectors == [vector(text) for text in TEXTS]


@EVERY_SURFACE
def test_a_fallback_whose_vectors_do_not_mix_is_passed_over_for_the_next(make: Callable[..., Any]) -> None:
    with Targets(eu=5).running() as targets:
        embed = make(fallbacks=[EU, ASIA])
        assert lengths(embed(["a"])) == {3}
        targets.down = {US_URL}  # type: ignore[attr-defined]
        for text in "bc":
            assert embed([text]) == [vector(text)]
        targets.lengths[ASIA_URL] = 4
        with pytest.raises(AllTargetsFailedError, match="A vector of 5 numbers came where 3 were expected") as caught:
            embed(["d"])
        assert all(isinstance(error, GenerationError) for error in caught.value.errors)


@EVERY_SURFACE
def test_the_dimensions_of_a_target_outweigh_what_it_sends(make: Callable[..., Any]) -> None:
    with Targets(us=5, eu=4).running() as targets:
        embed = make(dimensions=4, fallbacks=[EU])
        assert lengths(embed(["a"])) == {4}, "the primary ignores dimensions, and the fallback does not"
        assert {request.dimensions for request in targets.requests} == {4}
    with Targets(us=5).running(), pytest.raises(GenerationError, match="5 numbers came where 4 were expected"):
        make(dimensions=4)(["a"])


def test_dimensions_are_a_field_of_a_target_and_of_a_call() -> None:
    with EmbeddingTargets().running() as targets:
        client = LLMClient(LLMConfig(model=SMALL, dimensions=6, api_key=KEY), fallbacks=[EU])
        assert lengths(client.embed("a").vectors) == {6}
        assert lengths(client.embed("a", dimensions=7).vectors) == {7}, "another length is another space"
        assert [request.dimensions for request in targets.requests] == [6, 7]
    for wrong in (0, 1.5, True, "many"):
        with pytest.raises(ConfigurationError, match="dimensions"):
            LLMConfig(model=SMALL, dimensions=wrong)  # type: ignore[arg-type]


def test_the_table_knows_the_length_of_models_that_have_only_one(caplog: pytest.LogCaptureFixture) -> None:
    ada = {"model": "openai/text-embedding-ada-002", "api_key": KEY}
    assert LLMClient(ada).targets[0].vector_length == 1_536
    with Targets("us", eu=5, asia=1_536).running() as targets:
        client = LLMClient(ada, fallbacks=[EU, ASIA])
        assert lengths(client.embed("a").vectors) == {1_536}
        assert [text for text in records(caplog, logging.WARNING) if "first to send" in text] == []
        targets.down.clear()  # type: ignore[attr-defined]
        targets.clock += 400
        targets.lengths[US_URL] = 1_536
        assert lengths(client.embed("b").vectors) == {1_536}
    with Targets(us=9).running():
        assert lengths(LLMClient(ada).embed("a").vectors) == {9}, "the primary itself is certain"
    profile = registry.model_profile(registry.row("openai"), "text-embedding-3-small")
    assert profile.vector_length is None, "chosen by dimensions="


def test_a_primary_that_changes_the_length_of_its_vectors_is_an_error() -> None:
    with Targets(us=3).running() as targets:
        client = LLMClient(SMALL, api_key=KEY)
        client.embed("a")
        targets.lengths[US_URL] = 4
        with pytest.raises(GenerationError, match="A vector of 4 numbers came where 3 were expected, as from openai/"):
            client.embed("b")
        assert lengths(LLMClient(SMALL, api_key=KEY).embed("c").vectors) == {4}, "each client has its own"
