"""Outages through the adapters, and of wrapped models and models in this process."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.langchain_models import Native, Plain, Streaming
from unified_llm import LLMClient, LLMResponse, ToolCall
from unified_llm._backends.mlx import unavailable_reason
from unified_llm.exceptions import AllTargetsFailedError, ServiceUnavailableError, StreamInterruptedError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.testing import outage
from unified_llm.testing._scripted_replies import Reply

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

EVERY_WAY = pytest.mark.parametrize("way", WAYS)
QUESTION: Any = {"messages": [HumanMessage("What is 1 + 2?")]}
EU, US = "https://eu.example", "https://us.example"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model(*fallbacks: Any) -> ChatUnified:
    return ChatUnified(model=GPT, fallbacks=list(fallbacks) or [HAIKU])


async def ask_chat_model(way: Way, llm: ChatUnified) -> AIMessage:
    """Call a LangChain chat model in one of the four ways; return its answer."""
    match way:
        case "generate":
            return llm.invoke("Hello?")
        case "agenerate":
            return await llm.ainvoke("Hello?")
        case "stream":
            chunks = list(llm.stream("Hello?"))
        case _:
            chunks = [chunk async for chunk in llm.astream("Hello?")]
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    return message


@pytest.mark.parametrize("kind", ["503", "429", "401", "refused", "hang"])
async def test_an_agent_survives(kind: Any) -> None:
    agent = create_agent(model(), tools=[add])
    turns: list[Reply] = [LLMResponse(tool_calls=(ToolCall("call_1", "add", {"a": 1, "b": 2}),)), "It is 3."]
    for ask in ("sync", "async"):
        with outage("openai", kind, reply=turns) as seen:
            result = agent.invoke(QUESTION) if ask == "sync" else await agent.ainvoke(QUESTION)
        assert [message.content for message in result["messages"]] == ["What is 1 + 2?", "", "3", "It is 3."]
        assert result["messages"][-1].response_metadata["unified_llm"]["served_by"] == HAIKU
        assert seen.asked.count(HAIKU) == 2
        assert seen.asked[0] == GPT


async def test_an_agent_streams_from_whoever_is_up() -> None:
    agent = create_agent(model(), tools=[add])
    with outage("openai", "503", reply="It is 3.") as seen:
        messages: list[Any] = [piece async for piece, _ in agent.astream(QUESTION, stream_mode="messages")]
    pieces = [piece.text for piece in messages]
    assert "".join(pieces) == "It is 3."
    assert len(pieces) > 3
    assert seen.asked[-1] == HAIKU


@EVERY_WAY
async def test_a_chat_model_of_langchains_fails_over(way: Way) -> None:
    with outage("openai", "529", reply="I am still here."):
        message = await ask_chat_model(way, model())
    assert message.content == "I am still here."
    assert message.response_metadata["unified_llm"]["used_fallback"]


async def test_a_stream_of_langchains_breaks_as_it_would() -> None:
    texts: list[str] = []

    async def read() -> None:
        async for chunk in model().astream("Hello?"):
            texts.append(chunk.text)  # noqa: PERF401 - the texts before an error count

    with outage("openai", "cut", after=3), pytest.raises(StreamInterruptedError) as caught:
        await read()
    assert caught.value.partial == "".join(texts) == "This answer breaks "


async def test_embeddings_come_from_the_other_region() -> None:
    embeddings = UnifiedEmbeddings(
        model="openai/text-embedding-3-small",
        base_url=EU,
        api_key="sk-canary-eu",
        fallbacks=[{"base_url": US}],
        dimensions=4,
    )
    with outage(EU, "refused", reply="no embedding is a text") as seen:
        documents = embeddings.embed_documents(["a", "b"])
        assert await embeddings.aembed_documents(["a", "b"]) == documents
        assert await embeddings.aembed_query("a") == embeddings.embed_query("a") == documents[0] != documents[1]
    assert len(documents[0]) == 4
    assert {attempt.outcome for attempt in seen.attempts} >= {"connect", "ok"}
    with outage("openai", "503"), pytest.raises(AllTargetsFailedError):
        embeddings.embed_query("a")


@EVERY_WAY
@pytest.mark.parametrize("kind", [Plain, Streaming, Native])
async def test_a_model_object_fails_by_its_providers_name_and_is_not_called(way: Way, kind: type[Plain]) -> None:
    wrapped = kind()
    with outage(["openai", "outside"], "503", reply="I am still here.") as seen:
        message = await ask_chat_model(way, model(wrapped, HAIKU))
    assert message.content == "I am still here."
    assert list(dict.fromkeys(seen.asked)) == [GPT, "outside/plain-1", HAIKU]
    assert wrapped.calls == []


@EVERY_WAY
@pytest.mark.parametrize("kind", [Plain, Streaming, Native])
async def test_a_model_object_that_is_up_answers_itself_or_with_the_tests_reply(way: Way, kind: type[Plain]) -> None:
    wrapped = kind()
    with outage("openai", "hang"), outage("groq", allow_unused=True):
        assert (await ask_chat_model(way, model(wrapped))).text == "Hello from outside"
    assert len(wrapped.calls) == 1
    with outage("openai", "hang", reply="By the test."):
        assert (await ask_chat_model(way, model(wrapped))).text == "By the test."
    assert len(wrapped.calls) == 1


@EVERY_WAY
def test_the_demo_model_answers_when_the_network_is_gone_unless_it_is_named(way: Way) -> None:
    if reason := unavailable_reason():
        pytest.skip(reason)
    client = LLMClient(GPT, fallbacks=[HAIKU, "mlx/demo"])
    with outage("*", "dns") as seen:
        result = outcome_of(way, client, "What is failover?")
    assert result.content.startswith("Failover sends a request")
    assert seen.asked[-1] == "mlx/demo"
    with outage(["*", "mlx/demo"], "503"):
        assert outcome_of(way, client).error is AllTargetsFailedError
    with outage("mlx", "503"):
        assert outcome_of(way, LLMClient("mlx/demo")).error is ServiceUnavailableError
