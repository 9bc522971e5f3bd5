"""A whole pipeline without mocks: documents, embeddings, index, engines, and a server that is killed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from llama_index.core import PromptTemplate
from rag_pipeline import Answered, Pipeline
from typing_extensions import override

from integration_tests.support import llamacpp
from integration_tests.support.llamacpp import LlamaServer
from integration_tests.support.needs import need
from unified_llm import Attempt

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
        ("How many failures in a row open the breaker?", "failover", "failures in a row"),
        ("Is text replayed when a stream breaks after its first chunk?", "failover", "on_stream_break"),
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


# The context window of the demo model is 1024 of its own tokens, which are half as long as LlamaIndex's;
# LlamaIndex reserves 500 tokens of the window for an answer that it refines. Its default prompts would not fit.
MODELS = {
    "provider": "llamacpp",
    "model": llamacpp.MODEL,
    "api_key": llamacpp.KEY,
    "fallbacks": ["mlx/demo"],
    "max_tokens": 32,
    "context_window": 920,
}
ASK = PromptTemplate("{context_str}\n\nBy this text: {query_str}")
REFINE = PromptTemplate("{context_msg}\n\n{query_str} So far: {existing_answer}\nCorrect that by the text.")
PROMPTS = {"text_qa_template": ASK, "refine_template": REFINE, "summary_template": ASK}
CHAT = {
    "context_template": "Answer by this text: {context_str}",
    "context_refine_template": "Improve this answer: {existing_answer} with this text: {context_msg}",
}


class KilledAtTwo(list[Attempt]):
    """Attempts; the server is killed after its second response."""

    def __init__(self, server: LlamaServer) -> None:
        super().__init__()
        self.server = server

    @override
    def append(self, attempt: Attempt) -> None:
        super().append(attempt)
        if attempt.outcome == "ok" and [past.target for past in self if past.outcome == "ok"] == [SERVER, SERVER]:
            self.server.kill()


def test_every_question_is_answered_although_the_server_is_killed_in_the_middle(
    index: VectorStoreIndex, server: LlamaServer
) -> None:
    pipeline = Pipeline(index, {**MODELS, "base_url": server.base_url}, KilledAtTwo(server))
    question = "After how many failures in a row is the breaker of a target open?"
    modes = ("compact", "refine", "tree_summarize")
    compact, refine, tree = (pipeline.query(question, response_mode=mode, **PROMPTS) for mode in modes)
    first, second = pipeline.converse("What is failover?", "What is a fallback?", **CHAT)
    assert served_by(compact) == [SERVER]
    assert served_by(refine) == [SERVER, DEMO, DEMO], "it was killed between two steps of one answer"
    assert {attempt.outcome for attempt in refine.attempts} == {"ok", "connect"}
    assert served_by(tree) == served_by(first) == served_by(second) == [DEMO]
    for result in (compact, refine, tree, first, second):
        assert result.response.strip()
        assert result.passage.startswith("failover")
    assert first.response.startswith("Failover")
    assert second.response.startswith("A fallback")
    health = {row["target"]: row for row in pipeline.llm.health()}
    assert set(health) == {SERVER, DEMO}


async def test_async_engines_survive_it_too(index: VectorStoreIndex, server: LlamaServer) -> None:
    pipeline = Pipeline(index, {**MODELS, "base_url": server.base_url})
    engine = index.as_query_engine(llm=pipeline.llm, similarity_top_k=1, response_mode="tree_summarize", use_async=True)
    assert str(await engine.aquery("What is failover?")).strip()
    server.kill()
    assert str(await engine.aquery("What is failover?")).strip()
    assert [attempt.target for attempt in pipeline.attempts if attempt.outcome == "ok"] == [SERVER, DEMO]
