"""Query engines and agents over real connections to a primary that fails, in every way that it can."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.memory import ChatMemoryBuffer

from integration_tests.support.fault_responses import ROLE, answer, begun, delta
from integration_tests.support.fault_server import FaultServer, Hang, Reset, Send, Sleep, Step, ok
from integration_tests.support.upstream import KEY, Upstream
from unified_llm import LLMConfig
from unified_llm.exceptions import StreamInterruptedError
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]

SERVED_BY = "openai-compatible/scripted-small"
LIMITED = ok(b'{"error": {"message": "slow down"}}', "Retry-After: 60", status="429 Too Many Requests")
# What the primary does with every request.
OUTAGES: dict[str, Sequence[Step]] = {
    "refused": (),
    "hung": (Hang(),),
    "503": (Send(ok(b"{}", status="503 Service Unavailable")),),
    "cut before the first token": (Send(begun(ROLE)), Sleep(0.02), Reset()),
    "rate limited": (Send(LIMITED),),
}
TEXTS = ("Failover asks the next target.", "A breaker leaves a target alone.", "A budget bounds retries.")


@contextmanager
def playing(steps: Sequence[Step]) -> Iterator[str]:
    """The address of a primary that does this; with no steps, of one that is not there."""
    if steps:
        with FaultServer(steps) as server:
            yield server.url
        return
    with socket.socket() as unused:  # bound and never listening: whoever comes is refused
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def elsewhere(server: Upstream, model: str = "scripted-small") -> LLMConfig:
    return LLMConfig(provider="openai-compatible", model=model, base_url=server.base_url, api_key=KEY)


def chain(primary: str, second: Upstream) -> UnifiedLLM:
    fallbacks = [elsewhere(second)]
    return UnifiedLLM(
        model="openai/gpt-5-mini", base_url=primary, api_key=KEY, fallbacks=fallbacks, max_retries=0, timeout=0.5
    )


@pytest.fixture
def index(second: Upstream) -> Iterator[VectorStoreIndex]:
    """Its embeddings are asked for in two places: the first is always down."""
    with playing(OUTAGES["503"]) as primary:
        embedding = UnifiedEmbedding(
            model="openai/scripted-embedding",
            base_url=primary,
            api_key=KEY,
            fallbacks=[elsewhere(second, "scripted-embedding")],
            max_retries=0,
        )
        yield VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS], embed_model=embedding)


# Query engines


async def _query(index: VectorStoreIndex, llm: UnifiedLLM) -> str:
    return str(index.as_query_engine(llm=llm).query("Why?"))


async def _aquery(index: VectorStoreIndex, llm: UnifiedLLM) -> str:
    return str(await index.as_query_engine(llm=llm).aquery("Why?"))


async def _streamed(index: VectorStoreIndex, llm: UnifiedLLM) -> str:
    answer: Any = index.as_query_engine(llm=llm, streaming=True).query("Why?")
    return "".join(answer.response_gen)


async def _astreamed(index: VectorStoreIndex, llm: UnifiedLLM) -> str:
    answer: Any = await index.as_query_engine(llm=llm, streaming=True).aquery("Why?")
    return "".join([piece async for piece in answer.async_response_gen()])


Query = Callable[[VectorStoreIndex, UnifiedLLM], Awaitable[str]]
QUERIES: tuple[Query, ...] = (_query, _aquery, _streamed, _astreamed)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_query_engine_answers(index: VectorStoreIndex, second: Upstream, outage: str, query: Query) -> None:
    with playing(OUTAGES[outage]) as primary:
        told = await query(index, chain(primary, second))
    assert told.startswith("You said: Context information")
    assert TEXTS[0] in told or TEXTS[1] in told or TEXTS[2] in told


@pytest.mark.parametrize("query", [_query, _aquery])
async def test_a_whole_answer_that_is_cut_is_asked_for_elsewhere(
    index: VectorStoreIndex, second: Upstream, query: Query
) -> None:
    with playing((Send(answer("Because of this and that.")[:-20]), Sleep(0.02), Reset())) as primary:
        assert (await query(index, chain(primary, second))).startswith("You said: Context information")


@pytest.mark.parametrize("query", [_streamed, _astreamed])
async def test_a_stream_that_is_cut_after_it_began_is_told_and_nothing_is_said_twice(
    index: VectorStoreIndex, second: Upstream, query: Query
) -> None:
    with playing((Send(begun(ROLE + delta("Because ") + delta("of "))), Sleep(0.05), Reset())) as primary:
        interrupted = pytest.raises(StreamInterruptedError)
        with interrupted as told:
            await query(index, chain(primary, second))
    assert told.value.partial == "Because of "
    assert second.count("chat/completions") == 0


# Agents


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


async def run(agent: Any) -> Any:
    """Let an agent work. The default memory keeps a database open."""
    return await agent.run("How is 'Oslo'?", memory=ChatMemoryBuffer.from_defaults(llm=agent.llm))


@dataclass(frozen=True)
class Kind:
    """A kind of agent, and what it says in the end."""

    make: type[FunctionAgent | ReActAgent]
    says: str


AGENTS = {
    "function": Kind(FunctionAgent, "You said: It is sunny in Oslo.. This is all I know about it."),
    "react": Kind(ReActAgent, "It says: It is sunny in Oslo."),
}


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_agent_ends_its_work(outage: str, kind: str, second: Upstream, *, streaming: bool) -> None:
    with playing(OUTAGES[outage]) as primary:
        agent = AGENTS[kind].make(tools=[get_weather], llm=chain(primary, second), streaming=streaming)
        told = await run(agent)
    assert str(told) == AGENTS[kind].says
    assert told.raw["unified_llm"]["served_by"] == SERVED_BY
    assert [call.tool_name for call in told.tool_calls] == ["get_weather"]
    assert second.count("chat/completions") == 2


@pytest.mark.parametrize("kind", AGENTS)
async def test_an_agent_goes_on_elsewhere_when_the_primary_dies_between_two_steps(
    kind: str, upstream: Upstream, second: Upstream
) -> None:
    llm = chain(upstream.base_url, second)
    llm.model = "openai/scripted-large"

    def look_up(city: str) -> str:
        """The weather in a city."""
        upstream.status = 503
        return get_weather(city)

    told = await run(AGENTS[kind].make(tools=[look_up], llm=llm))
    assert str(told) == AGENTS[kind].says
    assert (upstream.count("chat/completions"), second.count("chat/completions")) == (2, 1)


async def test_an_agent_whose_stream_is_cut_after_it_began_is_told(second: Upstream) -> None:
    with playing((Send(begun(ROLE + delta("Because ") + delta("of "))), Sleep(0.05), Reset())) as primary:
        agent = FunctionAgent(tools=[get_weather], llm=chain(primary, second))
        with pytest.raises(Exception, match="the stream broke after it had begun"):
            await run(agent)
    assert second.count("chat/completions") == 0
