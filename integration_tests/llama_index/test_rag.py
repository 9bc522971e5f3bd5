"""A whole pipeline without mocks: documents, embeddings, index, engines, and a server that is killed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rag_pipeline import Answered, Pipeline

from integration_tests.support import llamacpp
from integration_tests.support.llamacpp import LlamaServer
from integration_tests.support.needs import need

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex

SERVER, DEMO = f"llamacpp/{llamacpp.MODEL}", "mlx/demo"

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LlamaServer]:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    llamacpp.write_model(tmp_path / "random.gguf")
    with LlamaServer(tmp_path / "random.gguf") as server:
        yield server


@pytest.mark.parametrize(
    ("question", "page", "words"),
    [
        ("How many failures in a row open the breaker?", "failover", "## The breaker"),
        ("Is text replayed when a stream breaks after its first chunk?", "failover", "## Streams"),
        ("How can I simulate an outage without a network?", "failover", "## Simulate an outage"),
        ("Is a prompt ever written to the log?", "observability", "## In the log"),
    ],
)
def test_the_right_passage_is_found(index: VectorStoreIndex, question: str, page: str, words: str) -> None:
    best, *_ = index.as_retriever(similarity_top_k=1).retrieve(question)
    assert best.node.metadata["page"] == page
    assert words in best.text


def served_by(result: Answered) -> list[str]:
    return [attempt.target for attempt in result.attempts if attempt.outcome == "ok"]


def test_every_question_is_answered_although_the_server_is_killed_in_the_middle(
    index: VectorStoreIndex, server: LlamaServer
) -> None:
    pipeline = Pipeline(index, server.base_url, DEMO)
    pipeline.on_answer = lambda count: server.kill() if count == 2 else None
    compact, refine, tree, first, second = pipeline.run()
    assert served_by(compact) == [SERVER]
    assert served_by(refine) == [SERVER, DEMO, DEMO], "it was killed between two steps of one answer"
    assert {attempt.outcome for attempt in refine.attempts} == {"ok", "connect"}
    assert served_by(tree) == served_by(first) == served_by(second) == [DEMO]
    for result in (compact, refine, tree, first, second):
        assert result.answer.strip()
        assert result.passage.startswith("failover")
    assert first.answer.startswith("Failover")
    assert second.answer.startswith("A fallback")
    health = {row["target"]: row for row in pipeline.llm.health()}
    assert set(health) == {SERVER, DEMO}


async def test_async_engines_survive_it_too(index: VectorStoreIndex, server: LlamaServer) -> None:
    pipeline = Pipeline(index, server.base_url, DEMO)
    engine = index.as_query_engine(llm=pipeline.llm, similarity_top_k=1, response_mode="tree_summarize", use_async=True)
    assert str(await engine.aquery("What is failover?")).strip()
    server.kill()
    assert str(await engine.aquery("What is failover?")).strip()
    assert [attempt.target for attempt in pipeline.attempts if attempt.outcome == "ok"] == [SERVER, DEMO]
