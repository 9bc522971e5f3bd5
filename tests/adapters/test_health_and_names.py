"""Health, names of targets and metadata of attempts, through the adapters of both frameworks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.each import each
from tests.support.langchain_models import Plain
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from tests.support.vectors import EmbeddingTargets
from unified_llm import LLMClient, LLMConfig
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

KEY = "sk-canary-health"
GPT, MINI, SONAR = "openai/gpt-4o", "openai/gpt-4o-mini", "perplexity/sonar"
EAST, WEST = "https://east.example/v1", "https://west.example/v1"
DEAD = Failure("server", 503)

# What each adapter puts into its framework's metadata.
METADATA: Mapping[str, Callable[..., Mapping[str, Any]]] = {
    "invoke": lambda **chain: ChatUnified(**chain).invoke("Hello?").response_metadata["unified_llm"],
    "stream": lambda **chain: _last(ChatUnified(**chain).stream("Hello?")).response_metadata["unified_llm"],
    "complete": lambda **chain: UnifiedLLM(**chain).complete("Hello?").raw["unified_llm"],  # type: ignore[index]
    "stream_complete": lambda **chain: _last(UnifiedLLM(**chain).stream_complete("Hello?")).raw["unified_llm"],
}


def _last(chunks: Any) -> Any:
    return [chunk for chunk in chunks if not hasattr(chunk, "chunk_position") or chunk.response_metadata][-1]


@each("way", METADATA)
def test_metadata_name_the_place_that_served_the_call_and_whether_it_is_a_fallback(way: str) -> None:
    with ScriptedTargets({EAST: [DEAD, say("Hello")], WEST: [say("Hello")]}).running():
        chain: dict[str, Any] = {"api_key": KEY, "base_url": EAST, "max_retries": 0, "fallbacks": [{"base_url": WEST}]}
        failed_over = METADATA[way](model=GPT, **chain)
        as_usual = METADATA[way](model=GPT, **chain)
    assert (failed_over["served_by"], failed_over["used_fallback"]) == (f"{GPT}@west.example", True)
    assert [attempt["target"] for attempt in failed_over["attempts"]] == [f"{GPT}@east.example", f"{GPT}@west.example"]
    assert (as_usual["served_by"], as_usual["used_fallback"]) == (f"{GPT}@east.example", False)
    assert "fell_back" not in {**failed_over, **as_usual}


def test_fallbacks_that_cannot_serve_a_call_are_listed_after_the_attempt_at_the_primary() -> None:
    chat = ChatUnified(model=GPT, api_key=KEY, fallbacks=[SONAR, MINI], max_retries=0)
    tool = {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}}
    with ScriptedTargets({GPT: [DEAD], MINI: [call_tool("weather", "{}")]}).running():
        message = chat.bind_tools([tool]).invoke("Hello?")
    attempts = message.response_metadata["unified_llm"]["attempts"]
    assert [(attempt["target"], attempt["outcome"]) for attempt in attempts] == [
        (GPT, "server"),
        (SONAR, "skipped"),
        (MINI, "ok"),
    ]


@each(
    "make",
    [
        lambda **fields: LLMClient(fields.pop("model"), **fields),
        ChatUnified,
        UnifiedLLM,
        UnifiedEmbeddings,
        UnifiedEmbedding,
        UnifiedRerank,
    ],
)
def test_every_adapter_has_the_health_of_its_chain_in_its_order(make: Callable[..., Any]) -> None:
    same: dict[str, Any] = {"space": "same"}  # without which another model is no fallback for embeddings
    inner = LLMConfig(model=GPT, api_key=KEY, name="inner", fallbacks=[{"model": MINI, "api_key": KEY, **same}], **same)
    embeds = make in {UnifiedEmbeddings, UnifiedEmbedding}
    rows = make(model=GPT, api_key=KEY, fallbacks=[{"base_url": WEST}, inner], **(same if embeds else {})).health()
    assert [row["target"] for row in rows] == [f"{GPT}@api.openai.com", f"{GPT}@west.example", "inner", MINI]
    assert [row["host"] for row in rows] == ["api.openai.com", "west.example", "api.openai.com", "api.openai.com"]
    assert KEY not in json.dumps(rows)


@each("make", [UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding, UnifiedRerank])
def test_name_is_that_of_the_primary(make: Callable[..., Any]) -> None:
    adapter = make(model=GPT, api_key=KEY, name="east", fallbacks=[{"base_url": WEST}])
    assert [row["target"] for row in adapter.health()] == ["east", GPT]
    adapter.name = "first"
    assert adapter.health()[0]["target"] == "first"
    assert adapter.model_copy().health()[0]["target"] == "first"


def test_the_name_of_a_chat_model_of_langchain_stays_that_of_its_runs() -> None:
    chat = ChatUnified(model=GPT, api_key=KEY, name="assistant", fallbacks=[{"base_url": WEST, "name": "west"}])
    assert chat.get_name() == "assistant"
    assert [row["target"] for row in chat.health()] == [GPT, "west"]


def test_health_of_embeddings_counts_their_requests() -> None:
    with EmbeddingTargets(lambda _, target: None if target.base_url == WEST else DEAD).running():
        embeddings = UnifiedEmbeddings(
            model="openai/text-embedding-3-small", api_key=KEY, max_retries=0, fallbacks=[{"base_url": WEST}]
        )
        embeddings.embed_documents(["one", "two"])
        first, second = embeddings.health()
    assert (first["calls"], first["failures"], first["last_failure"]["status"]) == (1, 1, 503)
    assert (second["calls"], second["failures"], second["host"]) == (1, 0, "west.example")


def test_wrapped_models_of_one_name_are_told_apart_and_have_health_of_their_own() -> None:
    chat = ChatUnified(model=Plain(problem=ConnectionError("down")), max_retries=0, fallbacks=[Plain()])
    metadata = chat.invoke("Hello?").response_metadata["unified_llm"]
    first, second = chat.health()
    assert (first["calls"], first["failures"], first["host"]) == (1, 1, None)
    assert (second["calls"], second["failures"], second["host"]) == (1, 0, None)
    assert metadata["served_by"] == second["target"] == f"{first['target']}#2"
    named = ChatUnified(model=GPT, api_key=KEY, fallbacks=[Plain()])
    assert [row["target"] for row in named.health()] == [GPT, first["target"]]
