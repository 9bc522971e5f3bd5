"""Query engines and agents over real connections to a primary that fails in many ways."""

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
from integration_tests.support.waiting import PATIENCE
from unified_llm import LLMConfig
from unified_llm.exceptions import StreamInterruptedError
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]

SERVED_BY = "openai-compatible/scripted-small"
LIMITED = ok(b'{"error": {"message": "slow down"}}', "Retry-After: 60", status="429 Too Many Requests")
# The primary's response to every request.
OUTAGES: dict[str, Sequence[Step]] = {
    "refused": (),
    "hung": (Hang(),),
    "503": (Send(ok(b"{}", status="503 Service Unavailable")),),
    "cut before the first token": (Send(begun(ROLE)), Sleep(0.02), Reset()),
    "rate limited": (Send(LIMITED),),
}
TEXTS = ("Failover asks the next target.", "A breaker skips a failing target.", "A budget bounds retries.")


@contextmanager
def failing_server(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the address of a primary that performs these steps; without steps, of one that refuses connections."""
    if steps:
        with FaultServer(steps) as server:
            yield server.url
        return
    with socket.socket() as unused:  # bound, but never listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def config_of(server: Upstream, model: str = "scripted-small", **fields: Any) -> LLMConfig:
    return LLMConfig(provider="openai-compatible", model=model, base_url=server.base_url, api_key=KEY, **fields)


def chain(primary: str, second: Upstream, outage: str | None = None) -> UnifiedLLM:
    """Return a model with a fallback; only a primary that hangs has a short timeout."""
    timeout = 0.5 if outage == "hung" else PATIENCE
    fallbacks = [config_of(second, timeout=PATIENCE)]
    return UnifiedLLM(
        model="openai/gpt-5-mini", base_url=primary, api_key=KEY, fallbacks=fallbacks, max_retries=0, timeout=timeout
    )


@pytest.fixture
def index(second: Upstream) -> Iterator[VectorStoreIndex]:
    """Build an index with embeddings of two targets, of which the first is always down."""
    with failing_server(OUTAGES["503"]) as primary:
        embedding = UnifiedEmbedding(
            model="openai/scripted-embedding",
            base_url=primary,
            api_key=KEY,
            fallbacks=[config_of(second, "scripted-embedding")],
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
    with failing_server(OUTAGES[outage]) as primary:
        result = await query(index, chain(primary, second, outage))
    assert result.startswith("You said: Context information")
    assert TEXTS[0] in result or TEXTS[1] in result or TEXTS[2] in result


@pytest.mark.parametrize("query", [_query, _aquery])
async def test_a_whole_answer_that_is_cut_is_asked_for_elsewhere(
    index: VectorStoreIndex, second: Upstream, query: Query
) -> None:
    with failing_server((Send(answer("Because of this and that.")[:-20]), Sleep(0.02), Reset())) as primary:
        assert (await query(index, chain(primary, second))).startswith("You said: Context information")


@pytest.mark.parametrize("query", [_streamed, _astreamed])
async def test_a_stream_that_is_cut_after_it_began_raises_and_nothing_is_repeated(
    index: VectorStoreIndex, second: Upstream, query: Query
) -> None:
    with failing_server((Send(begun(ROLE + delta("Because ") + delta("of "))), Sleep(0.05), Reset())) as primary:
        interrupted = pytest.raises(StreamInterruptedError)
        with interrupted as result:
            await query(index, chain(primary, second))
    assert result.value.partial == "Because of "
    assert second.count("chat/completions") == 0


# Agents


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


async def run(agent: Any) -> Any:
    """Run an agent with a memory in RAM: the default one keeps a database open."""
    return await agent.run("How is 'Oslo'?", memory=ChatMemoryBuffer.from_defaults(llm=agent.llm))


@dataclass(frozen=True)
class AgentKind:
    """A kind of agent and its final answer."""

    make: type[FunctionAgent | ReActAgent]
    answer: str


AGENTS = {
    "function": AgentKind(FunctionAgent, "You said: It is sunny in Oslo.. This is all I know about it."),
    "react": AgentKind(ReActAgent, "It says: It is sunny in Oslo."),
}


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_agent_ends_its_work(outage: str, kind: str, second: Upstream, *, streaming: bool) -> None:
    with failing_server(OUTAGES[outage]) as primary:
        agent = AGENTS[kind].make(tools=[get_weather], llm=chain(primary, second, outage), streaming=streaming)
        result = await run(agent)
    assert str(result) == AGENTS[kind].answer
    assert result.raw["unified_llm"]["served_by"] == SERVED_BY
    assert [call.tool_name for call in result.tool_calls] == ["get_weather"]
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

    result = await run(AGENTS[kind].make(tools=[look_up], llm=llm))
    assert str(result) == AGENTS[kind].answer
    assert (upstream.count("chat/completions"), second.count("chat/completions")) == (2, 1)


async def test_an_agent_whose_stream_is_cut_after_it_began_raises(second: Upstream) -> None:
    with failing_server((Send(begun(ROLE + delta("Because ") + delta("of "))), Sleep(0.05), Reset())) as primary:
        agent = FunctionAgent(tools=[get_weather], llm=chain(primary, second))
        with pytest.raises(Exception, match="the stream broke after it had begun"):
            await run(agent)
    assert second.count("chat/completions") == 0
