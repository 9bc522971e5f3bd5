"""Servers that hold any model, through LlamaIndex (field reports local 7, 8, 9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock
from llama_index.core.schema import TextNode

from tests.support.text_server import TextServer
from unified_llm.llama_index import UnifiedLLM

pytestmark = [  # LlamaIndex's own
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]
THOUGHT = "<think>Easy.</think>6"
CALL = '{"name": "add", "parameters": {"a": 2, "b": 4}}'
HELLO = [ChatMessage("2+4?")]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model(**fields: Any) -> UnifiedLLM:
    return UnifiedLLM(model="lmstudio/qwen3", base_url=TextServer.url, **fields)


def run(agent: Any) -> str:
    async def answer() -> str:
        return str(await agent.run("2+4?"))

    return asyncio.run(answer())


def thoughts(message: ChatMessage) -> list[str | None]:
    return [block.content for block in message.blocks if isinstance(block, ThinkingBlock)]


def test_local_8_a_block_is_a_thinking_block(monkeypatch: pytest.MonkeyPatch) -> None:
    TextServer(monkeypatch, THOUGHT, THOUGHT, THOUGHT)
    message = model().chat(HELLO).message
    assert (message.content, thoughts(message)) == ("6", ["Easy."])
    assert model().chat(HELLO, reasoning_format="raw").message.content == THOUGHT
    assert model(reasoning_format="raw").complete("2+4?").text == THOUGHT


def test_local_8_a_streamed_block_is_a_thinking_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    TextServer(monkeypatch, THOUGHT, stream=True)
    responses = list(model().stream_chat(HELLO))
    assert "".join(response.delta or "" for response in responses) == "6"
    assert "".join(response.additional_kwargs.get("thinking_delta", "") for response in responses) == "Easy."
    assert thoughts(responses[-1].message) == ["Easy."]


@pytest.mark.parametrize("mode", ["whole", "streamed"])
def test_local_8_react_acts_on_what_was_said_and_not_on_what_was_only_thought(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    stream = mode == "streamed"
    draft = "<think>\nThought: I should add.\nAnswer: maybe 5?\n</think>\n"
    server = TextServer(
        monkeypatch,
        f'{draft}Thought: add\nAction: add\nAction Input: {{"a": 2, "b": 4}}',
        f"{draft}Thought: done\nAnswer: 6",
        stream=stream,
    )
    assert run(ReActAgent(tools=[add], llm=model(), streaming=stream)) == "6"
    assert len(server.requests) == 2
    assert "maybe 5" not in str(server.requests)


@pytest.mark.parametrize("mode", ["whole", "streamed"])
def test_local_9_an_agent_makes_the_calls_that_are_written_as_text(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    stream = mode == "streamed"
    for text in (CALL, f"<tool_call>\n{CALL}\n</tool_call>", f"```json\n[{CALL}]\n```"):
        server = TextServer(monkeypatch, text, "It is 6.", stream=stream)
        assert run(FunctionAgent(tools=[add], llm=model(), streaming=stream)) == "It is 6."
        assert [message["role"] for message in server.requests[1]["messages"]][-2:] == ["assistant", "tool"]
    TextServer(monkeypatch, CALL, stream=stream)
    assert run(FunctionAgent(tools=[add], llm=model(text_tool_calls=False), streaming=stream)) == CALL


def test_local_7_a_query_engine_sends_one_system_message(monkeypatch: pytest.MonkeyPatch) -> None:
    server = TextServer(monkeypatch, "ok", "ok")
    index = VectorStoreIndex(nodes=[TextNode(text="x")], embed_model=MockEmbedding(embed_dim=8))
    for fields in ({}, {"system_prompt": "Be brief."}):
        index.as_query_engine(llm=model(**fields)).query("q")
    assert [[message["role"] for message in request["messages"]] for request in server.requests] == [
        ["system", "user"], ["system", "user"],
    ]  # fmt: skip
    assert server.requests[1]["messages"][0]["content"].startswith("Be brief.\n\n")
