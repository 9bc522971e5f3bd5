"""Embeddings in other processes, in other event loops, and through LlamaIndex's settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode

from integration_tests.support import minilm
from integration_tests.support.upstream import KEY, Upstream
from integration_tests.support.upstream_answers import vector
from unified_llm.exceptions import ServiceUnavailableError
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

TEXTS = [f"Passage {number} is about failover." for number in range(12)]
MODEL = "openai/scripted-embedding"
LENGTH = 16


@pytest.fixture(autouse=True)
def _the_upstream_is_openai(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set key and address in the environment, where worker processes read them."""
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def embedding() -> UnifiedEmbedding:
    return UnifiedEmbedding(model=MODEL, embed_batch_size=3)


def nodes() -> list[TextNode]:
    return [TextNode(text=text) for text in TEXTS]


def expected(text: str) -> object:
    return pytest.approx(vector(text, LENGTH), abs=1e-6)


def test_worker_processes_embed(embedding: UnifiedEmbedding, upstream: Upstream) -> None:
    embedding.get_text_embedding(TEXTS[0])  # the parent's connections are not shared
    made = IngestionPipeline(transformations=[embedding]).run(nodes=nodes(), num_workers=2)
    assert {node.get_content(): node.embedding for node in made} == {text: expected(text) for text in TEXTS}
    assert sorted(len(request.body["input"]) for request in upstream.requests) == [1, 3, 3, 3, 3]


def test_worker_processes_embed_through_mlx() -> None:
    embedding = UnifiedEmbedding(model=f"mlx/{minilm.folder()}")
    made = IngestionPipeline(transformations=[embedding]).run(nodes=nodes()[:4], num_workers=2)
    vectors = {node.get_content(): node.embedding for node in made}
    assert vectors == {text: pytest.approx(embedding.get_text_embedding(text), abs=1e-5) for text in TEXTS[:4]}


def test_a_pipeline_does_not_embed_twice_what_it_has_embedded(embedding: UnifiedEmbedding, upstream: Upstream) -> None:
    pipeline = IngestionPipeline(transformations=[embedding])
    same = nodes()
    first = pipeline.run(nodes=same)
    count = upstream.count("embeddings")
    embedding.health()
    assert [node.embedding for node in pipeline.run(nodes=same)] == [node.embedding for node in first]
    assert upstream.count("embeddings") == count


def test_a_list_that_failed_in_the_middle_is_finished_when_it_is_asked_for_again(upstream: Upstream) -> None:
    embedding = UnifiedEmbedding(model=MODEL, embed_batch_size=3, max_retries=0, on_attempt=lambda _: fail_after(2))

    def fail_after(count: int) -> None:
        upstream.status = 503 if upstream.count("embeddings") == count else None

    with pytest.raises(ServiceUnavailableError):
        embedding.get_text_embedding_batch(TEXTS)
    assert upstream.count("embeddings") == 3
    upstream.status = None
    assert embedding.get_text_embedding_batch(TEXTS) == [expected(text) for text in TEXTS]
    assert [len(request.body["input"]) for request in upstream.requests] == [3, 3, 3, 3, 3]


def test_a_second_event_loop_works_as_the_first(embedding: UnifiedEmbedding) -> None:
    for _ in range(2):
        vectors = asyncio.run(embedding.aget_text_embedding_batch(TEXTS))
        assert vectors == [expected(text) for text in TEXTS]


@pytest.fixture
def _settings(embedding: UnifiedEmbedding) -> Iterator[None]:
    Settings.embed_model, Settings.llm = embedding, UnifiedLLM(model="openai/scripted-large")
    yield
    Settings._embed_model = Settings._llm = None


@pytest.mark.usefixtures("_settings")
def test_the_settings_of_the_process_take_both() -> None:
    engine = VectorStoreIndex(nodes()).as_query_engine(similarity_top_k=1)
    answer = engine.query(TEXTS[5])
    assert answer.source_nodes[0].text == TEXTS[5]
    assert str(answer).startswith("You said: Context information")
