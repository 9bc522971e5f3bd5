"""Requests in Ollama's format."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from tests.support.codec_checks import CANARY, target
from tests.support.each import each
from tests.support.format_under_test import CALL, HELLO, PICTURE, PNG, FormatUnderTest, result
from unified_llm._formats.ollama import CODEC
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
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

OLLAMA = FormatUnderTest("ollama")
WEATHER = Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True)


def chat(**fields: Any) -> LLMRequest:
    return replace(HELLO, **fields)


def test_a_plain_question_says_that_it_is_no_stream() -> None:
    assert OLLAMA.body(HELLO) == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
        "truncate": False,
    }
    assert OLLAMA.body(chat(stream=True))["stream"] is True


def test_every_setting_has_its_own_name_there() -> None:
    request = chat(
        temperature=0, max_tokens=9, top_p=0.5, seed=7, stop=("END",), frequency_penalty=0.1, presence_penalty=-1,
        logprobs=True, top_logprobs=3,
    )  # fmt: skip
    body = OLLAMA.body(request)
    assert body["options"] == {
        "num_predict": 9,
        "temperature": 0,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["END"],
        "frequency_penalty": 0.1,
        "presence_penalty": -1,
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    assert OLLAMA.body(chat(top_logprobs=2))["logprobs"] is True
    assert "logprobs" not in OLLAMA.body(chat(logprobs=False))


def test_what_the_target_was_configured_with_fills_what_a_call_leaves_open() -> None:
    where = target("ollama", defaults={"temperature": 0.5, "stop": ("A",), "max_tokens": 3})
    assert OLLAMA.body(chat(max_tokens=5), where)["options"] == {
        "num_predict": 5,
        "temperature": 0.5,
        "stop": ["A"],
    }


def test_options_of_the_user_join_the_others_and_the_call_s_own_win() -> None:
    assert OLLAMA.body(chat(extra_body={"truncate": True}))["truncate"] is True
    where = target("ollama", extra_body={"keep_alive": "1h", "options": {"num_ctx": 8192, "top_k": 5}})
    request = chat(temperature=0, extra_body={"options": {"top_k": 9, "num_gpu": 1}, "truncate": False})
    body = OLLAMA.body(request, where)
    assert body["options"] == {"temperature": 0, "num_ctx": 8192, "top_k": 9, "num_gpu": 1}
    assert (body["keep_alive"], body["truncate"]) == ("1h", False)
    assert OLLAMA.body(HELLO, where)["options"] == {"num_ctx": 8192, "top_k": 5}


def test_effort_is_what_the_server_itself_makes_of_it() -> None:
    expected = {
        "none": False,
        "minimal": "low",
        "low": "low",
        "high": "high",
        "xhigh": "max",
        "max": "max",
        "odd": "odd",
    }
    efforts = {effort: OLLAMA.body(chat(reasoning_effort=effort))["think"] for effort in expected}
    assert efforts == expected
    assert "think" not in OLLAMA.body(HELLO)


def test_a_family_without_thinking_is_sent_no_effort() -> None:
    for model in ("llama2", "llama3.2:1b", "library/gemma3", "qwen2.5-coder", "mistral:7b"):
        assert "think" not in OLLAMA.body(chat(reasoning_effort="low"), target("ollama", model))
    assert OLLAMA.body(chat(reasoning_effort="low"), target("ollama", "qwen3"))["think"] == "low"


def test_json_has_a_form_of_its_own() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert OLLAMA.body(chat(response_format=ResponseFormat()))["format"] == "json"
    assert OLLAMA.body(chat(response_format=ResponseFormat(schema)))["format"] == schema


def test_tools_are_functions_and_to_forbid_them_is_not_to_offer_them() -> None:
    body = OLLAMA.body(chat(tools=(WEATHER, Tool("now")), tool_choice="auto", parallel_tool_calls=False))
    empty = {"type": "object", "properties": {}}
    function = {"name": "weather", "description": "The weather.", "parameters": WEATHER.parameters}
    assert body["tools"] == [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "now", "parameters": empty}},
    ]
    assert not {"tool_choice", "parallel_tool_calls"} & set(body)
    assert "tools" not in OLLAMA.body(chat(tools=(WEATHER,), tool_choice="none"))
    with pytest.raises(ValidationError, match="another provider's built-in tool"):
        OLLAMA.body(chat(tools=(Tool("search", builtin={"type": "web_search"}),)))


def test_images_stand_beside_the_text_as_bare_data() -> None:
    [message] = OLLAMA.messages(PICTURE)
    assert message == {"role": "user", "content": "What is this?", "images": [b64encode(PNG).decode()]}
    for part in (ImagePart(url="https://example.org/cat.png"), AudioPart(b"RIFF")):
        with pytest.raises(ValidationError, match="it takes text, and images as data"):
            OLLAMA.messages(Message("user", (part,)))


def test_calls_go_back_as_objects_and_results_with_the_name_of_their_tool() -> None:
    assert OLLAMA.messages(
        Message.system("Be brief."),
        Message.user("How is it?"),
        Message.assistant("Let me look.", tool_calls=[CALL]),
        result(is_error=True),
        Message.user("Thanks"),
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How is it?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Rome"}}}],
        },
        {"role": "tool", "content": "Error: sunny", "tool_name": "weather", "tool_call_id": "call_1"},
        {"role": "user", "content": "Thanks"},
    ]


def test_a_picture_that_a_tool_returned_follows_its_result() -> None:
    picture = Message("tool", (TextPart("Here:"), ImagePart(data=PNG)), tool_call_id="call_1")
    *_, tool, user = OLLAMA.messages(Message.assistant(tool_calls=[CALL]), picture)
    assert tool["content"].startswith("Here:\n(What this tool returned")
    assert user == {
        "role": "user",
        "content": "Returned by the tool call call_1:",
        "images": [b64encode(PNG).decode()],
    }


def test_a_result_without_a_call_is_a_turn_of_the_user() -> None:
    assert OLLAMA.messages(result("lost", "call_9")) == [{"role": "user", "content": "lost"}]


def test_arguments_that_were_no_json_go_back_empty_and_long_identifiers_are_made_to_fit() -> None:
    broken = ToolCall.parse("i" * 80, "weather", "{city: Rome")
    call, answer = OLLAMA.messages(Message.assistant(tool_calls=[broken]), result(identifier="i" * 80))
    assert call["tool_calls"][0]["function"]["arguments"] == {}
    assert call["tool_calls"][0]["id"] == answer["tool_call_id"] != "i" * 80


def test_reasoning_goes_back_to_its_provider_and_to_no_other() -> None:
    for provider_state, expected in (
        (ProviderState("ollama", "ollama", {"thinking": "Hm."}), "Hm."),
        (ProviderState("ollama", "ollama", ["edited"]), None),
        (ProviderState("anthropic", "anthropic", {"thinking": "Hm."}), None),
    ):
        turn = Message("assistant", "", tool_calls=(CALL,), reasoning="Hm.", provider_state=provider_state)
        assert OLLAMA.messages(turn, result())[0].get("thinking") == expected
    assert (
        "thinking"
        not in OLLAMA.messages(
            Message("assistant", "x", provider_state=ProviderState("ollama", "ollama", {"thinking": "y"}))
        )[0]
    )


def test_a_text_is_continued_without_a_template() -> None:
    wire = CODEC.encode(chat(as_text=True, max_tokens=5), target("ollama"))
    assert wire.url.endswith(":11434/api/generate")
    assert OLLAMA.body(chat(as_text=True, max_tokens=5)) == {
        "model": "some-model",
        "prompt": "Hello",
        "raw": True,
        "stream": False,
        "truncate": False,
        "options": {"num_predict": 5},
    }
    for request in (LLMRequest(()), LLMRequest((PICTURE,)), replace(HELLO, tools=(WEATHER,))):
        with pytest.raises(ValidationError, match="as_text"):
            OLLAMA.body(replace(request, as_text=True))


def test_vectors_are_asked_for_in_one_request() -> None:
    request = EmbeddingRequest(("a", "b"), dimensions=64)
    assert OLLAMA.body(request) == {"model": "some-model", "input": ["a", "b"], "dimensions": 64, "truncate": False}
    assert "dimensions" not in OLLAMA.body(EmbeddingRequest(("a",)))


@each("base_url", ["http://box:1", "http://box:1/v1", "http://box:1/api", "http://box:1/api/v1"])
def test_either_of_its_addresses_will_do(base_url: str) -> None:
    where = target("ollama", base_url=base_url)
    sent = [
        CODEC.encode(request, where) for request in (HELLO, EmbeddingRequest(("a",)), ModelsRequest(), ModelRequest())
    ]
    assert [(wire.method, wire.url.removeprefix("http://box:1/api/")) for wire in sent] == [
        ("POST", "chat"),
        ("POST", "embed"),
        ("GET", "tags"),
        ("POST", "show"),
    ]
    assert dict(sent[0].headers)["accept"] == "application/json"
    assert all(dict(wire.headers)["authorization"] == f"Bearer {CANARY}" for wire in sent)
    assert sent[3].body == b'{"model":"some-model"}'


def test_what_it_does_not_have_is_refused() -> None:
    for request in (CountRequest(HELLO), RerankRequest("q", ("d",))):
        with pytest.raises(UnsupportedOperationError, match="has no such request"):
            CODEC.encode(request, target("ollama"))


def test_a_value_without_a_json_form_is_named_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match=r"options.temperature cannot be sent"):
        OLLAMA.body(chat(temperature=float("nan")))


def test_local_1_a_declared_window_is_the_same_number_in_every_request() -> None:
    """Local 1: the server loads a model again when its window changes, and uses 4,096 tokens where none is chosen."""
    declared = target("ollama", context_window=32_768, window_declared=True)
    for request in (HELLO, chat(as_text=True), chat(stream=True, temperature=0), EmbeddingRequest(("a",))):
        body = OLLAMA.body(request, declared)
        assert (body["options"]["num_ctx"], body["truncate"]) == (32_768, False)
    assert "options" not in OLLAMA.body(HELLO, target("ollama", context_window=32_768)), "known, and not declared"
    asked = chat(extra_body={"num_ctx": 8_192})
    assert OLLAMA.body(asked, declared)["options"]["num_ctx"] == 8_192, "the user's own number"


def test_local_14_options_are_inside_options_wherever_they_were_written() -> None:
    """Local 1 and 14: beside ``model`` the server ignores them."""
    values = {"num_ctx": 8_192, "mirostat": 2, "repeat_penalty": 1.1, "min_p": 0.1, "num_keep": 4, "use_mmap": False}
    for body in (
        OLLAMA.body(HELLO, target("ollama", extra_body={**values, "keep_alive": "1h"})),
        OLLAMA.body(chat(extra_body={**values, "keep_alive": "1h"})),
    ):
        assert (body["options"], body["keep_alive"]) == (values, "1h")
        assert not values.keys() & body.keys()
    both = OLLAMA.body(chat(temperature=0.5, extra_body={"top_k": 1, "seed": 2, "options": {"top_k": 3}}))
    assert both["options"] == {"temperature": 0.5, "top_k": 3, "seed": 2}
    embedded = OLLAMA.body(EmbeddingRequest(("a",), extra_body={"num_ctx": 512}))
    assert embedded["options"] == {"num_ctx": 512}


def test_loaded_models_are_listed_at_an_address_of_their_own() -> None:
    wire = CODEC.encode(ModelsRequest(loaded=True), target("ollama", base_url="http://box:1/v1"))
    assert (wire.method, wire.url) == ("GET", "http://box:1/api/ps")
