"""``UnifiedRerank``: nodes in the order of their relevance, from any target."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import ConfigurationError, UnsupportedOperationError, ValidationError
from unified_llm.llama_index.rerank import UnifiedRerank
from unified_llm.types import RankedDocument, RerankResponse

KEY = "sk-CANARY-of-the-reranker"
COHERE = "cohere/rerank-v3.5"
NODES = [NodeWithScore(node=TextNode(text=text, metadata={"page": text}), score=0.1) for text in ("a", "b", "c")]

Rerank = Callable[..., list[NodeWithScore]]


def rerank(model: UnifiedRerank, nodes: Sequence[NodeWithScore], **question: Any) -> list[NodeWithScore]:
    return model.postprocess_nodes([*nodes], **question)


def arerank(model: UnifiedRerank, nodes: Sequence[NodeWithScore], **question: Any) -> list[NodeWithScore]:
    return asyncio.run(model.apostprocess_nodes([*nodes], **question))


BOTH = each("rerank_nodes", [rerank, arerank])


def ranking(*results: tuple[int, float]) -> list[Done]:
    return [Done(RerankResponse(tuple(RankedDocument(*result) for result in results)))]


def model(**fields: Any) -> UnifiedRerank:
    return UnifiedRerank(**{"model": COHERE, "api_key": KEY} | fields)


@BOTH
def test_nodes_come_back_in_the_order_of_their_relevance_with_its_score(rerank_nodes: Rerank) -> None:
    with ScriptedTargets({COHERE: [ranking((2, 0.9), (0, 0.4))]}).running() as targets:
        reranker = model(top_n=2)
        assert isinstance(reranker, BaseNodePostprocessor)
        best = rerank_nodes(reranker, NODES, query_str="which?")
    assert [(node.text, node.score) for node in best] == [("c", 0.9), ("a", 0.4)]
    assert [node.score for node in NODES] == [0.1] * 3
    (_, request), *_ = targets.asked
    assert (request.query, request.documents, request.top_n) == ("which?", tuple(f"page: {t}\n\n{t}" for t in "abc"), 2)


@BOTH
def test_any_reranker_stands_in_for_any_other(rerank_nodes: Rerank) -> None:
    there = "https://eu.example"
    script: dict[str, Any] = {COHERE: [Failure("server", 503)], there: [ranking((1, 0.5), (0, 0.2), (2, 0.1))]}
    other = {"model": "cohere/rerank-multilingual-v3.0", "base_url": there, "api_key": f"{KEY}-there"}
    with ScriptedTargets(script).running() as targets:
        best = rerank_nodes(model(fallbacks=[other]), NODES, query_bundle=QueryBundle("which?"))
    assert [node.text for node in best] == ["b", "a", "c"]
    assert set(targets.names) == {COHERE, there}


@BOTH
def test_no_nodes_ask_nobody_and_no_question_is_an_error(rerank_nodes: Rerank) -> None:
    with ScriptedTargets({COHERE: [ranking((0, 1.0))]}).running() as targets:
        assert rerank_nodes(model(), [], query_str="which?") == []
        with pytest.raises(ValidationError, match="pass query_str= or query_bundle="):
            rerank_nodes(model(), NODES)
    assert targets.asked == []


@BOTH
def test_llamaindexs_observers_see_it(rerank_nodes: Rerank) -> None:
    seen = LlamaDebugHandler(print_trace_on_end=False)
    with ScriptedTargets({COHERE: [ranking((2, 0.9), (0, 0.4))]}).running():
        rerank_nodes(model(callback_manager=CallbackManager([seen]), top_k=2), NODES, query_str="which?")
    ((start, end),) = seen.get_event_pairs(CBEventType.RERANKING)
    assert start.payload
    assert end.payload
    assert (start.payload["model_name"], start.payload["top_k"]) == (COHERE, 2)
    assert [node.text for node in end.payload["nodes"]] == ["c", "a"]
    assert KEY not in str((start, end))


def test_a_dump_and_a_pickle_hold_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = model(top_n=2)
    assert KEY not in json.dumps(reranker.to_dict()) + repr(reranker)
    assert reranker.to_dict()["class_name"] == "unified_rerank"
    data = pickle.dumps(reranker)
    assert KEY.encode() not in data
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    copied: UnifiedRerank = pickle.loads(data)  # noqa: S301 - made above
    with ScriptedTargets({COHERE: [ranking((1, 0.9))]}).running():
        assert [node.text for node in rerank(copied, NODES, query_str="which?")] == ["b"]


@each(
    ("fields", "pattern"),
    [
        ({"model": None, "provider": "cohere"}, 'UnifiedRerank needs a model: write "provider/model"'),
        ({"top_n": 0}, "top_n"),
        ({"temperature": 0}, "no field 'temperature'"),
    ],
)
def test_bad_settings_are_found_at_construction(fields: dict[str, Any], pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=pattern):
        model(**fields)


def test_a_provider_without_reranking_is_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="ollama/llama2 cannot rank documents"):
        rerank(UnifiedRerank(model="ollama/llama2"), NODES, query_str="which?")
