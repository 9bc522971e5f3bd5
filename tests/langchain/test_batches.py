"""The batch methods of LangChain: their calls are queued, those beside them are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._client.queued_calls import is_queued
from unified_llm._core.outcome import Done
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.types import EmbeddingResponse

GPT, EMBEDDER = "openai/gpt-4o", "openai/text-embedding-3-small"
KEY = "sk-CANARY-0123456789"


class Watching(ScriptedTargets):
    """Targets that note whether the calls which reach them are queued."""

    queued: list[bool]

    def key(self, target: Any) -> str:
        self.queued.append(is_queued())
        return super().key(target)


def servers() -> Watching:
    watching = Watching({GPT: [say("Yes.")], EMBEDDER: [[Done(EmbeddingResponse([[1.0, 0.0]]))]]})
    watching.queued = []
    return watching


def chat() -> ChatUnified:
    return ChatUnified(model=GPT, api_key=KEY)


def run_each(model: Any, way: str, inputs: Sequence[Any]) -> list[Any]:
    async def collect(results: AsyncIterator[Any]) -> list[Any]:
        seen = []
        async for result in results:
            assert not is_queued()
            seen.append(result)
        return seen

    def read(results: Iterator[Any]) -> list[Any]:
        seen = []
        for result in results:
            assert not is_queued()
            seen.append(result)
        return seen

    match way:
        case "batch":
            return list(model.batch(inputs))
        case "abatch":
            return list(asyncio.run(model.abatch(inputs)))
        case "batch_as_completed":
            return read(model.batch_as_completed(inputs))
        case _:
            return asyncio.run(collect(model.abatch_as_completed(inputs)))


@each("way", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"])
def test_the_calls_of_a_batch_are_queued_and_the_callers_own_are_not(way: str) -> None:
    with (watching := servers()).running():
        for model in (chat(), chat().bind(temperature=0), chat().with_config(tags=["a"])):
            assert len(run_each(model, way, ["One?", "Two?", "Three?"])) == 3
        assert run_each(chat(), way, []) == []
        chat().invoke("Hello?")
    assert watching.queued == [True] * 9 + [False]


@each("way", ["batch", "abatch"])
def test_a_chain_with_a_model_in_it_is_queued_too(way: str) -> None:
    prompt = ChatPromptTemplate.from_messages([("user", "Answer {question}.")])
    with (watching := servers()).running():
        for chain in (prompt | chat(), prompt | chat() | RunnableLambda(lambda message: message.content)):
            run_each(chain, way, [{"question": "one"}, {"question": "two"}])
    assert watching.queued == [True] * 4


def test_a_batch_keeps_the_limit_of_its_target() -> None:
    with (watching := servers()).running():
        limited = ChatUnified(model=GPT, api_key=KEY, rpm=2)
        assert [message.content for message in asyncio.run(limited.abatch(["One?"] * 5))] == ["Yes."] * 5
    assert watching.clock - 1000 > 120


@each("asynchronous", [False, True])
def test_documents_that_need_several_requests_are_queued(*, asynchronous: bool) -> None:
    with (watching := servers()).running():
        model = UnifiedEmbeddings(model=EMBEDDER, api_key=KEY, batch_size=1)
        for texts in (["one"], ["one", "two"]):
            asyncio.run(model.aembed_documents(texts)) if asynchronous else model.embed_documents(texts)
        model.embed_query("one")
    assert watching.queued == [False, True, True, False]
