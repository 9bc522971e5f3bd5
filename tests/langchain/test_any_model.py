"""Servers that hold any model, through LangChain (field reports local 7, 8, 9)."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.tools import tool

from tests.support.text_server import TextServer
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.langchain._constants import RECORD

THOUGHT = "<think>Easy.</think>6"
CALL = '<tool_call>\n{"name": "functions.add", "arguments": {"a": 2, "b": 4}}\n</tool_call>'


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model(**fields: Any) -> ChatUnified:
    return ChatUnified(model="vllm/qwen3", base_url=TextServer.url, **fields)


def test_local_8_reasoning_in_the_text_is_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    server = TextServer(monkeypatch, THOUGHT, THOUGHT, THOUGHT)
    llm = model()
    message = llm.invoke("2+4?")
    assert (message.content, message.additional_kwargs["reasoning_content"]) == ("6", "Easy.")
    assert llm.invoke("2+4?", reasoning_format="raw").content == THOUGHT
    assert model(reasoning_format="raw").invoke("2+4?").content == THOUGHT
    assert all("reasoning_format" not in request for request in server.requests)


def test_local_8_a_streamed_block_is_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    TextServer(monkeypatch, THOUGHT, stream=True)
    total: Any = AIMessageChunk(content="")
    for chunk in model().stream("2+4?"):
        total += chunk
    assert (total.content, total.additional_kwargs["reasoning_content"]) == ("6", "Easy.")


@pytest.mark.parametrize("mode", ["whole", "streamed"])
def test_local_9_an_agent_makes_the_calls_that_are_written_as_text(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    server = TextServer(monkeypatch, CALL, "It is 6.", stream=mode == "streamed")
    agent: Any = create_agent(model(streaming=mode == "streamed"), [add])
    messages = agent.invoke({"messages": [HumanMessage("2+4?")]})["messages"]
    assert [message.text for message in messages] == ["2+4?", "", "6", "It is 6."]
    called: AIMessage = messages[1]
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("add", {"a": 2, "b": 4})]
    assert called.response_metadata["finish_reason"] == "tool_calls"
    (attempt,) = called.response_metadata[RECORD]["attempts"]
    assert attempt["text_tool_calls"] is True
    assert [message["role"] for message in server.requests[1]["messages"]] == ["user", "assistant", "tool"]


def test_local_9_text_tool_calls_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    TextServer(monkeypatch, CALL, CALL)
    for by_target, by_call in ((False, None), (None, False)):
        message = model(text_tool_calls=by_target).bind_tools([add]).invoke("2+4?", text_tool_calls=by_call)
        assert (message.content, message.tool_calls) == (CALL, [])
        (attempt,) = message.response_metadata[RECORD]["attempts"]
        assert "text_tool_calls" not in attempt


def test_local_7_messages_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [SystemMessage("Be brief."), SystemMessage("Be kind."), HumanMessage("a"), HumanMessage("b")]
    server = TextServer(monkeypatch, "x", "x", "x")
    llm = model()
    llm.invoke(messages)
    llm.invoke(messages, merge_messages=False)
    model(merge_messages=False).invoke(messages)
    assert [[message["role"] for message in request["messages"]] for request in server.requests] == [
        ["system", "user"], *[["system", "system", "user", "user"]] * 2,
    ]  # fmt: skip


def test_values_that_make_no_sense_are_refused_before_anything_is_sent() -> None:
    for name, value in (("reasoning_format", "loud"), ("text_tool_calls", "perhaps"), ("merge_messages", 7)):
        with pytest.raises(ConfigurationError):
            model(**{name: value})
        with pytest.raises(ValidationError, match=name):
            model().bind(**{name: value}).invoke("x")
