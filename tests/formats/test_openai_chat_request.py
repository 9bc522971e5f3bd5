"""Requests in OpenAI's format."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import pytest

from tests.support.codec_checks import CANARY, body_of, plain_target, target
from tests.support.each import each
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Failure
from unified_llm._formats.openai_chat import CODEC
from unified_llm._providers import registry
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    Message,
    ModelRequest,
    ModelsRequest,
    ResponseFormat,
    Tool,
    ToolCall,
)

HELLO = (Message.user("Hello"),)
WEATHER = Tool("weather", "The weather in a city", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock")


def test_fields_that_the_call_leaves_open_are_not_sent() -> None:
    assert body_of(LLMRequest(HELLO)) == {"model": "some-model", "messages": [{"role": "user", "content": "Hello"}]}


def test_every_field_of_a_request_has_its_place() -> None:
    request = LLMRequest(
        HELLO, temperature=0.0, max_tokens=5, top_p=0.5, stop=("a", "b"), seed=0, frequency_penalty=-1.0,
        presence_penalty=1.0, reasoning_effort="low", logprobs=False,
    )  # fmt: skip
    body = body_of(request)
    del body["messages"], body["model"]
    assert body == {
        "temperature": 0.0, "max_tokens": 5, "top_p": 0.5, "stop": ["a", "b"], "seed": 0, "frequency_penalty": -1.0,
        "presence_penalty": 1.0, "reasoning_effort": "low", "logprobs": False,
    }  # fmt: skip


def test_top_logprobs_ask_for_logprobs_too() -> None:
    body = body_of(LLMRequest(HELLO, top_logprobs=3))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)


def test_together_gets_the_number_of_alternatives() -> None:
    asked: tuple[dict[str, Any], ...] = ({"top_logprobs": 3}, {"logprobs": True}, {"logprobs": False}, {})
    sent = [body_of(LLMRequest(HELLO, **fields), target("together")).get("logprobs") for fields in asked]
    assert sent == [3, 1, False, None]


def test_several_answers_are_asked_for_unless_they_would_be_streamed() -> None:
    assert body_of(LLMRequest(HELLO, n=3))["n"] == 3
    assert "n" not in body_of(LLMRequest(HELLO, n=1))
    assert "n" not in body_of(LLMRequest(HELLO, n=3, stream=True))


def test_a_stream_asks_for_its_usage_and_for_events() -> None:
    wire = CODEC.encode(LLMRequest(HELLO, stream=True), plain_target())
    body = json.loads(wire.body)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert dict(wire.headers)["accept"] == "text/event-stream"


def test_defaults_of_the_target_hold_unless_the_call_says_otherwise() -> None:
    where = target("vllm", defaults={"temperature": 0.7, "max_tokens": 100, "stop": ("x",)})
    body = body_of(LLMRequest(HELLO, temperature=0.0), where)
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.0, 100, ["x"])


def test_the_call_s_extra_body_wins_over_the_target_s_and_both_over_everything_else() -> None:
    where = target("vllm", extra_body={"top_k": 1, "min_p": 0.1})
    body = body_of(LLMRequest(HELLO, temperature=1.0, extra_body={"top_k": 2, "temperature": 0.2}), where)
    assert (body["top_k"], body["min_p"], body["temperature"]) == (2, 0.1, 0.2)


def test_headers_of_the_user_are_sent_once_and_win() -> None:
    where = target("vllm", headers={"X-Team": "search", "Accept": "application/x-ndjson"})
    headers = CODEC.encode(LLMRequest(HELLO), where).headers
    assert ("x-team", "search") in headers
    assert [value for name, value in headers if name == "accept"] == ["application/x-ndjson"]


def test_a_target_without_a_key_gets_none() -> None:
    assert "authorization" not in dict(CODEC.encode(LLMRequest(HELLO), plain_target()).headers)


def test_azure_gets_its_key_in_its_own_header() -> None:
    headers = dict(CODEC.encode(LLMRequest(HELLO), target("azure", key=Secret(CANARY, "test"))).headers)
    assert headers["api-key"] == CANARY
    assert "authorization" not in headers


def test_a_dropped_field_is_warned_of_once_by_name_and_not_by_value(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "unified_llm"):
        for _ in range(2):
            body = body_of(LLMRequest(HELLO, seed=987654321), plain_target(drop=frozenset({"seed"})))
            assert "seed" not in body
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.DEBUG]
    assert "seed" in caplog.text
    assert "somewhere/some-model" in caplog.text
    assert "987654321" not in caplog.text


class TestReasoningModels:
    @each("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.2-chat-latest"])
    def test_sampling_fields_are_left_out(self, model: Any) -> None:
        request = LLMRequest(HELLO, temperature=0.2, top_p=0.5, presence_penalty=1, logprobs=True, max_tokens=7)
        assert set(body_of(request, target("openai", model))) == {"model", "messages", "max_completion_tokens"}

    def test_models_that_can_switch_reasoning_off_keep_them(self) -> None:
        body = body_of(LLMRequest(HELLO, temperature=0.2, reasoning_effort="none"), target("openai", "gpt-5.2"))
        assert (body["temperature"], body["reasoning_effort"]) == (0.2, "none")

    @each(
        ("model", "effort", "kept"),
        [
            ("gpt-5.1", None, True),
            ("gpt-5.2", "low", False),
            ("gpt-5.4-mini", "none", True),
            ("gpt-5.5", None, False),
            ("gpt-5.6", "none", True),
            ("gpt-6-sol", "high", False),
        ],
    )
    def test_sampling_goes_with_an_effort_of_none_alone(self, model: str, effort: Any, kept: Any) -> None:
        request = LLMRequest(HELLO, temperature=0.2, top_p=0.5, logprobs=True, reasoning_effort=effort)
        assert set(body_of(request, target("openai", model))) >= {"temperature", "top_p", "logprobs"} or not kept
        assert ("temperature" in body_of(request, target("openai", model))) == kept

    @each(
        ("provider", "effort", "sent"),
        [
            ("deepseek", "none", {"thinking": {"type": "disabled"}}),
            ("deepseek", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
            ("zai", "none", {"thinking": {"type": "disabled"}}),
            ("zai", "high", {"thinking": {"type": "enabled"}}),
            ("openrouter", "max", {"reasoning_effort": "xhigh"}),
            ("openrouter", "low", {"reasoning_effort": "low"}),
            ("deepseek", None, {}),
        ],
    )
    def test_the_effort_is_asked_for_in_the_provider_s_own_way(self, provider: str, effort: Any, sent: Any) -> None:
        body = body_of(LLMRequest(HELLO, reasoning_effort=effort), target(provider))
        assert {name: body[name] for name in ("thinking", "reasoning_effort") if name in body} == sent

    def test_what_a_provider_wants_in_every_request_yields_to_the_user(self) -> None:
        assert body_of(LLMRequest(HELLO), target("minimax"))["reasoning_split"] is True
        request = LLMRequest(HELLO, extra_body={"reasoning_split": False})
        assert body_of(request, target("minimax"))["reasoning_split"] is False

    def test_models_that_do_not_reason_get_no_effort(self) -> None:
        body = body_of(LLMRequest(HELLO, reasoning_effort="low", temperature=0.2), target("azure", "gpt-4o-mini"))
        assert "reasoning_effort" not in body
        assert body["temperature"] == 0.2


class TestTools:
    def test_functions_and_the_provider_s_own_tools_are_sent(self) -> None:
        search = Tool("search", builtin={"type": "web_search", "max_uses": 1})
        strict = Tool("strict", parameters={"type": "object"}, strict=True)
        body = body_of(LLMRequest(HELLO, tools=(WEATHER, CLOCK, strict, search)))
        assert body["tools"] == [
            {
                "type": "function",
                "function": {"name": "weather", "description": WEATHER.description, "parameters": WEATHER.parameters},
            },
            {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
            {
                "type": "function",
                "function": {"name": "strict", "parameters": {"type": "object", "properties": {}}, "strict": True},
            },
            {"type": "web_search", "max_uses": 1},
        ]

    @each("choice", ["auto", "none", "required"])
    def test_choices_by_word_are_sent_as_they_are(self, choice: str) -> None:
        assert body_of(LLMRequest(HELLO, tools=(WEATHER,), tool_choice=choice))["tool_choice"] == choice

    @pytest.mark.parametrize("builtin", [{"google_search": {}}, {"type": "web_search_20250305", "name": "web_search"}])
    def test_tools_of_other_formats_are_refused(self, builtin: Any) -> None:
        with pytest.raises(ValidationError, match="another provider"):
            body_of(LLMRequest(HELLO, tools=(Tool("search", builtin=builtin),)))

    def test_one_tool_can_be_named(self) -> None:
        body = body_of(LLMRequest(HELLO, tools=(WEATHER, CLOCK), tool_choice="clock"))
        assert body["tool_choice"] == {"type": "function", "function": {"name": "clock"}}
        assert len(body["tools"]) == 2

    def test_a_tool_of_the_provider_can_be_named(self) -> None:
        search = Tool("search", builtin={"type": "web_search"})
        assert body_of(LLMRequest(HELLO, tools=(search,), tool_choice="search"))["tool_choice"] == {
            "type": "web_search"
        }

    @each("provider", ["lmstudio", "cerebras", "llamacpp"])
    def test_where_no_tool_can_be_named_it_is_offered_alone_and_required(self, provider: str) -> None:
        body = body_of(LLMRequest(HELLO, tools=(WEATHER, CLOCK), tool_choice="clock"), target(provider))
        assert body["tool_choice"] == "required"
        assert [tool["function"]["name"] for tool in body["tools"]] == ["clock"]

    def test_a_tool_that_is_not_offered_cannot_be_the_only_one(self) -> None:
        body = body_of(LLMRequest(HELLO, tools=(WEATHER,), tool_choice="no_such"), target("lmstudio"))
        assert [tool["function"]["name"] for tool in body["tools"]] == ["weather"]

    def test_without_tools_nothing_about_tools_is_sent(self) -> None:
        request = LLMRequest(HELLO, tools=(), tool_choice="required", parallel_tool_calls=False)
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body_of(request))

    def test_parallel_calls_can_be_forbidden_by_the_call_or_by_default(self) -> None:
        assert body_of(LLMRequest(HELLO, tools=(WEATHER,), parallel_tool_calls=False))["parallel_tool_calls"] is False
        where = target("vllm", defaults={"parallel_tool_calls": True})
        assert body_of(LLMRequest(HELLO, tools=(WEATHER,)), where)["parallel_tool_calls"] is True


class TestResponseFormat:
    def test_any_json(self) -> None:
        body = body_of(LLMRequest(HELLO, response_format=ResponseFormat()))
        assert body["response_format"] == {"type": "json_object"}

    def test_json_by_a_schema(self) -> None:
        body = body_of(LLMRequest(HELLO, response_format=ResponseFormat({"type": "object"}, "My answer!")))
        assert body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "My_answer_", "schema": {"type": "object"}},
        }

    def test_strictness_is_sent_only_if_it_was_decided(self) -> None:
        asked = LLMRequest(HELLO, response_format=ResponseFormat({"type": "object"}, "", strict=False))
        assert body_of(asked)["response_format"]["json_schema"] == {
            "name": "answer",
            "schema": {"type": "object"},
            "strict": False,
        }


class TestEmbeddings:
    def test_vectors_are_asked_for_in_base64_where_that_is_known_to_work(self) -> None:
        body = body_of(EmbeddingRequest(("a", "b"), dimensions=64, extra_body={"user": "u"}), target("openai", "emb"))
        assert body == {
            "model": "emb", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 64, "user": "u",
        }  # fmt: skip

    def test_elsewhere_the_provider_s_own_form_is_taken(self) -> None:
        assert body_of(EmbeddingRequest(("a",)), target("openai-compatible")) == {"model": "some-model", "input": ["a"]}

    def test_dimensions_can_come_from_the_target(self) -> None:
        assert body_of(EmbeddingRequest(("a",)), target("vllm", defaults={"dimensions": 8}))["dimensions"] == 8

    def test_they_have_a_path_of_their_own(self) -> None:
        wire = CODEC.encode(EmbeddingRequest(("a",)), plain_target())
        assert (wire.method, wire.url) == ("POST", "https://example.test/v1/embeddings")


class TestModels:
    def test_the_list_is_got(self) -> None:
        wire = CODEC.encode(ModelsRequest(), plain_target())
        assert (wire.method, wire.url, wire.body) == ("GET", "https://example.test/v1/models", b"")

    def test_the_next_page_is_named_by_its_cursor(self) -> None:
        assert CODEC.encode(ModelsRequest("a/b?c"), plain_target()).url.endswith("/models?after=a%2Fb%3Fc")
        paged = plain_target(models_path="/models?limit=1000")
        assert CODEC.encode(ModelsRequest("x"), paged).url.endswith("/models?limit=1000&after=x")

    def test_one_model_is_asked_for_by_name_or_looked_up_in_the_list(self) -> None:
        urls = {
            provider: CODEC.encode(ModelRequest(), target(provider, model)).url
            for provider, model in [("groq", "openai/gpt-oss-120b"), ("openai", "ft:gpt 5"), ("openrouter", "a/b")]
        }
        assert urls == {
            "groq": "https://api.groq.com/openai/v1/models/openai/gpt-oss-120b",
            "openai": "https://api.openai.com/v1/models/ft%3Agpt%205",
            "openrouter": "https://openrouter.ai/api/v1/models",
        }

    def test_questions_that_the_format_has_not_are_refused(self) -> None:
        request = CountRequest(LLMRequest(HELLO))
        with pytest.raises(UnsupportedOperationError):
            CODEC.encode(request, plain_target())
        assert CODEC.decode(request, plain_target(), {}) == Failure("malformed")

    def test_openrouter_gets_a_name_of_the_client_unless_the_user_names_the_application(self) -> None:
        def sent(**headers: str) -> dict[str, str]:
            own = {name.replace("_", "-"): value for name, value in headers.items()}
            where = target("openrouter", headers=own, quirks=registry.row("openrouter").quirks)
            written = dict(CODEC.encode(LLMRequest(HELLO), where).headers)
            return {name: value for name, value in written.items() if "title" in name or "referer" in name}

        assert sent() == sent(x_other="1") == {"x-openrouter-title": "unified-llm"}
        assert sent(x_openrouter_title="Mine") == {"x-openrouter-title": "Mine"}
        assert sent(X_TITLE="Mine") == {"x-title": "Mine"}
        assert sent(http_referer="https://mine.example") == {"http-referer": "https://mine.example"}

    def test_who_has_no_list_is_not_asked(self) -> None:
        with pytest.raises(UnsupportedOperationError, match="perplexity has no list of models"):
            CODEC.encode(ModelsRequest(), target("perplexity"))


def looped() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@each(
    ("any_request", "path"),
    [
        (LLMRequest((Message.user("x"), Message.user("lone \ud800 surrogate"))), r"messages\[1\]\.content"),
        (LLMRequest(HELLO, temperature=math.nan), "temperature"),
        (LLMRequest(HELLO, extra_body={"a": {"b": [1, {2, 3}]}}), r"a\.b\[1\]"),
        (LLMRequest(HELLO, extra_body={"when": b"bytes"}), "when"),
        (LLMRequest(HELLO, extra_body={"loop": looped()}), "loop"),
        (LLMRequest(HELLO, extra_body={"key": {("a", "b"): 1}}), "key"),
        (LLMRequest(HELLO, tools=(Tool("t", parameters={"default": math.inf}),)), r"parameters\.default"),
        (
            LLMRequest((Message.assistant(tool_calls=[ToolCall("1", "t", {"x": math.nan})]),)),
            r"messages\[0\].tool_calls\[0\]",
        ),
        (EmbeddingRequest(("fine", "\udfff")), r"input\[1\]"),
    ],
)
def test_what_cannot_be_written_is_refused_by_naming_the_field_and_not_the_value(any_request: Any, path: str) -> None:
    with pytest.raises(ValidationError, match=path) as caught:
        CODEC.encode(any_request, plain_target())
    assert "surrogate surrogate" not in str(caught.value)
    assert "bytes" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_large_and_strange_texts_arrive_as_they_are() -> None:
    text = "NUL \x00, line \u2028, emoji 🙂, " + "x" * 1_000_000
    assert body_of(LLMRequest((Message.user(text),)))["messages"][0]["content"] == text
