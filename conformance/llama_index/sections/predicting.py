"""predict_and_call: choose a tool and call it, with and without function calling."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.tools import FunctionTool

from conformance.llama_index.call_modes import collect, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Call, Say
from conformance.llama_index.sections.tools import ADD, RAIN, SUM, WEATHER
from integration_tests.support.upstream_schema import Assistant, ChatBody

each_method = pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
ACTION = 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 20, "b": 22}\n'
ANSWER = "Thought: I can answer without using any more tools.\nAnswer: It is 42."


def reasoning(body: ChatBody) -> Say:
    """Act as a model that gets tools by prompt: choose one, and answer after its result."""
    last = body.messages[-1]
    seen = isinstance(last, Assistant) or "Observation:" in str(last.content)[:40]
    return Say(ANSWER if seen else ACTION)


def divide(a: int, b: int) -> float:
    """Divide two numbers."""
    return a / b


DIVIDE = FunctionTool.from_defaults(divide)


class TestPredictAndCall:
    """One step without an agent, as selectors, routers and extractors use it."""

    @each_method
    def test_a_tool_is_called(self, bench: Bench, method: str) -> None:
        """The response has its output and its name. Needed by llms/function_calling.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        (given,) = collect(llm, method, [ADD, WEATHER], user_msg="20 + 22?")
        assert given.response == "42"
        assert [(output.tool_name, output.raw_output) for output in given.sources] == [("add", 42)]
        assert len(upstream.bodies) == 1

    @each_method
    def test_several_tools_are_called(self, bench: Bench, method: str) -> None:
        """If that is allowed. Needed by llms/function_calling.py."""
        llm, _ = bench.start(Say(calls=(SUM, RAIN)))
        (given,) = collect(llm, method, [ADD, WEATHER], user_msg="Both.", allow_parallel_tool_calls=True)
        assert [output.raw_output for output in given.sources] == [42, "Rain in Köln."]

    @each_method
    def test_the_history_is_sent(self, bench: Bench, method: str) -> None:
        """And is not changed. Needed by memory/chat_memory_buffer.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        history = user("I have twenty.")
        collect(llm, method, [ADD], user_msg="And twenty-two?", chat_history=history)
        assert [message.content for message in upstream.body.messages] == ["I have twenty.", "And twenty-two?"]
        assert len(history) == 1

    @each_method
    def test_no_call_is_an_error_or_an_answer(self, bench: Bench, method: str) -> None:
        """As the caller chooses. Needed by llms/function_calling.py."""
        llm, _ = bench.start(Say("I would rather not."))
        with pytest.raises(ValueError):  # noqa: PT011 - every LLM has its own message
            collect(llm, method, [ADD], user_msg="20 + 22?")
        llm, _ = bench.start(Say("I would rather not."))
        (given,) = collect(llm, method, [ADD], user_msg="20 + 22?", error_on_no_tool_call=False)
        assert given.response == "I would rather not."

    @each_method
    def test_a_tool_that_fails_is_an_error_or_an_output(self, bench: Bench, method: str) -> None:
        """As the caller chooses. Needed by llms/function_calling.py."""
        call = Call("divide", '{"a": 1, "b": 0}')
        llm, _ = bench.start(Say(calls=(call,)))
        with pytest.raises(ValueError, match="zero"):
            collect(llm, method, [DIVIDE], user_msg="1 / 0?", error_on_tool_error=True)
        llm, _ = bench.start(Say(calls=(call,)))
        (given,) = collect(llm, method, [DIVIDE], user_msg="1 / 0?")
        assert given.sources[0].is_error

    @each_method
    def test_a_model_that_only_chats_calls_a_tool(self, bench: Bench, method: str) -> None:
        """The prompt describes the tools. Needed by llms/llm.py."""
        llm, upstream = bench.start_without_functions(reasoning)
        (given,) = collect(llm, method, [ADD], user_msg="20 + 22?")
        assert "42" in given.response
        assert [(output.tool_name, output.raw_output) for output in given.sources] == [("add", 42)]
        assert not upstream.body.tools

    @each_method
    def test_a_model_that_only_chats_is_sent_the_history(self, bench: Bench, method: str) -> None:
        """As for other models. Needed by llms/llm.py."""
        llm, upstream = bench.start_without_functions(reasoning)
        collect(llm, method, [ADD], user_msg="And twenty-two?", chat_history=user("I have twenty."))
        sent: Any = str([message.content for message in upstream.bodies[0].messages])
        assert "I have twenty." in sent
        assert "And twenty-two?" in sent
