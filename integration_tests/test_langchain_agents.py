"""LangChain's agents, chains, traces and copies over ``ChatUnified`` with a primary that always returns 503."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain.chat_models import init_chat_model
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_openai import ChatOpenAI
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream
from langgraph.prebuilt import create_react_agent  # type: ignore[deprecated] # still in wide use
from pydantic import BaseModel, Field, SecretStr

from integration_tests.support.upstream import KEY, Upstream
from unified_llm import LLMConfig
from unified_llm.exceptions import AllTargetsFailedError
from unified_llm.langchain import ChatUnified, register

if TYPE_CHECKING:
    from langchain.agents.middleware.types import InputAgentState

MakeModel = Callable[..., ChatUnified]
Strategy = ToolStrategy[Any] | ProviderStrategy[Any] | type[Any]
Method = Literal["json_schema", "function_calling", "json_mode"]
SERVED_BY = "openai-compatible/scripted-small"


class Forecast(BaseModel):
    """What the weather will be."""

    city: str
    days: int = Field(description="how many days ahead")


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is sunny in {city}."


@pytest.fixture
def make(upstream: Upstream, second: Upstream) -> Iterator[MakeModel]:
    """Yield a factory of the model; afterwards both the primary and the second target must have had requests."""
    upstream.status = 503

    def make(**fields: Any) -> ChatUnified:
        fallback = LLMConfig(
            provider="openai-compatible", model="scripted-small", base_url=second.base_url, api_key=KEY
        )
        given: dict[str, Any] = {
            "model": "openai/scripted-large",
            "base_url": upstream.base_url,
            "api_key": KEY,
            "fallbacks": [fallback],
            "max_retries": 0,
            **fields,
        }
        return ChatUnified(**given)

    yield make
    assert upstream.count("chat/completions") > 0
    assert second.count("chat/completions") > 0


def served_by(message: AnyMessage) -> str:
    return str(message.response_metadata["unified_llm"]["served_by"])


def test_a_chain(make: MakeModel) -> None:
    chain = ChatPromptTemplate.from_template("Tell me about {topic}") | make() | StrOutputParser()
    assert chain.invoke({"topic": "owls"}) == "You said: Tell me about owls. This is all I know about it."
    assert "".join(chain.stream({"topic": "owls"})) == chain.invoke({"topic": "owls"})


def test_an_agent_with_tools(make: MakeModel) -> None:
    agent = create_agent(make(), [get_weather])
    messages = agent.invoke({"messages": [HumanMessage("How is 'Oslo'?")]})["messages"]
    assert [each.type for each in messages] == ["human", "ai", "tool", "ai"]
    assert messages[1].tool_calls[0]["args"] == {"city": "Oslo"}
    assert messages[-1].text == "You said: It is sunny in Oslo.. This is all I know about it."
    assert served_by(messages[1]) == served_by(messages[-1]) == SERVED_BY


async def test_an_agent_with_tools_async(make: MakeModel) -> None:
    agent = create_agent(make(), [get_weather])
    messages = (await agent.ainvoke({"messages": [HumanMessage("How is 'Oslo'?")]}))["messages"]
    assert served_by(messages[-1]) == SERVED_BY


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
def test_langgraphs_prebuilt_agent(make: MakeModel) -> None:
    agent = create_react_agent(make(), [get_weather])
    messages = agent.invoke({"messages": [HumanMessage("How is 'Oslo'?")]})["messages"]
    assert [each.type for each in messages] == ["human", "ai", "tool", "ai"]


@pytest.mark.parametrize("strategy", [ToolStrategy(Forecast), ProviderStrategy(Forecast), Forecast])
@pytest.mark.parametrize("tools", [[get_weather], []], ids=["tools", "no tools"])
def test_an_agent_with_a_structured_answer(make: MakeModel, strategy: Strategy, tools: list[Any]) -> None:
    agent = create_agent(make(), tools, response_format=strategy)
    result = agent.invoke({"messages": [HumanMessage("How is 'Oslo' in 3 days?")]})
    assert result["structured_response"] == Forecast(city="Oslo", days=3)


def test_langgraph_streams_tokens(make: MakeModel) -> None:
    agent = create_agent(make(), [get_weather])
    question: InputAgentState = {"messages": [HumanMessage("How is 'Oslo'?")]}
    tokens = [chunk for chunk, _ in agent.stream(question, stream_mode="messages") if isinstance(chunk, AIMessageChunk)]
    text = [chunk.text for chunk in tokens if chunk.text]
    assert len(text) > 3
    assert "".join(text) == "You said: It is sunny in Oslo.. This is all I know about it."
    # One message per answer: the failover left nothing of the primary behind.
    assert len({chunk.id for chunk in tokens}) == 2


async def test_langgraph_streams_tokens_async(make: MakeModel) -> None:
    agent = create_agent(make(), [get_weather])
    question: InputAgentState = {"messages": [HumanMessage("How is 'Oslo'?")]}
    tokens = [chunk async for chunk, _ in agent.astream(question, stream_mode="messages")]
    assert len({chunk.id for chunk in tokens if isinstance(chunk, AIMessageChunk)}) == 2


@pytest.mark.filterwarnings("ignore:The method `BaseChatModel._a?chat_model_stream_v3` is in beta")
async def test_events_of_version_3_are_well_formed(make: MakeModel) -> None:
    model = make()
    bound = model.bind_tools([get_weather])
    for runnable in (model, bound):
        events = list(runnable.stream_events("How is 'Oslo'?", version="v3"))
        assert_valid_event_stream(events)
        stream = await runnable.astream_events("How is 'Oslo'?", version="v3")
        assert_valid_event_stream([event async for event in stream])
        assert served_by(await stream.output) == SERVED_BY


async def test_events_of_version_2_are_streamed(make: MakeModel) -> None:
    events = [event async for event in make().astream_events("hello", version="v2")]
    deltas = [event for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(event["data"]["chunk"].text for event in deltas).startswith("You said: hello")


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_by_each_method(make: MakeModel, method: Method) -> None:
    prompt = "As JSON with 'city' and 'days'" if method == "json_mode" else "How is 'Oslo' in 3 days?"
    result = make().with_structured_output(Forecast, method=method, include_raw=True).invoke(prompt)
    assert isinstance(result, dict)
    assert served_by(result["raw"]) == SERVED_BY
    if method == "json_mode":
        assert "days" in str(result["parsing_error"])  # the upstream's JSON mode writes no numbers
    else:
        assert result["parsed"] == Forecast(city="Oslo", days=3)


def test_summarization_counts_in_fractions_of_the_window(make: MakeModel) -> None:
    model = make(profile={"max_input_tokens": 200})
    middleware = SummarizationMiddleware(model=model, trigger=("fraction", 0.5), keep=("messages", 2))
    agent = create_agent(model, [get_weather], middleware=[middleware])
    history: list[AnyMessage] = [HumanMessage("word " * 60), AIMessage("word " * 60)] * 2
    result = agent.invoke({"messages": [*history, HumanMessage("How is 'Oslo'?")]})
    assert "summary" in result["messages"][0].text.lower()
    assert sum(each.text.startswith("word") for each in result["messages"]) < len(history)


def test_with_fallbacks_stays_a_chat_model(make: MakeModel, second: Upstream) -> None:
    lonely = make(fallbacks=[])
    other = ChatUnified(model="openai/scripted-small", base_url=second.base_url, api_key=KEY)
    model = lonely.with_fallbacks([other])
    assert isinstance(model, ChatUnified)
    assert isinstance(model, BaseChatModel)
    agent = create_agent(model, [get_weather], response_format=ToolStrategy(Forecast))
    assert agent.invoke({"messages": [HumanMessage("How is 'Oslo' in 3 days?")]})["structured_response"].days == 3


async def test_a_chat_model_of_another_maker_is_a_fallback(make: MakeModel, second: Upstream) -> None:
    other = ChatOpenAI(model="scripted-small", base_url=second.base_url, api_key=SecretStr(KEY), stream_usage=True)
    runs = RunCollectorCallbackHandler()
    model = make(fallbacks=[other]).bind_tools([get_weather])
    question, config = "How is 'Oslo'?", RunnableConfig(callbacks=[runs])
    answers = [
        [model.invoke(question, config)],
        list(model.stream(question, config)),
        [await model.ainvoke(question, config)],
        [chunk async for chunk in model.astream(question, config)],
    ]
    await other.root_async_client.close()  # or its sockets are left to the garbage collector
    for first, *rest in answers:
        message = sum(rest, start=first)
        assert message.tool_calls[0]["args"] == {"city": "Oslo"}
        assert message.usage_metadata
        assert served_by(message).endswith("scripted-small")
    assert second.count() == len(answers)
    assert len(runs.traced_runs) == len(answers)  # the wrapped model starts no run of its own


def test_init_chat_model_knows_the_package(upstream: Upstream) -> None:
    register()
    model = init_chat_model("unified:openai:scripted-large", base_url=upstream.base_url, api_key=KEY)
    assert isinstance(model, ChatUnified)
    assert model.invoke("hello").text == "You said: hello. This is all I know about it."
    agent = create_agent(model, [get_weather])
    assert agent.invoke({"messages": [HumanMessage("How is 'Oslo'?")]})["messages"][-1].text


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_trace_names_who_really_answered(make: MakeModel, *, streamed: bool) -> None:
    runs, tokens = RunCollectorCallbackHandler(), UsageMetadataCallbackHandler()
    config = RunnableConfig(callbacks=[runs, tokens])
    if streamed:
        list(make().stream("hello", config))
    else:
        make().invoke("hello", config)
    metadata = runs.traced_runs[0].extra["metadata"]
    assert (metadata["ls_provider"], metadata["ls_model_name"]) == ("openai-compatible", "scripted-small")
    attempts = metadata["ls_gateway_info"]["attempts"]
    assert [each["outcome"] for each in attempts] == ["server", "ok"]
    assert list(tokens.usage_metadata) == ["scripted-small"]
    assert KEY not in str(runs.traced_runs[0])


def test_a_trace_of_a_failure_names_every_attempt(make: MakeModel, second: Upstream) -> None:
    second.status = 503
    runs = RunCollectorCallbackHandler()
    with pytest.raises(AllTargetsFailedError) as failure:
        make().invoke("hello", {"callbacks": [runs]})
    assert {(each.target, each.status) for each in failure.value.attempts} == {
        ("openai/scripted-large", 503),
        (SERVED_BY, 503),
    }
    assert not failure.value.is_retryable  # type: ignore[attr-defined] # LangChain's kind is mixed in at run time
    assert runs.traced_runs[0].error


async def test_copies_work_like_the_original(make: MakeModel) -> None:
    model = make()
    for copied in (model.model_copy(), copy.deepcopy(model), copy.copy(model)):
        assert copied.invoke("hello").text == "You said: hello. This is all I know about it."
        assert (await copied.ainvoke("hello")).text == "You said: hello. This is all I know about it."


def test_a_pickle_carries_no_key_and_looks_for_one_again(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.base_url)
    data = pickle.dumps(ChatUnified(model="openai/scripted-large", api_key=KEY))
    assert KEY.encode() not in data
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    copied: ChatUnified = pickle.loads(data)  # noqa: S301 - made three lines above
    assert copied.invoke("hello").text == "You said: hello. This is all I know about it."


def test_batches_keep_their_order(make: MakeModel) -> None:
    questions = [f"number {number}" for number in range(20)]
    answers = make().batch([*questions])
    assert [each.text.split(".")[0] for each in answers] == [f"You said: {question}" for question in questions]


def test_models_are_listed_through_the_chat_model(make: MakeModel, upstream: Upstream) -> None:
    model = make()
    assert {each.id for each in model.list_models()} == set(upstream.models)
    model.invoke("hello")
