"""``read_request``: from prompts and options of a call to requests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm._client import read_request
from unified_llm.exceptions import ValidationError
from unified_llm.types import EmbeddingRequest, LLMRequest, Message, ResponseFormat, TextPart, Tool

USER = Message.user("Hello")
FUNCTION = {"type": "function", "function": {"name": "now"}}


def read(prompt: Any, **overrides: Any) -> LLMRequest:
    return read_request.chat(prompt, overrides)


@each(
    "prompt",
    [
        "Hello",
        ["Hello"],
        [USER],
        (USER,),
        [{"role": "user", "content": "Hello"}],
        [("user", "Hello")],
        [("human", "Hello")],
        {"messages": [USER]},
        {"messages": "Hello"},
        LLMRequest((USER,)),
        LLMRequest([{"role": "user", "content": "Hello"}]),  # type: ignore[arg-type]
    ],
)
def test_a_prompt_comes_in_many_forms(prompt: Any) -> None:
    assert read(prompt) == LLMRequest((USER,))


def test_the_prompt_may_be_given_as_messages() -> None:
    for messages in ("Hello", [USER], [{"role": "user", "content": "Hello"}]):
        assert read_request.chat(None, {"messages": messages, "seed": 1}) == LLMRequest((USER,), seed=1)


def test_fields_are_read_in_the_shape_of_openai() -> None:
    asked = read(
        "Hello",
        tools=[FUNCTION, Tool("later")],
        tool_choice={"type": "function", "function": {"name": "now"}},
        response_format={"type": "json_object"},
        stop="END",
        extra_body={"top_k": 1},
        max_tokens=5,
        temperature=0,
    )
    assert [tool.name for tool in asked.tools] == ["now", "later"]
    assert (asked.tool_choice, asked.response_format, asked.stop) == ("now", ResponseFormat(), ("END",))
    assert (asked.extra_body, asked.max_tokens, asked.temperature) == ({"top_k": 1}, 5, 0)


def test_the_call_goes_before_the_request() -> None:
    for prompt in ({"messages": "Hello", "temperature": 1, "seed": 2}, LLMRequest((USER,), temperature=1, seed=2)):
        asked = read(prompt, temperature=0.5)
        assert (asked.temperature, asked.seed) == (0.5, 2)


def test_whether_it_streams_is_for_the_client_to_say() -> None:
    assert read_request.chat("Hello", {}, stream=True).stream
    assert not read_request.chat(LLMRequest((USER,), stream=True), {}).stream


def test_what_is_none_is_left_out() -> None:
    names = ("tools", "tool_choice", "response_format", "stop", "extra_body", "temperature", "max_tokens", "model")
    assert read("Hello", **dict.fromkeys(names)) == LLMRequest((USER,))


def test_a_native_request_is_kept() -> None:
    assert read(LLMRequest((USER,), native="the framework's"), seed=1).native == "the framework's"


@each(
    ("choice", "known"),
    [("auto", "auto"), ("any", "required"), ("none", "none"), ("now", "now"), ({"name": "now"}, "now")],
)
def test_a_choice_of_tool_is_a_word_or_a_name(choice: Any, known: str) -> None:
    assert read("Hello", tool_choice=choice).tool_choice == known


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, "A prompt is a string"),
    (5, {}, "A prompt is a string"),
    (b"CANARY", {}, "A prompt is a string"),
    (USER, {}, r"A prompt is a string, or a list of messages; got Message: write \[message\]"),
    ({"role": "user", "content": "CANARY"}, {}, "no field 'role': one message alone goes into a list"),
    ([{"role": "user", "text": "CANARY"}], {}, 'A user message needs "content"'),
    ({"content": "CANARY"}, {}, "no field 'content'"),
    ({"model": "openai/x"}, {}, 'needs "messages"'),
    ([], {}, "at least one message"),
    ({"messages": []}, {}, "at least one message"),
    ([5], {}, "A message is a Message"),
    ([("user", 5)], {}, "A message is a Message"),
    ([("user", "CANARY", "x")], {}, "A message is a Message"),
    ([("robot", "CANARY")], {}, "needs a role"),
    (("user", "CANARY"), {}, r'One message alone goes into a list: \[\("user", "..."\)\]\.'),
    (["CANARY", "CANARY"], {}, r"A list of texts is no conversation: call generate\(\) for each of them"),
    ({"prompt": "CANARY"}, {}, "no field 'prompt': the prompt comes first"),
    ({"messages": "CANARY", "timeout": 5}, {}, r"it is an option of the call: generate\(\.\.\., timeout="),
    (None, {"messages": None}, "A prompt is a string"),
    ([Message("user", "CANARY", name=5)], {}, "name, tool_call_id and reasoning of a message are strings"),  # type: ignore[arg-type]
    ([Message("assistant", "CANARY", tool_calls=["CANARY"])], {}, "a tuple of ToolCall"),  # type: ignore[arg-type]
    ([Message("user", None)], {}, "content is a string"),  # type: ignore[arg-type]
    ([Message("user", ("CANARY",))], {}, "content is a string"),  # type: ignore[arg-type]
    ([Message("user", [TextPart("CANARY")])], {}, "content is a string"),  # type: ignore[arg-type]
    (LLMRequest(()), {}, "at least one message"),
    ("CANARY", {"messages": "CANARY"}, "given twice"),
    ("CANARY", {"temprature": 1}, "did you mean 'temperature'"),
    ("CANARY", {"top_k": 1}, "did you mean 'top_p'. .Fields that only some providers know go into extra_body="),
    ("CANARY", {"grammar": 1}, "no field 'grammar': fields that only some"),
    ("CANARY", {"stream": True}, "call stream\\(\\) or astream\\(\\)"),
    ("CANARY", {"native": 1}, "no field 'native'"),
    ({"messages": "CANARY", 5: 1}, {}, "no field 5"),
    ("CANARY", {"temperature": "CANARY"}, "temperature must be a finite number"),
    ("CANARY", {"temperature": float("nan")}, "temperature must be a finite number"),
    ("CANARY", {"top_p": float("inf")}, "top_p must be a finite number"),
    ("CANARY", {"frequency_penalty": True}, "frequency_penalty must be a finite number"),
    ("CANARY", {"presence_penalty": 10**400}, "presence_penalty must be a finite number"),
    ("CANARY", {"max_tokens": 0}, "max_tokens must be a whole number, 1 or greater"),
    ("CANARY", {"max_tokens": -5}, "max_tokens must be a whole number"),
    ("CANARY", {"max_tokens": 1.5}, "max_tokens must be a whole number"),
    ("CANARY", {"max_tokens": True}, "max_tokens must be a whole number"),
    ("CANARY", {"max_tokens": "CANARY"}, "max_tokens must be a whole number"),
    ("CANARY", {"top_logprobs": -1}, "top_logprobs must be a whole number, 0 or greater"),
    ("CANARY", {"seed": "CANARY"}, r"seed must be a whole number\."),
    ("CANARY", {"model": 5}, "model must be a string"),
    ("CANARY", {"reasoning_effort": 5}, "reasoning_effort must be a string"),
    ("CANARY", {"logprobs": 1}, "logprobs must be True or False"),
    ("CANARY", {"parallel_tool_calls": "no"}, "parallel_tool_calls must be True or False"),
    ("CANARY", {"stop": 5}, "stop is a text"),
    ("CANARY", {"stop": [5]}, "stop is a text"),
    ("CANARY", {"stop": ["CANARY", ""]}, "none of them empty"),
    ("CANARY", {"stop": ""}, "none of them empty"),
    ("CANARY", {"stop": {"CANARY": 1}}, "stop is a text"),
    ("CANARY", {"extra_body": ["CANARY"]}, "extra_body is a mapping"),
    ("CANARY", {"response_format": "CANARY"}, "A response_format is"),
    ("CANARY", {"tools": "CANARY"}, "tools is a list"),
    ("CANARY", {"tools": FUNCTION}, "tools is a list"),
    ("CANARY", {"tools": 5}, "tools is a list"),
    ("CANARY", {"tools": ["CANARY"]}, "A tool is a Tool"),
    ("CANARY", {"tools": [print]}, "A tool is a Tool"),
    ("CANARY", {"tool_choice": 5}, "tool_choice is"),
    ("CANARY", {"tool_choice": {"type": "CANARY"}}, "tool_choice is"),
]


@each(("prompt", "overrides", "expected"), WRONG)
def test_what_cannot_be_right_is_refused_without_repeating_it(
    prompt: Any, overrides: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError, match=expected) as refused:
        read_request.chat(prompt, overrides)
    assert "CANARY" not in str(refused.value)
    assert str(refused.value)[-1] in ".?)"


def test_a_negative_seed_is_a_seed() -> None:
    assert read("Hello", seed=-1, top_logprobs=0).seed == -1


@each("texts", ["a", ["a"], ("a",)])
def test_texts_to_embed_are_one_or_several(texts: Any) -> None:
    asked = read_request.embedding(
        texts, {"model": "openai/x", "dimensions": 8, "purpose": "query", "extra_body": None}
    )
    assert asked == EmbeddingRequest(("a",), "openai/x", 8, "query", {})


@each(
    ("texts", "overrides", "expected"),
    [
        (None, {}, "needs a string, or a list"),
        (5, {}, "needs a string, or a list"),
        ([], {}, "needs a string, or a list"),
        ([5], {}, "needs a string, or a list"),
        (b"CANARY", {}, "needs a string, or a list"),
        (["CANARY", None], {}, "needs a string, or a list"),
        ({"CANARY": 1}, {}, "needs a string, or a list"),
        ("CANARY", {"texts": "CANARY"}, "no field 'texts'"),
        ("CANARY", {"dimension": 1}, "did you mean 'dimensions'"),
        ("CANARY", {"dimensions": 0}, "dimensions must be a whole number, 1 or greater"),
        ("CANARY", {"model": 5}, "model must be a string"),
        ("CANARY", {"purpose": "search"}, 'purpose is "query" or "document"'),
        ("CANARY", {"purpose": ["query"]}, 'purpose is "query" or "document"'),
        ("CANARY", {"extra_body": 5}, "extra_body is a mapping"),
    ],
)
def test_an_embedding_that_cannot_be_right_is_refused(texts: Any, overrides: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected) as refused:
        read_request.embedding(texts, overrides)
    assert "CANARY" not in str(refused.value)


def test_half_an_emoji_in_an_answer_or_a_result_does_not_end_the_conversation() -> None:
    answer = Message("assistant", (TextPart("half \ud83d"), TextPart("whole")), reasoning="\udc80 \ud83d\ude00")
    result = Message.tool("name-\udcff.txt", "c")
    request = read([Message.user("Hi."), answer, result])
    assert [message.content for message in request.messages[1:]] == [
        (TextPart("half \ufffd"), TextPart("whole")),
        "name-\ufffd.txt",
    ]
    assert request.messages[1].reasoning == "\ufffd 😀"
    plain = read([Message.user("Hi."), Message.assistant("é")])
    assert read_request.with_whole_characters(plain) is plain
