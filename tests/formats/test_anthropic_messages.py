"""Conversations in Anthropic's format, from histories of any provider."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_anthropic_response import CLAUDE, HELLO, feed, fixture, whole
from tests.support.codec_checks import calm
from unified_llm._core.outcome import Done
from unified_llm._formats.anthropic import CODEC
from unified_llm.exceptions import ValidationError
from unified_llm.types import ImagePart, LLMRequest, LLMResponse, Message, ProviderState, TextPart, ToolCall

HI = Message.user("Hi")


def body(messages: Sequence[Message]) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(CODEC.encode(LLMRequest(tuple(messages)), CLAUDE).body)
    return written


def turns(*messages: Message) -> list[Any]:
    return [(message["role"], message["content"]) for message in body(messages)["messages"]]


def call(identifier: str = "c", name: str = "f", **arguments: Any) -> ToolCall:
    return ToolCall(identifier, name, arguments)


def use(identifier: str = "c", name: str = "f", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments}


def result(identifier: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identifier, "content": content, **more}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def as_message(answer: LLMResponse) -> Message:
    """Return the message that a client adds to the history for an answer."""
    return Message("assistant", answer.content, tool_calls=answer.tool_calls, provider_state=answer.provider_state)


def test_system_messages_go_into_a_field_of_their_own_wherever_they_stand() -> None:
    written = body([Message.system("Be brief."), HI, Message.system("And kind.")])
    assert written["system"] == "Be brief.\n\nAnd kind."
    assert [message["role"] for message in written["messages"]] == ["user"]
    assert "system" not in body([HI])
    with pytest.raises(ValidationError, match=r"messages\[1\] holds more than text"):
        body([HI, Message("system", (ImagePart(url="https://e.example/a.png"),))])


def test_instructions_alone_are_sent_as_the_user_s_turn() -> None:
    assert body([Message.system("Tell a joke.")])["messages"] == [{"role": "user", "content": "Tell a joke."}]
    for nothing in ([], [Message.user(" ")], [Message.system("")]):
        with pytest.raises(ValidationError, match="no message in it has content"):
            body(nothing)


def test_turns_of_one_role_are_merged_and_empty_ones_left_out() -> None:
    assert turns(HI, Message.user("there"), Message.assistant(""), Message.user("you")) == [
        ("user", [text("Hi"), text("there"), text("you")])
    ]
    assert turns(HI, Message.assistant("a"), Message.user("\n"), Message.assistant("b ")) == [
        ("user", "Hi"),
        ("assistant", [text("a"), text("b")]),
    ]


def test_the_user_has_the_first_word() -> None:
    (first, words), second = turns(Message.assistant("Welcome!"))
    assert (first, second) == ("user", ("assistant", "Welcome!"))
    assert words


def test_results_follow_their_calls_before_any_other_text() -> None:
    calls = [call("a", x=1), call("b")]
    picture = Message("tool", (TextPart("see"), ImagePart(url="https://e.example/a.png")), tool_call_id="a")
    written = turns(
        HI, Message.assistant("Wait.", tool_calls=calls), Message.tool("no", "b", is_error=True), picture, HI
    )
    assert written[1:] == [
        ("assistant", [text("Wait."), use("a", x=1), use("b")]),
        (
            "user",
            [
                result(
                    "a", [text("see"), {"type": "image", "source": {"type": "url", "url": "https://e.example/a.png"}}]
                ),
                result("b", "no", is_error=True),
                text("Hi"),
            ],
        ),
    ]


def test_every_call_is_answered_and_a_result_of_none_is_a_turn_of_the_user() -> None:
    _, _, (side, answer), *rest = turns(HI, Message.assistant(tool_calls=[call("a")]), Message.assistant("So."))
    assert (side, answer[0]["tool_use_id"], answer[0]["is_error"]) == ("user", "a", True)
    assert rest == [("assistant", "So.")]
    assert turns(HI, Message.tool("of nobody", "zzz")) == [("user", [text("Hi"), text("of nobody")])]
    empty = turns(HI, Message.assistant(tool_calls=[call("a")]), Message.tool("", "a"))[2][1]
    assert empty == [{"type": "tool_result", "tool_use_id": "a"}]


def test_identifiers_are_unique_and_of_characters_that_the_api_accepts() -> None:
    same = [Message.assistant(tool_calls=[call("call_0"), call("call_0", "g")]), Message.tool("1", "call_0")]
    odd = [Message.assistant(tool_calls=[call("a b/ü"), call("")]), Message.tool("3", "a b/ü"), Message.tool("4", "")]
    written = turns(HI, *same, Message.tool("2", "call_0"), *same, *odd)
    used = [block["id"] for role, blocks in written[1:] if role == "assistant" for block in blocks]
    assert used[:4] == ["call_0", "call_0_2", "call_0_3", "call_0_4"]
    assert len(set(used)) == len(used) == 6
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identifier) for identifier in used)
    answered = [
        (block["tool_use_id"], block["content"]) for role, blocks in written[1:] if role == "user" for block in blocks
    ]
    assert [words for _, words in answered] == ["1", "2", "1", "This call was not answered.", "3", "4"]
    assert [identifier for identifier, _ in answered] == used


def test_invalid_json_is_wrapped_in_an_object_and_odd_names_are_made_to_fit() -> None:
    broken = ToolCall.parse("a", "no such.name", '{"x"')
    (block,) = turns(HI, Message.assistant(tool_calls=[broken]))[1][1]
    assert block == use("a", "no_such_name", invalid_json='{"x"')
    assert turns(HI, Message.assistant(tool_calls=[call("a", "")]))[1][1][0]["name"] == "tool"


def test_tools_of_the_history_are_declared_where_the_call_offers_none() -> None:
    written = body([HI, Message.assistant(tool_calls=[call("a"), call("b", "g")]), Message.tool("1", "a")])
    assert [tool["name"] for tool in written["tools"]] == ["f", "g"]
    assert written["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("name", ["thinking_tools", "web_search"])
def test_provider_state_goes_back_to_its_provider_block_for_block(name: str) -> None:
    sent: list[Any] = fixture(f"chat_{name}")["body"]["content"]
    outcome = CODEC.decode(HELLO, CLAUDE, fixture(f"chat_{name}")["body"])
    assert isinstance(outcome, Done)
    for answer in (outcome.value, whole(feed(*fixture(f"stream_{name}")["events"]))):
        message = as_message(answer)
        assert turns(HI, message)[1] == ("assistant", sent)
        # Stored as a plain mapping in between, as the messages of a framework are.
        assert message.provider_state
        stored = replace(
            message, provider_state=ProviderState.from_dict(json.loads(json.dumps(message.provider_state.as_dict())))
        )
        assert turns(HI, stored)[1] == ("assistant", sent)
        plain = [block for block in sent if block["type"] in {"text", "tool_use"}]
        assert plain != sent
        for other in (
            replace(message, provider_state=ProviderState("openai", "openai_responses", message.provider_state.data)),
            replace(message, provider_state=ProviderState("vllm", "anthropic", message.provider_state.data)),
            replace(message, provider_state=None),
        ):
            assert "signature" not in json.dumps(turns(HI, other))
            assert "encrypted" not in json.dumps(turns(HI, other))


def test_a_turn_with_its_thoughts_may_continue_thinking() -> None:
    answer = whole(feed(*fixture("stream_thinking_tools")["events"]))
    results = [Message.tool("5", call.id) for call in answer.tool_calls]
    request = LLMRequest((HI, as_message(answer), *results), reasoning_effort="high")
    assert json.loads(CODEC.encode(request, CLAUDE).body)["thinking"]["type"] == "enabled"
    forgotten = replace(request, messages=(HI, replace(as_message(answer), provider_state=None), *results))
    assert "thinking" not in json.loads(CODEC.encode(forgotten, CLAUDE).body)


def test_provider_state_that_does_not_fit_its_message_is_left_out() -> None:
    message = as_message(whole(feed(*fixture("stream_thinking_tools")["events"])))
    assert message.provider_state
    blocks = message.provider_state.data["blocks"]
    wrong: tuple[Any, ...] = (
        None, [], {}, {"blocks": None}, {"blocks": ["x"]}, {"blocks": []}, {"blocks": blocks[:-1]},
        {"blocks": [*blocks[:2], {"type": "text", "length": "14"}, *blocks[3:]]},
        {"blocks": [*blocks[:2], {"type": "text", "length": -1}, *blocks[3:]]},
    )  # fmt: skip
    edited = [
        replace(message, content=message.text + "!"),
        replace(message, tool_calls=message.tool_calls[:1]),
        replace(message, tool_calls=message.tool_calls[::-1]),
        *(replace(message, provider_state=ProviderState("anthropic", "anthropic", data)) for data in wrong),
    ]
    for other in edited:
        assert {block["type"] for block in turns(HI, other)[1][1]} <= {"text", "tool_use"}
    assert turns(HI, message)[1][1][0]["type"] == "thinking"


def test_a_paused_turn_goes_on_where_it_was_sent_back() -> None:
    outcome = CODEC.decode(HELLO, CLAUDE, fixture("chat_pause_turn")["body"])
    assert isinstance(outcome, Done)
    assert turns(HI, as_message(outcome.value))[1] == ("assistant", fixture("chat_pause_turn")["body"]["content"])


words = st.text(max_size=3)
calls = st.builds(ToolCall, st.sampled_from(["", "a", "b", "call 1", "ü"]), st.sampled_from(["f", "g h", ""]))
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    words,
    tool_call_id=st.sampled_from([None, "", "a", "b", "call 1"]),
).flatmap(
    lambda m: st.lists(calls, max_size=2).map(lambda c: replace(m, tool_calls=tuple(c)) if m.role == "assistant" else m)
)


@calm
@given(st.lists(messages, min_size=1, max_size=8))
def test_whatever_the_history_it_keeps_the_rules_of_the_api(history: list[Message]) -> None:
    written = body([HI, *history])["messages"]
    roles = [message["role"] for message in written]
    assert roles == [("user", "assistant")[i % 2] for i in range(len(roles))]
    seen: set[str] = set()
    open_calls: list[str] = []
    for message in written:
        blocks = [text(message["content"])] if isinstance(message["content"], str) else message["content"]
        assert blocks
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert answered == open_calls
        assert [block["type"] for block in blocks[: len(answered)]] == ["tool_result"] * len(answered)
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not seen & set(open_calls)
        seen |= set(open_calls)
    assert not open_calls
