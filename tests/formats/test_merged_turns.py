"""Orders of messages that strict chat templates refuse (field report local 7)."""

from __future__ import annotations

import json
from typing import Any

from tests.support.any_model import SERVERS
from tests.support.codec_checks import target
from tests.support.each import each
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.history import merge_turns
from unified_llm.types import CachePoint, CountRequest, ImagePart, LLMRequest, Message, TextPart, ToolCall

CALL = ToolCall("c1", "add", {"a": 2}, '{"a": 2}')
MESSAGES = (
    Message.system("Be brief."),
    Message.system("Be kind."),
    Message.user("One?"),
    Message.user("Two?"),
    Message.assistant("One."),
    Message.assistant("Two."),
    Message.system("It is noon."),
    Message.user("Three?"),
)
MERGED = [
    ("system", "Be brief.\n\nBe kind."),
    ("user", "One?\n\nTwo?"),
    ("assistant", "One.\n\nTwo."),
    ("user", "It is noon.\n\nThree?"),
]


def sent(provider: str, messages: Any = MESSAGES, *, defaults: Any = None, **fields: Any) -> list[tuple[str, Any]]:
    """Return roles and contents of the messages that are sent."""
    where = target(provider, defaults=defaults or {})
    body = json.loads(codec_for(where.format).encode(LLMRequest(tuple(messages), **fields), where).body)
    return [(message["role"], message.get("content")) for message in body["messages"]]


@each("provider", SERVERS)
def test_local_7_system_messages_come_first_and_turns_alternate(provider: str) -> None:
    assert sent(provider) == MERGED
    as_given = [(message.role, message.content) for message in MESSAGES]
    assert sent(provider, merge_messages=False) == as_given
    assert sent(provider, defaults={"merge_messages": False}) == as_given
    assert sent(provider, defaults={"merge_messages": False}, merge_messages=True) == MERGED


def test_local_7_other_rows_send_the_messages_as_they_are() -> None:
    for provider in ("openai", "groq", "openrouter"):
        assert sent(provider) == [(message.role, message.content) for message in MESSAGES]


def test_local_7_tools_stay_where_they_are() -> None:
    turns = [
        Message.user("?"),
        Message.assistant("Let me add."),
        Message.assistant(tool_calls=[CALL]),
        Message.system("Be brief."),
        Message.tool("4", "c1"),
        Message.user("So?"),
        Message.assistant("4"),
    ]
    merged = merge_turns(turns)
    assert [message.role for message in merged] == ["user", "assistant", "assistant", "tool", "user", "assistant"]
    assert merged[4].content == "Be brief.\n\nSo?"
    assert merged[1].content == "Let me add."


def test_local_7_speakers_cache_points_and_images_are_not_merged() -> None:
    image = Message("user", (TextPart("Look:"), ImagePart(url="https://a.test/i.png")))
    cached = Message("user", (TextPart("Long."), CachePoint()))
    for before, after in (
        (Message("user", "a", name="Ann"), Message("user", "b", name="Bob")),
        (Message("user", "a", name="Ann"), Message.user("b")),
        (image, Message.user("b")),
        (Message.user("a"), image),
        (cached, Message.user("b")),
    ):
        assert merge_turns([before, after]) == [before, after]
    same = merge_turns([Message("user", "a", name="Ann"), Message("user", (TextPart("b"),), name="Ann")])
    assert same == [Message("user", "a\n\nb", name="Ann")]


def test_local_7_empty_turns_add_nothing() -> None:
    assert merge_turns([Message.user(""), Message.user("a"), Message.user("")]) == [Message.user("a")]


def test_local_7_a_prompt_is_counted_as_it_is_sent() -> None:
    request = CountRequest(LLMRequest(MESSAGES))
    body = json.loads(codec_for("anthropic").encode(request, target("vllm")).body)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert "\n\n" in json.dumps(body["messages"][0]["content"], ensure_ascii=False).replace("\\n", "\n")


def test_f12_turns_around_an_answer_that_says_nothing_are_joined() -> None:
    """A response that was cut before its first word leaves an empty turn, which is not sent."""
    request = LLMRequest((Message.user("a"), Message.assistant(""), Message.user("b")))
    where = target("vllm")
    body = json.loads(codec_for(where.format).encode(request, where).body)
    assert body["messages"] == [{"role": "user", "content": "a\n\nb"}]
