"""Requests in Cohere's format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.codec_checks import CANARY, target
from tests.support.each import each
from tests.support.format_under_test import CALL, HELLO, PICTURE, PNG, FormatUnderTest, result
from unified_llm._formats.cohere import CODEC
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
    CachePoint,
    CountRequest,
    EmbeddingRequest,
    ImagePart,
    LLMRequest,
    Message,
    ModelRequest,
    ModelsRequest,
    ProviderState,
    RerankRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)
from unified_llm.types.content import data_url

COHERE = FormatUnderTest("cohere")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER, CLOCK = Tool("weather", "The weather.", PARAMETERS), Tool("clock")
WRITTEN_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
}


def chat(**fields: Any) -> LLMRequest:
    return replace(HELLO, **fields)


def test_a_plain_question() -> None:
    assert COHERE.body(HELLO) == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
    }
    wire = CODEC.encode(chat(stream=True), target("cohere"))
    assert (wire.method, wire.url) == ("POST", "https://api.cohere.com/v2/chat")
    assert b'"stream":true' in wire.body
    assert dict(wire.headers)["accept"] == "text/event-stream"
    assert dict(wire.headers)["authorization"] == f"Bearer {CANARY}"


def test_every_setting_has_its_own_name_there() -> None:
    request = chat(
        temperature=0, max_tokens=9, top_p=0.5, seed=7, stop=("END",), frequency_penalty=0.1, presence_penalty=0,
        logprobs=True, parallel_tool_calls=False,
    )  # fmt: skip
    body = COHERE.body(request)
    assert {name: value for name, value in body.items() if name not in {"model", "messages", "stream"}} == {
        "max_tokens": 9,
        "temperature": 0,
        "p": 0.5,
        "seed": 7,
        "stop_sequences": ["END"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0,
        "logprobs": True,
    }
    assert COHERE.body(HELLO, target("cohere", defaults={"top_p": 0.9, "stop": ("A",)}))["stop_sequences"] == ["A"]


def test_alternatives_of_tokens_are_left_out_but_not_the_tokens() -> None:
    body = COHERE.body(chat(top_logprobs=3))
    assert body["logprobs"] is True
    assert "top_logprobs" not in body


def test_reasoning_is_on_or_off_for_models_that_reason() -> None:
    reasoner, other = target("cohere", "command-a-reasoning-08-2025"), target("cohere", "command-a-03-2025")
    assert COHERE.body(chat(reasoning_effort="none"), reasoner)["thinking"] == {"type": "disabled"}
    assert COHERE.body(chat(reasoning_effort="low"), reasoner)["thinking"] == {"type": "enabled"}
    assert "thinking" not in COHERE.body(chat(reasoning_effort="low"), other)
    budget = {"thinking": {"type": "enabled", "token_budget": 500}}
    assert COHERE.body(chat(reasoning_effort="low", extra_body=budget), reasoner)["thinking"] == budget["thinking"]


def test_further_fields_go_as_they_are() -> None:
    where = target("cohere", extra_body={"safety_mode": "STRICT", "k": 1})
    body = COHERE.body(chat(extra_body={"documents": ["a text"], "k": 2}), where)
    assert (body["safety_mode"], body["k"], body["documents"]) == ("STRICT", 2, ["a text"])


def test_tools_and_the_words_for_choosing() -> None:
    function = {"name": "weather", "description": "The weather.", "parameters": PARAMETERS}
    clock = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
    both = [{"type": "function", "function": function}, clock]
    for choice, tools, word in (
        (None, both, None),
        ("auto", both, None),
        ("none", both, "NONE"),
        ("required", both, "REQUIRED"),
        ("clock", [clock], "REQUIRED"),
        ("no_such", both, "REQUIRED"),
    ):
        body = COHERE.body(chat(tools=(WEATHER, CLOCK), tool_choice=choice))
        assert (body["tools"], body.get("tool_choice")) == (tools, word)
        assert "strict_tools" not in body
    assert not {"tools", "tool_choice"} & set(COHERE.body(chat(tool_choice="required")))


def test_a_model_that_cannot_be_forbidden_to_call_is_offered_nothing() -> None:
    older = target("cohere", "command-r-08-2024")
    assert not {"tools", "tool_choice"} & set(COHERE.body(chat(tools=(WEATHER,), tool_choice="none"), older))
    assert "tools" in COHERE.body(chat(tools=(WEATHER,)), older)


def test_tools_are_strict_all_together_or_not_at_all() -> None:
    for tools, strict in (
        ((replace(WEATHER, strict=True), CLOCK), True),
        ((replace(WEATHER, strict=True), replace(CLOCK, strict=False)), None),
        ((replace(WEATHER, strict=False),), None),
    ):
        body = COHERE.body(chat(tools=tools))
        assert body.get("strict_tools") is strict
        assert all("strict" not in tool["function"] for tool in body["tools"]), "a field that it does not know"
    with pytest.raises(ValidationError, match="another provider's built-in tool"):
        COHERE.body(chat(tools=(Tool("search", builtin={"type": "web_search"}),)))


def test_json_with_and_without_a_schema() -> None:
    assert COHERE.body(chat(response_format=ResponseFormat()))["response_format"] == {"type": "json_object"}
    body = COHERE.body(chat(response_format=ResponseFormat(PARAMETERS, strict=True)))
    assert body["response_format"] == {"type": "json_object", "json_schema": PARAMETERS}


def test_instructions_come_first_and_together() -> None:
    assert COHERE.messages(Message.user("Hi"), Message.system("Be brief."), Message.system("Be kind.")) == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "Hi"},
    ]


def test_instructions_are_text() -> None:
    with pytest.raises(ValidationError, match=r"messages\[1\] holds more than text"):
        COHERE.messages(Message.user("Hi"), replace(PICTURE, role="system"))


def test_images_go_by_address_or_as_data() -> None:
    by_address = Message("user", (CachePoint(), ImagePart(url="https://example.org/cat.png")))
    assert COHERE.messages(PICTURE, by_address) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": data_url(PNG, "image/png"), "detail": "low"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}],
        },
    ]
    with pytest.raises(ValidationError, match="it takes text and images"):
        COHERE.messages(Message("user", (AudioPart(b"RIFF"),)))


def test_parts_that_are_all_text_are_one_text() -> None:
    assert COHERE.messages(Message("user", (TextPart("a"), CachePoint(), TextPart("b")))) == [
        {"role": "user", "content": "a\nb"}
    ]


def test_a_turn_that_calls_has_a_plan_in_place_of_text() -> None:
    calling = Message.assistant("Let me look.", tool_calls=[CALL])
    assert COHERE.messages(Message.user("How is it?"), calling, result(is_error=True), Message.assistant("Sunny.")) == [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "tool_plan": "Let me look.", "tool_calls": [WRITTEN_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Error: sunny"},
        {"role": "assistant", "content": "Sunny."},
    ]


def test_no_turn_is_empty_and_every_call_is_answered_once() -> None:
    written = COHERE.messages(
        Message.user(""),
        Message.assistant(""),
        Message.assistant(tool_calls=[CALL, replace(CALL, id="call_2")]),
        Message.user("And?"),
        result("", "call_2"),
        result("lost", "call_9"),
    )
    assert written == [
        {"role": "assistant", "tool_calls": [WRITTEN_CALL, {**WRITTEN_CALL, "id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Error: This call was not answered."},
        {"role": "tool", "tool_call_id": "call_2", "content": "(no output)"},
        {"role": "user", "content": "And?"},
        {"role": "user", "content": "lost"},
    ]


def test_a_picture_that_a_tool_returned_follows_its_result() -> None:
    picture = Message("tool", (TextPart("Here:"), ImagePart(data=PNG)), tool_call_id="call_1")
    *_, tool, user = COHERE.messages(Message.assistant(tool_calls=[CALL]), picture)
    assert tool["content"].startswith("Here:\n(What this tool returned")
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]


def test_its_reasoning_goes_back_to_it_and_to_no_other_provider() -> None:
    own = ProviderState("cohere", "cohere", {"thinking": "Hm.", "tool_plan": "I will look."})
    for provider_state, expected in (
        (own, {"tool_plan": "I will look.", "content": [{"type": "thinking", "thinking": "Hm."}]}),
        (replace(own, provider="openai"), {}),
        (replace(own, data="edited"), {}),
        (None, {}),
    ):
        turn = Message("assistant", "", tool_calls=(CALL,), reasoning="Hm.", provider_state=provider_state)
        assert COHERE.messages(turn, result())[0] == {
            "role": "assistant",
            "tool_calls": [WRITTEN_CALL],
            **expected,
        }


def test_identifiers_are_made_to_fit_the_same_for_a_call_and_its_result() -> None:
    call, answer = COHERE.messages(
        Message.assistant(tool_calls=[replace(CALL, id="i" * 80)]), result(identifier="i" * 80)
    )
    assert call["tool_calls"][0]["id"] == answer["tool_call_id"] != "i" * 80


def test_arguments_without_a_json_form_are_named() -> None:
    with pytest.raises(ValidationError, match=r"tool_calls\[0\].arguments cannot be sent"):
        COHERE.messages(Message.assistant(tool_calls=[ToolCall("1", "f", {"a": {1}})]))
    with pytest.raises(ValidationError, match="temperature cannot be sent"):
        COHERE.body(chat(temperature=float("nan")))


def test_vectors_are_asked_for_by_their_purpose() -> None:
    request = EmbeddingRequest(("a", "b"), purpose="query", dimensions=256)
    assert COHERE.body(request) == {
        "model": "some-model",
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert COHERE.body(EmbeddingRequest(("a",), purpose="document"))["input_type"] == "search_document"
    other = EmbeddingRequest(("a",), extra_body={"input_type": "clustering", "truncate": "END"})
    body = COHERE.body(other)
    assert (body["input_type"], body["truncate"], "output_dimension" in body) == ("clustering", "END", False)


def test_a_ranking_is_asked_for() -> None:
    assert COHERE.body(RerankRequest("q", ("a", "b"), extra_body={"max_tokens_per_doc": 9})) == {
        "model": "some-model",
        "query": "q",
        "documents": ["a", "b"],
        "max_tokens_per_doc": 9,
    }
    assert COHERE.body(RerankRequest("q", ("a",), top_n=1))["top_n"] == 1


@each("path", ["", "/v1", "/v2", "/compatibility/v1"])
def test_any_of_its_addresses_will_do(path: str) -> None:
    where = target("cohere", "org/model", base_url=f"https://api.cohere.ai{path}")
    requests = (HELLO, EmbeddingRequest(("a",)), RerankRequest("q", ("a",)), ModelsRequest("a&b"), ModelRequest())
    sent = [CODEC.encode(request, where) for request in requests]
    assert [(wire.method, wire.url.removeprefix("https://api.cohere.ai")) for wire in sent] == [
        ("POST", "/v2/chat"),
        ("POST", "/v2/embed"),
        ("POST", "/v2/rerank"),
        ("GET", "/v1/models?page_size=1000&page_token=a%26b"),
        ("GET", "/v1/models/org%2Fmodel"),
    ]
    assert CODEC.encode(ModelsRequest(), where).url.endswith("/v1/models?page_size=1000")


def test_tokens_of_a_conversation_cannot_be_counted() -> None:
    with pytest.raises(UnsupportedOperationError, match="has no such request"):
        CODEC.encode(CountRequest(HELLO), target("cohere"))
