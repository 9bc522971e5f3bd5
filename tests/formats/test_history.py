"""Changes that every format makes to a conversation before it is encoded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import calm
from unified_llm._formats.history import (
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    results_as_text,
    text_of,
    with_text_results,
)
from unified_llm.types import CachePoint, ImagePart, Message, TextPart, ToolCall

ASKED = Message.assistant(tool_calls=[ToolCall("a", "f"), ToolCall("b", "g")])
USER = Message.user("And?")


def result(identifier: str, text: str = "ok") -> Message:
    return Message.tool(text, identifier)


def test_results_follow_their_calls_in_the_order_of_the_calls() -> None:
    assert pair_tool_results([ASKED, result("b"), USER, result("a")]) == [ASKED, result("a"), result("b"), USER]


def test_a_call_without_a_result_gets_one_only_where_that_is_asked_for() -> None:
    assert pair_tool_results([ASKED, result("a"), USER]) == [ASKED, result("a"), USER]
    added = Message.tool("This call was not answered.", "b", is_error=True)
    assert pair_tool_results([ASKED, result("a"), USER], answer_all=True) == [ASKED, result("a"), added, USER]


def test_a_result_of_no_call_or_a_second_one_is_what_the_user_says() -> None:
    lost = Message("tool", "lost", name="f", tool_call_id="z", is_error=True)
    assert pair_tool_results([lost, ASKED, result("a"), result("a", "again"), Message("tool", "none")]) == [
        Message.user("lost"),
        ASKED,
        result("a"),
        Message.user("again"),
        Message.user("none"),
    ]


def test_an_identifier_that_is_used_again_means_the_latest_call() -> None:
    turn = Message.assistant(tool_calls=[ToolCall("a", "f")])
    talk = [turn, result("a", "one"), turn, result("a", "two")]
    assert pair_tool_results(talk) == talk


def test_calls_can_be_given_names_of_their_own() -> None:
    def turn(*identifiers: str) -> Message:
        return Message.assistant(tool_calls=[ToolCall(identifier, "f") for identifier in identifiers])

    talk = [turn("a", "a"), result("a", "one"), result("a", "two"), USER, turn("a", ""), result("", "three")]
    assert dedupe_call_ids([*talk, result("a", "four"), result("a", "five")]) == [
        turn("a", "a_2"),
        result("a", "one"),
        result("a_2", "two"),
        USER,
        turn("a_3", "call"),
        result("call", "three"),
        result("a_3", "four"),
        Message("tool", "five"),
    ]
    once = [turn("a", "b"), result("a"), result("b"), USER]
    assert dedupe_call_ids(once) == once
    assert dedupe_call_ids([turn("a b"), result("a b")], lambda name: name.replace(" ", "_")) == [
        turn("a_b"),
        result("a_b"),
    ]


def test_media_of_results_come_after_all_results_of_the_turn() -> None:
    picture = ImagePart(data=b"\x89PNG")
    seen = Message("tool", (TextPart("Here:"), CachePoint(), picture), tool_call_id="a")
    first, second, attached, user = with_text_results([seen, result("b"), USER])
    assert (first.tool_call_id, second, user) == ("a", result("b"), USER)
    assert first.content == "Here:\n(What this tool returned besides text follows below.)"
    assert attached == Message("user", (TextPart("Returned by the tool call a:"), picture))


def test_a_failed_result_says_so_once() -> None:
    for text, expected in (("no", "Error: no"), ("ERROR: no", "ERROR: no"), ("", "Error: ")):
        assert results_as_text([Message.tool(text, "a", is_error=True)]) == [Message.tool(expected, "a")]


def test_marks_for_the_cache_say_nothing() -> None:
    content = (TextPart("a"), CachePoint(), TextPart("b"))
    assert (is_text(content), text_of(content), is_text("a"), text_of("a")) == (True, "a\nb", True, "a")
    assert not is_text((ImagePart(url="https://example.org/cat.png"),))


@calm
@given(
    st.lists(
        st.sampled_from(
            [ASKED, USER, result("a"), result("b"), result("z"), Message.assistant(tool_calls=[ToolCall("a", "f")])]
        ),
        max_size=8,
    )
)
def test_whatever_the_order_every_call_is_answered_and_nothing_is_lost(talk: list[Message]) -> None:
    ordered = pair_tool_results(talk, answer_all=True)
    texts = [message.text for message in ordered if message.text != "This call was not answered."]
    assert sorted(texts) == sorted(message.text for message in talk)
    waiting: list[str] = []
    for message in ordered:
        if message.role == "tool":
            assert waiting.pop(0) == message.tool_call_id
        else:
            assert waiting == []
            waiting = [call.id for call in message.tool_calls]
    assert waiting == []
