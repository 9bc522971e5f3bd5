"""Tools: offered, called, predicted; with and without function calling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.program.function_program import FunctionCallingProgram
from llama_index.core.program.utils import process_streaming_objects
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from tests.support.each import each
from tests.support.llama_index_calls import HELLO, PRIMARY, SECOND, collected, model
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import ToolCall
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import GenerationError, ValidationError
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import LLMChunk, LLMResponse, Tool, ToolCallChunk


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fail(why: str) -> str:
    """Fail."""
    raise RuntimeError(why)


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(fail)]
ADD = '{"a": 1, "b": 2}'
TWO = [
    LLMResponse(
        finish_reason="tool_calls",
        tool_calls=(ToolCall.parse("c1", "add", ADD), ToolCall.parse("c2", "add", '{"a": 3, "b": 4}')),
    )
]


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_tools_are_offered_and_calls_written_twice(way: str) -> None:
    with ScriptedTargets({PRIMARY: [Failure("server", 503)], SECOND: [call_tool("add", ADD)]}).running() as targets:
        last = with_tools(way, model(), user_msg="1 + 2?", strict=True)[-1]
    request = targets.asked[-1][1]
    assert [tool.name for tool in request.tools] == ["add", "fail"]
    assert request.tools[0].strict is True
    assert request.tools[0].parameters["required"] == ["a", "b"]
    assert (request.tool_choice, request.parallel_tool_calls) == (None, False)
    (block,) = (block for block in last.message.blocks if isinstance(block, ToolCallBlock))
    assert (block.tool_call_id, block.tool_name, block.tool_kwargs) == ("call_1", "add", {"a": 1, "b": 2})
    assert last.message.additional_kwargs["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": ADD}}
    ]
    (selection,) = model().get_tool_calls_from_response(last)
    assert (selection.tool_id, selection.tool_name, selection.tool_kwargs) == ("call_1", "add", {"a": 1, "b": 2})


def with_tools(way: str, llm: UnifiedLLM, tools: Any = TOOLS, **options: Any) -> list[ChatResponse]:
    method: Any = getattr(llm, f"{way}_with_tools")
    match way:
        case "chat":
            return [method(tools, **options)]
        case "achat":
            return [asyncio.run(method(tools, **options))]
        case "stream_chat":
            return list(method(tools, **options))
        case _:
            return asyncio.run(collected(method(tools, **options)))


@each(
    ("options", "choice", "parallel"),
    [
        ({"tool_required": True}, "required", False),
        ({"tool_choice": "add"}, "add", False),
        ({"tool_choice": "any", "tool_required": False}, "required", False),
        ({"tool_choice": {"type": "function", "function": {"name": "fail"}}}, "fail", False),
        ({"tool_choice": {"type": "auto"}}, "auto", False),
        ({"tool_choice": "none"}, "none", False),
        ({"allow_parallel_tool_calls": True}, None, None),
    ],
)
def test_a_tool_choice_is_understood_in_every_form(
    options: dict[str, Any],
    choice: str | None,
    parallel: bool | None,  # noqa: FBT001
) -> None:
    with ScriptedTargets({PRIMARY: [call_tool("add", ADD)]}).running() as targets:
        model().chat_with_tools(TOOLS, user_msg="1 + 2?", **options)
    assert (targets.asked[0][1].tool_choice, targets.asked[0][1].parallel_tool_calls) == (choice, parallel)


def test_what_is_no_tool_and_no_choice_is_refused() -> None:
    with pytest.raises(ValidationError, match="the name of a tool: 'add', 'fail'"):
        model().chat_with_tools(TOOLS, user_msg="?", tool_choice="subtract")
    with pytest.raises(ValidationError, match="got int"):
        model().chat_with_tools([1], user_msg="?")  # type: ignore[list-item]
    with pytest.raises(ValidationError, match="response_format"):
        model().chat(HELLO, response_format="json")
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().chat(HELLO, tools=[Tool("add")])
        assert targets.asked.pop()[1].tools == (Tool("add"),)
        model().chat_with_tools([], user_msg=HELLO[0], tool_choice="add", tool_required=True)
        model().chat(HELLO, tool_choice="add", parallel_tool_calls=False)
    assert [(request.tools, request.tool_choice, request.parallel_tool_calls) for _, request in targets.asked] == [
        ((), None, None)
    ] * 2


def test_one_call_is_kept_where_one_was_asked_for_and_all_where_several_were() -> None:
    with ScriptedTargets({PRIMARY: [TWO]}).running():
        one = model().chat_with_tools(TOOLS, user_msg="?")
        several = model().chat_with_tools(TOOLS, user_msg="?", allow_parallel_tool_calls=True)
    assert [call.tool_id for call in model().get_tool_calls_from_response(one)] == ["c1"]
    assert [call["id"] for call in one.message.additional_kwargs["tool_calls"]] == ["c1"]
    assert [call.tool_id for call in model().get_tool_calls_from_response(several)] == ["c1", "c2"]


def test_calls_are_read_from_half_an_answer_and_from_another_models() -> None:
    llm = model()
    with ScriptedTargets({PRIMARY: [call_tool("add", ADD)]}).running():
        pieces = list(llm.stream_chat(HELLO))
    read = [llm.get_tool_calls_from_response(piece, error_on_no_tool_call=False) for piece in pieces]
    assert [calls[0].tool_kwargs for calls in read] == [{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}]
    theirs = ChatMessage(
        role="assistant", additional_kwargs={"tool_calls": [{"id": "x", "function": {"name": "add", "arguments": ADD}}]}
    )
    (call,) = llm.get_tool_calls_from_response(ChatResponse(message=theirs))
    assert (call.tool_id, call.tool_kwargs) == ("x", {"a": 1, "b": 2})
    silent = ChatResponse(message=ChatMessage(role="assistant", content="Hi"))
    assert llm.get_tool_calls_from_response(silent, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="at least one tool call"):
        llm.get_tool_calls_from_response(silent)


@each(
    ("arguments", "expected"),
    [("", {}), ("null", {}), ('{"path": "/home/a', {}), ("[1]", {}), ("{}", {}), ('{"a": 1}', {"a": 1})],
)
def test_arguments_that_a_finished_answer_left_broken_are_none(arguments: str, expected: dict[str, Any]) -> None:
    llm = model()
    with ScriptedTargets({PRIMARY: [call_tool("add", arguments)]}).running():
        for response in (llm.chat(HELLO), list(llm.stream_chat(HELLO))[-1]):
            (call,) = llm.get_tool_calls_from_response(response)
            assert call.tool_kwargs == expected


def test_text_and_calls_of_one_stream_are_put_together() -> None:
    first, second = ToolCallChunk(0, "c1", "add", '{"a": 1,'), ToolCallChunk(1, "c2", "add", "{}")
    more = LLMChunk(tool_calls=(ToolCallChunk(0, arguments=' "b": 2}'), second))
    stream: Any = ["Let me see.", LLMChunk(tool_calls=(first,)), more, Done(LLMChunk(finish_reason="tool_calls"))]
    with ScriptedTargets({PRIMARY: [stream]}).running():
        pieces = list(model().stream_chat(HELLO))
    assert [type(block).__name__ for block in pieces[-1].message.blocks] == ["TextBlock", *["ToolCallBlock"] * 2]
    assert pieces[-1].message.content == "Let me see."
    read = [model().get_tool_calls_from_response(piece, error_on_no_tool_call=False) for piece in pieces]
    assert [[call.tool_kwargs for call in calls] for calls in read] == [
        [], [{"a": 1}], [{"a": 1, "b": 2}, {}], [{"a": 1, "b": 2}, {}],
    ]  # fmt: skip


# Predict and call

PREDICT: dict[str, Callable[..., Any]] = {
    "sync": lambda llm, **kw: llm.predict_and_call(TOOLS, **kw),
    "async": lambda llm, **kw: asyncio.run(llm.apredict_and_call(TOOLS, **kw)),
}
REACT = f"Thought: I need a tool.\nAction: add\nAction Input: {ADD}\n"


@pytest.mark.parametrize("way", PREDICT)
def test_a_tool_is_predicted_and_called(way: str) -> None:
    predict = PREDICT[way]
    with ScriptedTargets({PRIMARY: [call_tool("add", ADD)]}).running():
        answer = predict(model(), user_msg="1 + 2?", tool_required=True)
    assert (answer.response, answer.sources[0].raw_output) == ("3", 3)
    with ScriptedTargets({PRIMARY: [TWO]}).running():
        assert predict(model(), user_msg="?", allow_parallel_tool_calls=True).response == "3\n\n7"
    with ScriptedTargets(
        {PRIMARY: [call_tool("subtract", "{}"), call_tool("fail", '{"why": "rain"}'), say("No tool.")]}
    ).running():
        assert predict(model(), user_msg="?").response == "There is no tool 'subtract'."
        with pytest.raises(ValueError, match="rain"):
            predict(model(), user_msg="?", error_on_tool_error=True)
        with pytest.raises(ValueError, match="at least one tool call"):
            predict(model(), user_msg="?")
        assert predict(model(), user_msg="?", error_on_no_tool_call=False).response == "No tool."


@pytest.mark.parametrize("way", PREDICT)
def test_a_model_that_calls_no_functions_is_asked_by_prompt(way: str) -> None:
    predict, llm = PREDICT[way], model(is_function_calling_model=False)
    history = [ChatMessage(role="user", content="1 + 2?")]
    with ScriptedTargets({PRIMARY: [Failure("server", 503)], SECOND: [say(REACT)]}).running() as targets:
        answer = predict(llm, chat_history=history, tool_required=True, temperature=0.5)
    assert (answer.response, len(history)) == ("3", 1)
    request = targets.asked[-1][1]
    assert (request.tools, request.temperature) == ((), 0.5)
    assert "Tool Name: add" in request.messages[0].text
    assert request.messages[1].text == "1 + 2?"


@pytest.mark.parametrize("way", PREDICT)
def test_a_malformed_answer_is_sent_back_once(way: str) -> None:
    predict, llm = PREDICT[way], model(is_function_calling_model=False, fallbacks=[])
    wrong = REACT.replace("add", "subtract")
    with ScriptedTargets({PRIMARY: [say("Action: ???"), say(REACT), say(wrong), say(wrong)]}).running() as targets:
        assert predict(llm, user_msg="1 + 2?", react_chat_formatter=ReActChatFormatter.from_defaults()).response == "3"
        with pytest.raises(GenerationError, match="there are: add, fail"):
            predict(llm, user_msg="1 + 2?")
    assert [message.role for message in targets.asked[1][1].messages] == ["system", "user", "assistant", "user"]
    assert "neither an action" in targets.asked[1][1].messages[-1].text
    with ScriptedTargets({PRIMARY: [say("Thought: easy.\nAnswer: 3")]}).running():
        assert predict(llm, user_msg="?", error_on_no_tool_call=False).response == "3"
        with pytest.raises(ValueError, match="at least one tool call"):
            predict(llm, user_msg="?")


# Other parts of LlamaIndex that use tool calls


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


def test_a_program_of_llama_index_gets_its_object_whole_and_in_pieces() -> None:
    program = FunctionCallingProgram.from_defaults(Sum, "Add {what}.", llm=model())
    with ScriptedTargets({PRIMARY: [call_tool("Sum", ADD)]}).running() as targets:
        assert program(what="1 and 2") == Sum(a=1, b=2)
        assert list(program.stream_call(what="1 and 2"))[-1] == Sum(a=1, b=2)
        response = model().chat(HELLO)
    assert targets.asked[0][1].tool_choice == "required"
    assert process_streaming_objects(response, Sum, llm=model()) == Sum(a=1, b=2)
