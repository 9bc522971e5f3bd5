"""Agents and structured output of the frameworks, on a tiny model with random weights: whatever it writes, they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.errors import GraphRecursionError
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field

from integration_tests.support.tiny_models import make_model
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

pytestmark = [
    pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason())),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
    # Its default memory is a database, which it does not close.
    pytest.mark.filterwarnings("ignore:.aiosqlite.core.Connection object .* was deleted before:ResourceWarning"),
]


class Answer(BaseModel):
    """An answer."""

    unit: bool
    number: int = Field(ge=0, le=99)


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool
def is_even(number: int) -> bool:
    """Say whether a number is even."""
    return number % 2 == 0


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = make_model(tmp_path_factory.mktemp("agents") / "model")
    yield {"model": f"mlx/{folder}", "max_tokens": 200, "temperature": 1.0, "seed": 5}
    close_engines()


def test_an_agent_with_two_tools_runs_to_its_end(settings: dict[str, Any]) -> None:
    agent = create_agent(ChatUnified(**settings), [double, is_even])
    question: Any = {"messages": [("user", "Is the double of 4 even?")]}
    state: Any = agent.invoke(question, {"recursion_limit": 8})
    assert isinstance(state["messages"][-1], AIMessage)
    again: Any = agent.invoke(question, {"recursion_limit": 8})
    assert [message.text for message in again["messages"]] == [message.text for message in state["messages"]]


def test_an_agent_that_has_to_call_tools_calls_them_until_its_limit(settings: dict[str, Any]) -> None:
    seen: list[BaseMessage] = []
    agent = create_agent(ChatUnified(**settings), [double, is_even], middleware=[_required()])
    question: Any = {"messages": [("user", "Is the double of 4 even?")]}
    with pytest.raises(GraphRecursionError):  # noqa: PT012 - the steps before the limit are what is looked at
        for step in agent.stream(question, {"recursion_limit": 6}, stream_mode="updates"):
            seen += [message for update in step.values() for message in update["messages"]]
    calls = [call["name"] for message in seen if isinstance(message, AIMessage) for call in message.tool_calls]
    assert len(calls) >= 2
    assert set(calls) <= {"double", "is_even"}


def _required() -> Any:
    from langchain.agents.middleware import wrap_model_call

    @wrap_model_call
    def require(request: Any, handler: Any) -> Any:
        return handler(request.override(tool_choice="any"))

    return require


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output_of_langchain_conforms(settings: dict[str, Any], method: Any) -> None:
    model = ChatUnified(**settings).with_structured_output(Answer, method=method)
    assert isinstance(model.invoke("How many?"), Answer)
    assert isinstance(asyncio.run(model.ainvoke("How many?")), Answer)
    *_, last = model.stream("How many?")
    assert isinstance(last, Answer)


def test_structured_output_of_llama_index_conforms(settings: dict[str, Any]) -> None:
    llm = UnifiedLLM(**settings)
    prompt = PromptTemplate("How many?")
    assert isinstance(llm.structured_predict(Answer, prompt), Answer)
    assert isinstance(asyncio.run(llm.astructured_predict(Answer, prompt)), Answer)
    assert isinstance(llm.as_structured_llm(Answer).complete("How many?").raw, Answer)
    program = FunctionCallingProgram.from_defaults(Answer, prompt=prompt, llm=llm, tool_choice="required")
    assert isinstance(program(), Answer)


def test_a_required_tool_of_llama_index_is_called(settings: dict[str, Any]) -> None:
    llm = UnifiedLLM(**settings)
    offered = [FunctionTool.from_defaults(fn=_double), FunctionTool.from_defaults(fn=_is_even)]
    response = llm.chat_with_tools(offered, "Is the double of 4 even?", tool_required=True)
    (call,) = llm.get_tool_calls_from_response(response)
    assert call.tool_name in {"_double", "_is_even"}
    assert isinstance(call.tool_kwargs["number"], int)


def test_a_function_agent_of_llama_index_runs_to_its_end(settings: dict[str, Any]) -> None:
    from llama_index.core.agent.workflow import FunctionAgent

    async def run() -> str:
        agent = FunctionAgent(tools=[_double, _is_even], llm=UnifiedLLM(**settings), streaming=True)
        return str(await agent.run("Is the double of 4 even?", max_iterations=4))

    assert asyncio.run(run())


def _double(number: int) -> int:
    """Double a number."""
    return 2 * number


def _is_even(number: int) -> bool:
    """Say whether a number is even."""
    return number % 2 == 0
