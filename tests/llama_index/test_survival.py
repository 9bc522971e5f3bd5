"""Query engines and agents during an outage of every kind: sync, async and streaming."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, call_tool, say
from unified_llm import reset_health
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import LLMError, StreamInterruptedError
from unified_llm.llama_index import UnifiedLLM

# Warnings of LlamaIndex itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]

PRIMARY, SECOND = "openai/gpt-5-mini", "ollama/llama3.2"
ANSWER = "Because of failover."
OUTAGES: dict[str, Sequence[Attempt]] = {
    "refused": [Failure("connect")],
    "hung": [[Pause()]],
    "503": [Failure("server", 503)],
    "cut before the first token": [[Failure("truncated")]],
    "rate limited": [Failure("rate_limit", 429, headers={"retry-after": "60"})],
}


def targets(outage: Sequence[Attempt], *answers: Attempt) -> ScriptedTargets:
    return ScriptedTargets({PRIMARY: outage, SECOND: answers or [say(ANSWER)]})


def model() -> UnifiedLLM:
    return UnifiedLLM(model=PRIMARY, fallbacks=[SECOND])


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    documents = [Document(text=f"Document {number} is about failover.") for number in range(3)]
    return VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=4))


QUERIES: dict[str, Callable[[VectorStoreIndex, UnifiedLLM], str]] = {
    "query": lambda index, llm: str(index.as_query_engine(llm=llm).query("Why?")),
    "aquery": lambda index, llm: str(asyncio.run(index.as_query_engine(llm=llm).aquery("Why?"))),
    "streamed": lambda index, llm: str(index.as_query_engine(llm=llm, streaming=True).query("Why?")),
    "astreamed": lambda index, llm: asyncio.run(_astreamed(index, llm)),
    "chat": lambda index, llm: str(
        index.as_chat_engine(llm=llm, chat_mode=ChatMode.CONTEXT, memory=_memory(llm)).chat("Why?")
    ),
    "stream_chat": lambda index, llm: "".join(
        SimpleChatEngine.from_defaults(llm=llm, memory=_memory(llm)).stream_chat("Why?").response_gen
    ),
}


def _memory(llm: UnifiedLLM) -> ChatMemoryBuffer:
    """Return a memory in RAM: the default one keeps a database open."""
    return ChatMemoryBuffer.from_defaults(llm=llm)


async def _astreamed(index: VectorStoreIndex, llm: UnifiedLLM) -> str:
    answer: Any = await index.as_query_engine(llm=llm, streaming=True).aquery("Why?")
    return "".join([token async for token in answer.async_response_gen()])


@pytest.mark.parametrize("way", QUERIES)
def test_a_query_engine_does_not_notice_an_outage(way: str, index: VectorStoreIndex) -> None:
    for name, outage in OUTAGES.items():
        reset_health()
        with targets(outage).running() as running:
            assert QUERIES[way](index, model()) == ANSWER, name
        assert PRIMARY in running.names
        assert running.names[-1] == SECOND
        assert running.open == 0


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize", "accumulate"])
def test_every_way_to_write_an_answer_survives(mode: Any) -> None:
    index = SummaryIndex.from_documents([Document(text="failover " * 100) for _ in range(3)])
    for use_async in (False, True):
        reset_health()
        llm = UnifiedLLM(model=PRIMARY, fallbacks=[SECOND], context_window=1100)
        with targets(OUTAGES["503"]).running() as running:
            engine = index.as_query_engine(llm=llm, response_mode=mode, use_async=use_async)
            assert ANSWER in str(engine.query("Why?"))
        assert running.names[-1] == SECOND


# A stream that breaks after it has begun raises; nothing is sent twice


def test_a_stream_cut_in_the_middle_raises_where_it_is_read_and_the_next_call_goes_elsewhere(
    index: VectorStoreIndex,
) -> None:
    cut: Attempt = ["Because ", "of ", Failure("connection")]
    with targets([cut, Failure("connect")]).running():
        llm = model()
        answer: Any = index.as_query_engine(llm=llm, streaming=True).query("Why?")
        with pytest.raises(StreamInterruptedError) as caught:
            list(answer.response_gen)
        assert caught.value.partial == "Because of "
        assert str(index.as_query_engine(llm=llm).query("Why?")) == ANSWER


# Agents


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TOOLS = [FunctionTool.from_defaults(add)]
ACTING: list[Attempt] = [call_tool("add", '{"a": 1, "b": 2}'), say("It is 3.")]
REASONING: list[Attempt] = [
    say('Thought: I need a tool.\nAction: add\nAction Input: {"a": 1, "b": 2}\n'),
    say("Thought: I can answer.\nAnswer: It is 3."),
]
AGENTS: dict[str, tuple[Any, list[Attempt]]] = {"function": (FunctionAgent, ACTING), "react": (ReActAgent, REASONING)}


async def _run(agent: Any) -> tuple[str, list[AgentStream]]:
    handler = agent.run("What is 1 + 2?", memory=_memory(agent.llm))
    events = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    return str(await handler), events


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("kind", AGENTS)
async def test_an_agent_does_not_notice_an_outage(kind: str, streaming: bool) -> None:  # noqa: FBT001
    agent_class, script = AGENTS[kind]
    for name, outage in OUTAGES.items():
        reset_health()
        with targets(outage, *script).running() as running:
            answer, events = await _run(agent_class(tools=TOOLS, llm=model(), streaming=streaming))
        assert answer == "It is 3.", name
        assert running.names[-1] == SECOND
        if streaming:
            raw: Any = events[-1].raw
            assert raw["unified_llm"]["used_fallback"] is True
            assert events[-1].response.endswith("It is 3.")


async def test_an_agent_changes_providers_between_a_call_and_its_result() -> None:
    script: dict[str, list[Attempt]] = {
        PRIMARY: [call_tool("add", '{"a": 1, "b": 2}'), Failure("server", 503)],
        SECOND: [say("It is 3.")],
    }
    with ScriptedTargets(script).running() as running:
        answer, _ = await _run(FunctionAgent(tools=TOOLS, llm=model()))
    assert answer == "It is 3."
    messages = running.asked[-1][1].messages
    assert [message.role for message in messages][-3:] == ["user", "assistant", "tool"]
    assert messages[-2].tool_calls[0].id == messages[-1].tool_call_id == "call_1"
    assert messages[-1].text == "3"


class Sum(BaseModel):
    """A sum."""

    value: int


async def test_a_team_of_agents_hands_over_and_gives_an_object_through_an_outage() -> None:
    script = [
        call_tool("handoff", '{"to_agent": "adder", "reason": "numbers"}'),
        call_tool("add", '{"a": 1, "b": 2}', "call_2"),
        say("It is 3."),
        say('{"value": 3}'),
    ]
    with targets(OUTAGES["503"], *script).running() as running:
        asker = FunctionAgent(name="asker", description="Asks.", llm=model(), can_handoff_to=["adder"])
        adder = FunctionAgent(name="adder", description="Adds.", llm=model(), tools=TOOLS)
        team: Any = AgentWorkflow(agents=[asker, adder], root_agent="asker", output_cls=Sum)
        output: Any = await team.run(user_msg="What is 1 + 2?", memory=_memory(model()))
    assert str(output) == "It is 3."
    assert output.get_pydantic_model(Sum) == Sum(value=3)
    assert running.names[-1] == SECOND


async def test_an_agent_fails_with_the_error_of_the_chain_when_nobody_is_left() -> None:
    targets = ScriptedTargets({PRIMARY: [Failure("server", 503)], SECOND: [Failure("connect")]})
    with targets.running(), pytest.raises(Exception, match="None of 2 targets answered") as caught:
        await _run(FunctionAgent(tools=TOOLS, llm=model()))
    causes = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any(isinstance(cause, LLMError) for cause in causes)


# Everywhere else that LlamaIndex takes a model


def test_the_settings_of_the_process_take_it(index: VectorStoreIndex) -> None:
    Settings.llm = model()
    try:
        with targets(OUTAGES["503"]).running():
            assert str(index.as_query_engine().query("Why?")) == ANSWER
        assert isinstance(Settings.llm, UnifiedLLM)
    finally:
        Settings._llm = None


def test_a_second_event_loop_works_as_the_first(index: VectorStoreIndex) -> None:
    llm = model()
    with targets(OUTAGES["503"]).running() as running:
        for _ in range(3):
            assert asyncio.run(llm.acomplete("Why?")).text == ANSWER
            assert str(asyncio.run(index.as_query_engine(llm=llm).aquery("Why?"))) == ANSWER
    assert running.open == 0
