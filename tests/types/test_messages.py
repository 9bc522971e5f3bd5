from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm.exceptions import ValidationError
from unified_llm.types import ImagePart, Message, ResponseFormat, TextPart, Tool, ToolCall, ToolCallChunk

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def test_messages_are_made_by_their_role() -> None:
    assert Message.system("a") == Message("system", "a")
    assert Message.user("b") == Message("user", "b")
    assert Message.assistant("c").role == "assistant"
    assert Message.tool("d", "c1", is_error=True) == Message("tool", "d", tool_call_id="c1", is_error=True)
    call = ToolCall.from_dict(CALL)
    assert Message.assistant(tool_calls=[call]).tool_calls == (call,)


def test_a_message_with_images_has_parts() -> None:
    message = Message.user("What is this?", images=["https://e.org/a.png"])
    assert message.content == (TextPart("What is this?"), ImagePart(url="https://e.org/a.png"))
    assert message.text == "What is this?"


def test_the_text_of_a_message_is_that_of_its_parts() -> None:
    assert Message("user", (TextPart("a"), ImagePart(url="https://x"), TextPart("b"))).text == "ab"
    assert Message("user", "plain").text == "plain"


@each(
    ("given", "role"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("human", "user"),
        ("assistant", "assistant"),
        ("ai", "assistant"),
        ("tool", "tool"),
        ("function", "tool"),
    ],
)
def test_roles_are_known_by_all_their_names(given: str, role: str) -> None:
    assert Message.from_dict({"role": given, "content": "x"}).role == role


def test_a_dict_is_read_whole() -> None:
    read = Message.from_dict(
        {"role": "assistant", "content": None, "name": "bot", "tool_calls": [CALL], "reasoning_content": "hm"}
    )
    assert (read.content, read.name, read.reasoning) == ("", "bot", "hm")
    assert read.tool_calls == (ToolCall("c1", "weather", {"city": "Oslo"}, '{"city":"Oslo"}'),)
    assert Message.from_dict({"role": "tool", "content": "3", "tool_call_id": "c1"}).tool_call_id == "c1"


def test_the_tool_calls_of_an_answer_can_be_handed_back_as_they_are() -> None:
    call = ToolCall.from_dict(CALL)
    assert Message.from_dict({"role": "assistant", "tool_calls": (call,)}).tool_calls == (call,)


@each(
    ("message", "reason"),
    [
        ({}, "needs a role"),
        ({"role": "CANARY"}, "needs a role"),
        ({"role": None}, "needs a role"),
        ({"role": ["user"]}, "needs a role"),
        ({"role": "user", "content": 5}, "content is a string"),
        ({"role": "user", "content": "x", "name": 5}, "name of a message"),
        ({"role": "tool", "content": "x", "tool_call_id": 5}, "tool_call_id"),
        ({"role": "assistant", "reasoning_content": ["CANARY"]}, "reasoning_content"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "are a list"),
        ({"role": "assistant", "tool_calls": "CANARY"}, "are a list"),
        ({"role": "assistant", "tool_calls": 5}, "are a list"),
        ({"role": "assistant", "tool_calls": ["CANARY"]}, "A tool call needs"),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "A tool call needs"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": None}}]}, "A tool call needs"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": ["CANARY"]}}]}, "neither text"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": {"CANARY"}}}}]}, "JSON"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": float("nan")}}}]}, "JSON"),
    ],
)
def test_a_message_that_cannot_be_right_is_refused(message: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refused:
        Message.from_dict(message)
    assert "CANARY" not in str(refused.value)


@each("text", ["", "  ", "{}", "null", " null\n"])  # null: wire F3
def test_a_call_without_arguments_has_none(text: str) -> None:
    call = ToolCall.parse("c1", "now", text)
    assert (call.arguments, call.raw_arguments, call.error) == ({}, text, None)


@each("text", ["CANARY", '{"a": ', "[1]", "[" * 100_000, "\ud800"])
def test_arguments_that_are_no_json_object_end_up_in_error(text: str) -> None:
    call = ToolCall.parse("c1", "now", text)
    assert (call.arguments, call.raw_arguments) == ({}, text)
    assert call.error
    assert "CANARY" not in call.error


@pytest.mark.parametrize(
    ("arguments", "raw"), [({"city": "Oslo"}, '{"city":"Oslo"}'), ('{"city":"Oslo"}', '{"city":"Oslo"}')]
)
def test_arguments_come_as_a_mapping_or_as_text(arguments: Any, raw: str) -> None:
    call = ToolCall.from_dict({"function": {"name": "weather", "arguments": arguments}})
    assert call == ToolCall("", "weather", {"city": "Oslo"}, raw)


def test_a_function_becomes_a_tool() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "description": "Now.", "parameters": schema, "strict": True}
    assert Tool.from_dict({"type": "function", "function": function}) == Tool("weather", "Now.", schema, strict=True)
    bare = Tool.from_dict({"type": "function", "function": {"name": "now"}})
    assert bare == Tool("now", "", {"type": "object", "properties": {}})


@each(
    ("tool", "name"),
    [({"type": "web_search"}, "web_search"), ({"type": "mcp", "name": "docs"}, "docs"), ({"x": 1}, "tool")],
)
def test_a_tool_of_another_type_is_the_own_one_of_a_provider(tool: dict[str, Any], name: str) -> None:
    assert Tool.from_dict(tool) == Tool(name, builtin=tool)


@each(
    ("function", "reason"),
    [({}, "needs a name"), ({"name": ""}, "needs a name"), ({"name": 5}, "needs a name"),
     ({"name": "f", "parameters": ["x"]}, "JSON schema")],
)  # fmt: skip
def test_a_function_that_cannot_be_called_is_refused(function: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Tool.from_dict({"type": "function", "function": function})


@each("role", ["hello", "", None, 5, "User", "developer", ["user"]])
def test_a_message_has_one_of_the_roles(role: Any) -> None:
    with pytest.raises(ValidationError, match=r"role of a message is one of system, user, .* Message\.user\(text\)"):
        Message(role)


def test_one_image_of_a_message_needs_no_list() -> None:
    png = b"\x89PNG rest"
    assert Message.user("x", images=png) == Message.user("x", images=[png])
    with pytest.raises(ValidationError, match=r"The image '/nope\.png' cannot be read"):
        Message.user("x", images="/nope.png")
    assert Message.user("x", images=None) == Message.user("x")


def test_formats_of_answers_are_read() -> None:
    schema = {"type": "object"}
    wrapped = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}
    assert ResponseFormat.from_dict(wrapped) == ResponseFormat(schema, "city", strict=True)
    assert ResponseFormat.from_dict({"type": "json_schema", "json_schema": {"schema": schema}}) == ResponseFormat(
        schema
    )
    assert ResponseFormat.from_dict({"type": "json_object"}) == ResponseFormat()
    assert ResponseFormat.from_dict({"type": "text"}) is None


@each("shape", [{}, {"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}])
def test_a_format_that_is_none_is_refused(shape: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="A response_format is"):
        ResponseFormat.from_dict(shape)


@each(
    "thing",
    [
        Message("user", "CANARY", reasoning="CANARY"),
        Message("user", (TextPart("CANARY"),)),
        ToolCall("c1", "f", {"a": "CANARY"}, '{"a":"CANARY"}'),
        ToolCall.parse("c1", "f", "CANARY"),
        ToolCallChunk(0, "c1", "f", "CANARY"),
        Message.assistant("CANARY", tool_calls=[ToolCall.parse("c1", "f", "CANARY")]),
    ],
)
def test_no_repr_shows_a_message(thing: Any) -> None:
    assert "CANARY" not in repr(thing)
