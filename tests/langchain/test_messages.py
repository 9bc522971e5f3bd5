"""LangChain's messages, read as ours."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from tests.support.each import each
from unified_llm.exceptions import ValidationError
from unified_llm.langchain._messages import read_messages
from unified_llm.types import ImagePart, Message, TextPart


@each(
    ("message", "expected"),
    [
        (HumanMessage("Hi", name="Ann"), Message("user", "Hi", name="Ann")),
        (SystemMessage("Be brief."), Message("system", "Be brief.")),
        (AIMessage("Hello"), Message("assistant", "Hello")),
        (AIMessageChunk(content="Hello"), Message("assistant", "Hello")),
        (ChatMessage(content="Hi", role="user"), Message("user", "Hi")),
        (ChatMessage(content="Hi", role="Developer"), Message("system", "Hi")),
        (ChatMessage(content="Hi", role="assistant"), Message("assistant", "Hi")),
        (ToolMessage("42", tool_call_id="c1", name="add"), Message("tool", "42", name="add", tool_call_id="c1")),
        (
            ToolMessage("no", tool_call_id="c1", status="error"),
            Message("tool", "no", tool_call_id="c1", is_error=True),
        ),
        (FunctionMessage(content="42", name="add"), Message("tool", "42", name="add", tool_call_id="call_add")),
    ],
)
def test_every_kind_of_message_has_a_role(message: BaseMessage, expected: Message) -> None:
    assert read_messages([message]) == (expected,)


def test_images_in_the_answer_of_a_tool_are_kept() -> None:
    message = ToolMessage([{"type": "image", "url": "https://e.example/a"}], tool_call_id="c1")
    assert read_messages([message])[0].content == (ImagePart(url="https://e.example/a"),)


def test_a_call_that_stands_in_the_content_and_in_the_message_is_one_call() -> None:
    message = AIMessage(
        [{"type": "text", "text": "Let me see."}, {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}],
        tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c1"}],
    )
    (read,) = read_messages([message])
    assert read.content == "Let me see."
    assert [(call.id, call.name, call.arguments, call.raw_arguments) for call in read.tool_calls] == [
        ("c1", "add", {"a": 1}, '{"a":1}')
    ]


def test_calls_that_stand_only_in_the_content_are_found() -> None:
    message = AIMessage(
        [
            {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1}},
            {"type": "invalid_tool_call", "id": "c2", "name": "add", "args": '{"a":', "error": "broken"},
        ]
    )
    (read,) = read_messages([message])
    assert [(call.id, call.raw_arguments, bool(call.error)) for call in read.tool_calls] == [
        ("c1", '{"a":1}', False),
        ("c2", '{"a":', True),
    ]


def test_a_call_whose_arguments_were_no_json_is_sent_back_as_it_was_written() -> None:
    broken = AIMessage("", invalid_tool_calls=[{"name": "add", "args": '{"a":', "id": "c1", "error": "broken"}])
    (read,) = read_messages([broken])
    assert read.tool_calls[0].raw_arguments == '{"a":'


def test_a_function_call_from_before_identifiers_is_paired_with_its_answer() -> None:
    asked = AIMessage("", additional_kwargs={"function_call": {"name": "add", "arguments": '{"a":1}'}})
    call, answer = read_messages([asked, FunctionMessage(content="1", name="add")])
    assert call.tool_calls[0].id == answer.tool_call_id
    assert call.tool_calls[0].arguments == {"a": 1}


def test_reasoning_is_kept_from_the_content_or_from_where_other_packages_put_it() -> None:
    block = AIMessage([{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "So."}])
    beside = AIMessage("So.", additional_kwargs={"reasoning_content": "Hm."})
    assert [each.reasoning for each in read_messages([block, beside, AIMessage("So.")])] == ["Hm.", "Hm.", None]


def test_results_of_tools_in_a_users_message_come_before_what_the_user_says() -> None:
    message = HumanMessage(
        [
            {
                "type": "tool_result",
                "tool_use_id": "c1",
                "content": [{"type": "text", "text": "42"}],
                "is_error": False,
            },
            {"type": "tool_result", "tool_use_id": "c2", "is_error": True},
            {"type": "text", "text": "And now?"},
        ]
    )
    first, second, user = read_messages([message])
    assert first == Message("tool", "42", tool_call_id="c1")
    assert second == Message("tool", "", tool_call_id="c2", is_error=True)
    assert user == Message("user", "And now?")


def test_a_users_message_that_holds_only_results_adds_no_empty_turn() -> None:
    message = HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": "42"}])
    assert [each.role for each in read_messages([message])] == ["tool"]


def test_an_image_beside_text_makes_parts() -> None:
    message = HumanMessage([{"type": "text", "text": "What is it?"}, {"type": "image", "url": "https://e.example/a"}])
    assert read_messages([message])[0].content == (TextPart("What is it?"), ImagePart(url="https://e.example/a"))


@pytest.mark.parametrize("message", [ChatMessage(content="Hi", role="narrator"), RemoveMessage(id="1")])
def test_what_no_model_can_be_sent_is_refused(message: BaseMessage) -> None:
    with pytest.raises(ValidationError):
        read_messages([message])
