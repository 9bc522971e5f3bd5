"""Conversations in OpenAI's format, including turns of other providers' models."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import calm, plain_target, target
from tests.support.each import each
from unified_llm._formats.openai_chat.messages import write_messages
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import ValidationError
from unified_llm.types import AudioPart, FilePart, ImagePart, Message, TextPart, ToolCall

PNG = ImagePart(data=b"\x89PNG", media_type="image/png")
PNG_WRITTEN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
CALL = ToolCall("call_1", "weather", {"city": "Rome"}, '{"city": "Rome"}')


def write(*messages: Message, **quirks: Any) -> list[dict[str, Any]]:
    return write_messages(messages, plain_target(**quirks))


def test_system_messages_stay_where_they_are() -> None:
    roles = [m["role"] for m in write(Message.system("a"), Message.user("b"), Message.system("c"))]
    assert roles == ["system", "user", "system"]


def test_parts_of_text_become_one_text_except_where_a_user_sends_several() -> None:
    parts = (TextPart("one"), TextPart("two"))
    assert write(Message("system", parts)) == [{"role": "system", "content": "one\ntwo"}]
    assert write(Message("assistant", parts)) == [{"role": "assistant", "content": "one\ntwo"}]
    assert write(Message("user", parts[:1])) == [{"role": "user", "content": "one"}]
    assert write(Message("user", ())) == [{"role": "user", "content": ""}]
    assert write(Message("user", parts))[0]["content"] == [
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two"},
    ]


def test_images_audio_and_files_have_their_parts() -> None:
    message = Message(
        "user",
        (
            TextPart("look"),
            PNG,
            ImagePart(url="https://example.test/a.png", detail="low"),
            AudioPart(b"RIFF", "wav"),
            FilePart(file_id="file-1"),
            FilePart(data=b"%PDF", filename="a.pdf"),
            FilePart(data=b"%PDF"),
            FilePart(url="https://example.test/b.pdf", media_type="text/x-unknown-type"),
        ),
    )
    assert write(message)[0]["content"] == [
        {"type": "text", "text": "look"},
        PNG_WRITTEN,
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        {"type": "file", "file": {"filename": "document", "file_data": "https://example.test/b.pdf"}},
    ]


def test_a_file_of_text_is_text() -> None:
    files = (FilePart(b"a\xff", "text/plain"), FilePart(b"{}", "application/json", "a.json"))
    assert write(Message("user", files))[0]["content"] == [
        {"type": "text", "text": "a\ufffd"},
        {"type": "text", "text": "a.json:\n\n{}"},
    ]


def test_calls_of_one_name_are_kept_apart() -> None:
    turn = Message.assistant(tool_calls=[CALL])
    written = write(turn, Message.tool("one", "call_1"), turn, Message.tool("two", "call_1"))
    assert [message.get("tool_call_id") or message["tool_calls"][0]["id"] for message in written] == [
        "call_1",
        "call_1",
        "call_1_2",
        "call_1_2",
    ]


def test_a_system_message_with_an_image_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"messages\[1\] holds more than text"):
        write(Message.user("x"), Message("system", (PNG,)))


def test_of_an_assistant_s_message_the_text_is_kept() -> None:
    assert write(Message("assistant", (TextPart("here"), PNG))) == [{"role": "assistant", "content": "here"}]


def test_names_are_made_to_fit_and_kept_off_tool_results() -> None:
    assert write(Message("user", "x", name="Ann O'Neil"))[0]["name"] == "Ann_O_Neil"
    assert len(write(Message("system", "x", name="n" * 99))[0]["name"]) == 64
    result = Message("tool", "x", name="weather", tool_call_id="call_1")
    assert "name" not in write(Message.assistant(tool_calls=[CALL]), result)[1]
    assert "name" not in write(Message("user", "x", name="Ann"), drop=frozenset({"messages.name"}))[0]


class TestToolCalls:
    def test_calls_go_back_as_they_were_written(self) -> None:
        assert write(Message.assistant("", tool_calls=[CALL]), Message.tool("sunny", "call_1"))[:1] == [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                    }
                ],
            }
        ]

    def test_arguments_that_were_never_text_are_written(self) -> None:
        calls = [ToolCall("1", "a", {"x": 1}), ToolCall("2", "b")]
        written = write(Message.assistant("hm", tool_calls=calls))[0]
        assert [call["function"]["arguments"] for call in written["tool_calls"]] == ['{"x":1}', "{}"]
        assert written["content"] == "hm"

    def test_a_result_answers_its_call(self) -> None:
        written = write(Message.assistant(tool_calls=[CALL]), Message.tool("sunny", "call_1"))
        assert written[1] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}

    def test_a_result_carries_the_name_of_its_tool_where_the_server_wants_it(self) -> None:
        other = ToolCall("call_2", "clock")
        results = [Message.tool("12:00", "call_2"), Message.tool("sunny", "call_1", name="something else")]
        written = write(Message.assistant(tool_calls=[CALL, other]), *results, tool_names=True)
        assert [(each["tool_call_id"], each["name"]) for each in written[1:]] == [
            ("call_1", CALL.name),
            ("call_2", "clock"),
        ]
        assert "name" not in write(Message.assistant(tool_calls=[CALL]), results[1])[1]

    def test_servers_with_templates_of_many_models_get_the_name_and_openai_does_not(self) -> None:
        wanted = {row.name for row in ROWS if row.quirks.tool_names}
        assert wanted >= {"lmstudio", "vllm", "llamacpp", "litellm", "openai-compatible", "mistral"}
        assert not wanted & {"openai", "azure", "deepseek", "groq"}

    def test_a_failure_says_that_it_is_one(self) -> None:
        for text in ("no such city", "Error: no such city"):
            written = write(Message.assistant(tool_calls=[CALL]), Message.tool(text, "call_1", is_error=True))
            assert written[1]["content"] == "Error: no such city"

    def test_images_in_results_follow_in_a_user_message_after_all_results_of_the_turn(self) -> None:
        written = write(
            Message.assistant(tool_calls=[CALL, ToolCall("call_2", "clock")]),
            Message("tool", (TextPart("a map"), PNG), tool_call_id="call_1"),
            Message("tool", (PNG,), tool_call_id="call_2"),
            Message.user("and now?"),
        )
        assert [message["role"] for message in written] == ["assistant", "tool", "tool", "user", "user"]
        assert written[1]["content"] == "a map\n(What this tool returned besides text follows below.)"
        assert written[2]["content"] == "(What this tool returned besides text follows below.)"
        assert written[3]["content"] == [
            {"type": "text", "text": "Returned by the tool call call_1:"},
            PNG_WRITTEN,
            {"type": "text", "text": "Returned by the tool call call_2:"},
            PNG_WRITTEN,
        ]

    def test_a_result_without_a_call_becomes_a_turn_of_the_user_and_a_call_without_a_result_gets_one(self) -> None:
        assert write(Message("tool", "x")) == [{"role": "user", "content": "x"}]
        written = write(Message.assistant(tool_calls=[CALL]), Message.user("never mind"))
        assert [message["role"] for message in written] == ["assistant", "tool", "user"]
        assert written[1] == {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": "Error: This call was not answered.",
        }


class TestIdentifiers:
    def ids(self, identifier: str, **quirks: Any) -> tuple[str, str]:
        call, result = write(
            Message.assistant(tool_calls=[ToolCall(identifier, "t")]), Message.tool("x", identifier), **quirks
        )
        return call["tool_calls"][0]["id"], result["tool_call_id"]

    @calm
    @given(st.text(max_size=80), st.sampled_from([None, 0, 9, 20]))
    def test_a_call_and_its_result_always_have_the_same(self, identifier: str, length: int | None) -> None:
        quirks = {} if length is None else {"tool_id_length": length}
        call, result = self.ids(identifier, **quirks)
        assert call == result
        if length:
            assert len(call) == length
            assert set(call) <= set(string.ascii_letters + string.digits)
        elif length is None:
            assert len(call) <= 40

    def test_one_that_fits_is_kept(self) -> None:
        assert self.ids("call_abc") == ("call_abc", "call_abc")
        assert self.ids("abcDEF123", tool_id_length=9) == ("abcDEF123", "abcDEF123")

    def test_two_that_do_not_fit_stay_two(self) -> None:
        assert self.ids("a" * 41)[0] != self.ids("b" * 41)[0]
        assert self.ids("call_a", tool_id_length=9)[0] != self.ids("call_b", tool_id_length=9)[0]

    def test_a_gateway_that_hides_something_in_them_gets_them_whole(self) -> None:
        long = "call_1__thought__" + "x" * 500
        assert self.ids(long, tool_id_length=target("litellm").quirks.tool_id_length) == (long, long)

    def test_mistral_gets_nine_letters_and_digits(self) -> None:
        assert len(self.ids("call_1", tool_id_length=target("mistral").quirks.tool_id_length)[0]) == 9


class TestReasoning:
    answered = Message("assistant", "", tool_calls=(CALL,), reasoning="It asks for Rome.")

    def test_it_is_dropped_where_nobody_asks_for_it(self) -> None:
        assert "Rome." not in str(write_messages([self.answered], plain_target()))

    @each("provider", ["deepseek", "moonshot", "zai"])
    def test_it_goes_back_with_tool_calls_to_those_who_require_it(self, provider: str) -> None:
        written = write_messages([self.answered], target(provider))
        assert written[0]["reasoning_content"] == "It asks for Rome."

    def test_it_does_not_go_back_without_tool_calls(self) -> None:
        written = write_messages([Message("assistant", "Hi", reasoning="Greet.")], target("deepseek"))
        assert written == [{"role": "assistant", "content": "Hi"}]
