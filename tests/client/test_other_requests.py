"""``rerank``, ``count_tokens`` and ``model_info``, sync and async: they fail over like other calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, ModelInfo
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import ServiceUnavailableError, UnsupportedOperationError, ValidationError
from unified_llm.testing import outage
from unified_llm.types import CountRequest, ModelRequest, RankedDocument, RerankRequest, RerankResponse, Usage

ONE, TWO = "openai-compatible/one", "openai-compatible/two"
RANKING = RerankResponse((RankedDocument(1, 0.9), RankedDocument(0, 0.1)), usage=Usage(prompt_tokens=5))
DOCUMENTS = ("Rain is wet.", "Rome is a city.")
DEAD = Failure("server", 503)


@pytest.fixture
def client() -> LLMClient:
    """Return a client of two targets with these features, whatever their row of the provider table has."""
    first = {"model": ONE, "base_url": "http://127.0.0.1:1", "max_retries": 0}
    client = LLMClient(first, fallbacks=[{"model": TWO, "base_url": "http://127.0.0.1:2"}])
    able: frozenset[Feature] = frozenset({"rerank", "count_tokens", "model_info"})
    client._chain = tuple(
        replace(link, target=replace(link.target, features=link.target.features | able)) for link in client._chain
    )
    return client


def call_both(client: LLMClient, name: str, *arguments: Any, **overrides: Any) -> list[Any]:
    """Make a call in sync and async, and return both results."""

    async def acall() -> Any:
        return await getattr(client, f"a{name}")(*arguments, **overrides)

    return [getattr(client, name)(*arguments, **overrides), asyncio.run(acall())]


def test_a_ranking_fails_over_to_another_model(client: LLMClient) -> None:
    targets = ScriptedTargets({ONE: [DEAD], TWO: [[Done(RANKING, "req-1")]]})
    with targets.running():
        for answer in call_both(client, "rerank", "Which city?", DOCUMENTS, top_n=2):
            assert answer.results == RANKING.results
            assert (answer.provider, answer.model, answer.usage) == ("openai-compatible", "two", RANKING.usage)
            assert [attempt.outcome for attempt in answer.attempts] == ["server", "ok"]
    assert targets.asked[0][1] == RerankRequest("Which city?", DOCUMENTS, top_n=2)
    assert "Rome" not in repr(targets.asked)


def test_tokens_are_counted_as_they_would_be_sent(client: LLMClient) -> None:
    targets = ScriptedTargets({ONE: [[Done(42)]]})
    with targets.running():
        assert call_both(client, "count_tokens", "How many?", temperature=1) == [42, 42]
    request = targets.asked[0][1]
    assert isinstance(request, CountRequest)
    assert (request.chat.messages[0].text, request.chat.temperature) == ("How many?", 1)


def test_a_model_is_described_by_its_own_provider_alone(client: LLMClient) -> None:
    info = ModelInfo("one", "openai-compatible", context_window=8)
    targets = ScriptedTargets({ONE: [[Done(info)], [Done(info)], DEAD], TWO: [[Done(info)]]})
    with targets.running():
        assert call_both(client, "model_info") == [info, info]
        with pytest.raises(ServiceUnavailableError):
            client.model_info()
    assert targets.asked == [(ONE, ModelRequest())] * 3


def test_a_target_that_cannot_is_refused() -> None:
    client = LLMClient(ONE, base_url="http://127.0.0.1:1")
    for name, arguments, message in (
        ("rerank", ("Which?", ["This."]), "rank documents"),
        ("count_tokens", ("How many?",), "count tokens"),
        ("model_info", (), "describe a model"),
    ):
        client._chain = tuple(
            replace(link, target=replace(link.target, features=frozenset())) for link in client._chain
        )
        with pytest.raises(UnsupportedOperationError, match=message):
            getattr(client, name)(*arguments)


def test_what_cannot_be_ranked_is_refused_before_anything_is_sent(client: LLMClient) -> None:
    for query, documents, overrides, message in (
        ("Which?", "one text", {}, "a list of at least one document"),
        ("Which?", [], {}, "a list of at least one document"),
        ("Which?", ["a", 7], {}, "as a string"),
        (7, ["a"], {}, "as a string"),
        ("Which?", ["a"], {"top_n": 0}, "top_n must be a whole number, 1 or greater"),
        ("Which?", ["a"], {"top": 1}, "did you mean 'top_n'"),
        ("Which?", ["a"], {"model": 7}, "model must be a string"),
    ):
        with pytest.raises(ValidationError, match=message):
            client.rerank(query, documents, **overrides)  # type: ignore[arg-type] # bad input


def test_an_outage_answers_them_too(client: LLMClient) -> None:
    with outage("gemini", reply="Hello", allow_unused=True):
        assert [document.index for document in client.rerank("Which?", DOCUMENTS, top_n=1).results] == [0]
        assert client.count_tokens("How many?") == 3
        assert client.model_info() == ModelInfo("one", "openai-compatible")
