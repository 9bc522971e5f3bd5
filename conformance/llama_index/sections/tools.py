"""Tools: how they are offered, and how calls are returned, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.tools import FunctionTool

from conformance.llama_index.call_modes import TOOL_MODES, collect, each_tool_mode, each_tool_stream, text, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Call, Say
from integration_tests.support.upstream_schema import Assistant, NamedChoice, ToolResult


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"Rain in {city}."


ADD, WEATHER = FunctionTool.from_defaults(add), FunctionTool.from_defaults(weather)
SUM = Call("add", '{"a": 20, "b": 22}')
RAIN = Call("weather", '{"city": "Köln"}', "call_two")


def selections(llm: Any, responses: list[Any]) -> list[Any]:
    """Return the tool calls of the last response."""
    return list(llm.get_tool_calls_from_response(responses[-1], error_on_no_tool_call=False) or ())


class TestTools:
    """chat_with_tools and its three variants."""

    @each_tool_mode
    def test_a_call_is_read(self, bench: Bench, mode: str) -> None:
        """Its name, its id, and its arguments as a dict. Needed by agent/workflow/base_agent.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        (call,) = selections(llm, collect(llm, mode, [ADD], user_msg="20 + 22?"))
        assert (call.tool_name, call.tool_id, call.tool_kwargs) == ("add", "call_one", {"a": 20, "b": 22})
        assert len(upstream.bodies) == 1

    @each_tool_mode
    def test_tools_are_described(self, bench: Bench, mode: str) -> None:
        """By name, description and schema. Needed by tools/types.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        collect(llm, mode, [ADD, WEATHER], user_msg="20 + 22?")
        offered = [function.function for function in upstream.body.tools or ()]
        assert [function.name for function in offered] == ["add", "weather"]
        assert "Add two numbers." in (offered[0].description or "")
        assert set((offered[0].parameters or {})["properties"]) == {"a", "b"}

    @each_tool_mode
    def test_several_calls_are_read(self, bench: Bench, mode: str) -> None:
        """If they are allowed, each with its own id. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say(calls=(SUM, RAIN)))
        responses = collect(llm, mode, [ADD, WEATHER], user_msg="Both.", allow_parallel_tool_calls=True)
        calls = {call.tool_id: (call.tool_name, call.tool_kwargs) for call in selections(llm, responses)}
        assert calls == {"call_one": ("add", {"a": 20, "b": 22}), "call_two": ("weather", {"city": "Köln"})}
        assert upstream.body.parallel_tool_calls is not False

    @pytest.mark.parametrize("mode", TOOL_MODES[:2])
    def test_one_call_is_kept_where_one_is_allowed(self, bench: Bench, mode: str) -> None:
        """Two of them are an error for the caller. Needed by llms/function_calling.py."""
        llm, _ = bench.start(Say(calls=(SUM, RAIN)))
        assert len(selections(llm, collect(llm, mode, [ADD, WEATHER], user_msg="One."))) == 1

    @each_tool_mode
    def test_the_request_allows_one_call_only(self, bench: Bench, mode: str) -> None:
        """In a stream nothing else prevents a second call. Needed by llms/function_calling.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        collect(llm, mode, [ADD, WEATHER], user_msg="One.")
        assert upstream.body.parallel_tool_calls is False

    @each_tool_mode
    def test_a_call_can_be_required(self, bench: Bench, mode: str) -> None:
        """Structured output is a required call. Needed by program/function_program.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        collect(llm, mode, [ADD], user_msg="20 + 22?", tool_required=True)
        assert upstream.body.tool_choice not in {None, "auto", "none"}

    @each_tool_mode
    def test_a_tool_can_be_named(self, bench: Bench, mode: str) -> None:
        """For the first step of an agent. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say(calls=(RAIN,)))
        collect(llm, mode, [ADD, WEATHER], user_msg="Well?", tool_choice="weather")
        assert isinstance(choice := upstream.body.tool_choice, NamedChoice)
        assert choice.function.name == "weather"

    @each_tool_mode
    def test_there_may_be_no_tools(self, bench: Bench, mode: str) -> None:
        """An agent without tools calls this method too. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("42."))
        responses = collect(llm, mode, [], user_msg="20 + 22?")
        assert text(responses[-1]) == "42."
        assert selections(llm, responses) == []
        assert not upstream.body.tools

    @each_tool_mode
    def test_a_message_and_a_history_are_put_together(self, bench: Bench, mode: str) -> None:
        """The message is last, whether it is a string or a message. Needed by llms/function_calling.py."""
        llm, upstream = bench.start(Say(calls=(SUM,)))
        collect(llm, mode, [ADD], user_msg=user("Last.")[0], chat_history=user("First."))
        assert [message.content for message in upstream.body.messages] == ["First.", "Last."]

    @pytest.mark.parametrize("mode", TOOL_MODES[:2])
    def test_no_call_is_an_error_where_one_is_expected(self, bench: Bench, mode: str) -> None:
        """Of a type that callers catch. Needed by program/function_program.py."""
        llm: Any = bench.start(Say("42."))[0]
        (response,) = collect(llm, mode, [ADD], user_msg="20 + 22?")
        assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError):  # noqa: PT011 - every LLM has its own message
            llm.get_tool_calls_from_response(response, error_on_no_tool_call=True)


class TestCallsInResponses:
    """Where consumers read tool calls, and in which form."""

    @each_tool_mode
    def test_calls_are_a_list_among_the_extras(self, bench: Bench, mode: str) -> None:
        """Streamed structured output is read from there only. Needed by program/utils.py."""
        llm, _ = bench.start(Say(calls=(SUM,)))
        last = collect(llm, mode, [ADD], user_msg="20 + 22?")[-1]
        assert isinstance(calls := last.message.additional_kwargs.get("tool_calls"), list)
        assert len(calls) == 1

    @each_tool_mode
    def test_calls_are_blocks(self, bench: Bench, mode: str) -> None:
        """The newer form, and the only one with a type. Needed by memory/memory.py."""
        llm, _ = bench.start(Say(calls=(SUM,)))
        last = collect(llm, mode, [ADD], user_msg="20 + 22?")[-1]
        (block,) = [block for block in last.message.blocks if isinstance(block, ToolCallBlock)]
        arguments = block.tool_kwargs if isinstance(block.tool_kwargs, dict) else json.loads(block.tool_kwargs)
        assert (block.tool_call_id, block.tool_name, arguments) == ("call_one", "add", {"a": 20, "b": 22})

    @each_tool_stream
    def test_every_chunk_can_be_asked_for_calls(self, bench: Bench, mode: str) -> None:
        """Agents read every chunk; arguments are always a dict. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Say("Let me see.", (SUM, RAIN)))
        responses = collect(llm, mode, [ADD, WEATHER], user_msg="Both.", allow_parallel_tool_calls=True)
        read = [selections(llm, [response]) for response in responses]
        assert all(isinstance(call.tool_kwargs, dict) for calls in read for call in calls)
        assert [len(calls) for calls in read] == sorted(len(calls) for calls in read)
        assert len(read[-1]) == 2

    @each_tool_stream
    def test_fragments_of_parallel_calls_may_alternate(self, bench: Bench, mode: str) -> None:
        """A fragment belongs to the call of its index. Needed by agent/workflow/function_agent.py."""
        llm, _ = bench.start(Say(calls=(SUM, RAIN), interleaved=True))
        responses = collect(llm, mode, [ADD, WEATHER], user_msg="Both.", allow_parallel_tool_calls=True)
        calls = {call.tool_name: call.tool_kwargs for call in selections(llm, responses)}
        assert calls == {"add": {"a": 20, "b": 22}, "weather": {"city": "Köln"}}

    @each_tool_stream
    def test_a_chunk_with_half_a_call_stays_as_it_was(self, bench: Bench, mode: str) -> None:
        """Observers store the chunks of a stream. Needed by instrumentation/events/llm.py."""
        llm, _ = bench.start(Say(calls=(SUM,)))
        sizes = []
        for response in collect(llm, mode, [ADD], user_msg="20 + 22?"):
            calls = response.message.additional_kwargs.get("tool_calls") or []
            sizes.append(len(str(calls[0])) if calls else 0)
        assert sizes[0] < sizes[len(sizes) // 2] < sizes[-1], "early chunks have later content"

    @each_tool_mode
    @pytest.mark.parametrize("arguments", ["", "null", "[]", "not json", None], ids=repr)
    def test_arguments_that_are_none_are_an_empty_dict(self, bench: Bench, mode: str, arguments: str | None) -> None:
        """Models write such arguments; the tool reports what is missing. Needed by tools/calling.py."""
        llm, _ = bench.start(Say(calls=(Call("add", arguments),)))
        (call,) = selections(llm, collect(llm, mode, [ADD], user_msg="20 + 22?"))
        assert (call.tool_name, call.tool_kwargs) == ("add", {})

    @each_tool_mode
    def test_arguments_that_were_cut_are_a_dict(self, bench: Bench, mode: str) -> None:
        """The token limit cuts them anywhere. Needed by tools/calling.py."""
        llm, _ = bench.start(Say(calls=(Call("weather", '{"city": "Kö'),)))
        (call,) = selections(llm, collect(llm, mode, [WEATHER], user_msg="Well?"))
        assert isinstance(call.tool_kwargs, dict)

    @each_tool_mode
    @pytest.mark.parametrize("identifier", ["", None], ids=["empty", "absent"])
    def test_results_of_calls_without_ids_are_accepted(self, bench: Bench, mode: str, identifier: str | None) -> None:
        """Results are matched by id in the next request. Needed by agent/workflow/function_agent.py."""
        calls = (Call(SUM.name, SUM.arguments, identifier), Call(RAIN.name, RAIN.arguments, identifier))
        llm, upstream = bench.start(Say(calls=calls), Say("Done."))
        responses = collect(llm, mode, [ADD, WEATHER], user_msg="Both.", allow_parallel_tool_calls=True)
        read = selections(llm, responses)
        assert [call.tool_name for call in read] == ["add", "weather"]
        results = [
            ChatMessage(role=MessageRole.TOOL, content="Done.", additional_kwargs={"tool_call_id": call.tool_id})
            for call in read
        ]
        collect(llm, "chat", [*user("Both."), responses[-1].message, *results])
        sent = [message.tool_call_id for message in upstream.body.messages if isinstance(message, ToolResult)]
        assert len(set(sent)) == 2

    @each_tool_mode
    def test_an_answer_goes_back_as_it_came(self, bench: Bench, mode: str) -> None:
        """With the model's text, id and arguments. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("Let me see.", (RAIN,)), Say("It rains."))
        responses = collect(llm, mode, [WEATHER], user_msg="Weather?")
        message = ChatMessage(role=MessageRole.TOOL, content="Rain.", additional_kwargs={"tool_call_id": "call_two"})
        collect(llm, "chat", [*user("Weather?"), responses[-1].message, message])
        assert isinstance(sent := upstream.body.messages[1], Assistant)
        assert sent.content == "Let me see."
        assert sent.tool_calls
        assert (sent.tool_calls[0].id, json.loads(sent.tool_calls[0].function.arguments)) == (
            "call_two",
            {"city": "Köln"},
        )
