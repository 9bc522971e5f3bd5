"""Both frameworks share one core: the health of a provider is common to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.schema import Document

from tests.support.llama_index_calls import PRIMARY, SECOND, model
from tests.support.scripted_targets import Attempt, ScriptedTargets, say
from unified_llm import LLMClient, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified

BUSY = Failure("server", 503)
LIMITED = Failure("rate_limit", 429, headers={"retry-after": "60"})
BAD_KEY = Failure("auth", 401)


def chat() -> ChatUnified:
    return ChatUnified(model=PRIMARY, fallbacks=[SECOND])


def query(text: str = "Why?") -> str:
    return str(SummaryIndex.from_documents([Document(text="Because.")]).as_query_engine(llm=model()).query(text))


def test_an_outage_seen_by_an_agent_of_langchain_is_known_to_a_query_engine_of_llama_index() -> None:
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello")]}).running() as targets:
        while "open" not in {row["state"] for row in health_snapshot()}:
            chat().invoke("Hi")
        asked = targets.names.count(PRIMARY)
        assert query() == "Hello"
        response: Any = model().complete("Why?")
        assert asyncio.run(model().acomplete("Why?")).text == "Hello"
        assert targets.names.count(PRIMARY) == asked, "nobody asked it again"
    skipped = response.raw["unified_llm"]["attempts"][0]
    assert (skipped["target"], skipped["outcome"]) == (PRIMARY, "skipped")


def test_an_outage_seen_by_llama_index_is_known_to_langchain_and_to_the_client() -> None:
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello")]}).running() as targets:
        while "open" not in {row["state"] for row in health_snapshot()}:
            query()
        asked = targets.names.count(PRIMARY)
        message = chat().invoke("Hi")
        LLMClient(PRIMARY, fallbacks=[SECOND]).generate("Hi")
        assert targets.names.count(PRIMARY) == asked
    assert message.response_metadata["unified_llm"]["attempts"][0]["outcome"] == "skipped"
    assert message.response_metadata["unified_llm"]["served_by"] == SECOND


@pytest.mark.parametrize("failure", [LIMITED, BAD_KEY])
def test_a_rate_limit_and_a_refused_key_hold_for_both(failure: Failure) -> None:
    with ScriptedTargets({PRIMARY: [failure], SECOND: [say("Hello")]}).running() as targets:
        chat().invoke("Hi")
        query()
        list(model().stream_complete("Hi"))
    assert targets.names.count(PRIMARY) == 1


def test_a_recovery_seen_by_one_is_known_to_the_other() -> None:
    script: list[Attempt] = [*[BUSY] * 6, say("I am back")]
    with ScriptedTargets({PRIMARY: script, SECOND: [say("Hello")]}).running() as targets:
        while "open" not in {row["state"] for row in health_snapshot()}:
            query()
        while chat().invoke("Hi").content != "I am back":
            targets.clock += 60
        assert {row["state"] for row in health_snapshot()} == {"closed"}
        assert query() == "I am back"


def test_both_report_who_answered_in_the_same_form() -> None:
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello")]}).running() as targets:
        first = chat().invoke("Hi").response_metadata
        targets.clock += 3600
        second: Any = model().complete("Hi").raw
    for name in ("model_name", "model_provider", "finish_reason", "id"):
        assert first[name] == second[name]
    assert first["unified_llm"].keys() == second["unified_llm"].keys()
    assert first["unified_llm"]["served_by"] == second["unified_llm"]["served_by"]
