"""Requests in Anthropic's format: settings, tools, schemas, thinking, cache points, URLs."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from tests.support.codec_checks import CANARY, target
from tests.support.each import each
from unified_llm._core.target import Target
from unified_llm._formats.anthropic import CODEC
from unified_llm._formats.anthropic.request import strict_schema
from unified_llm._providers import registry
from unified_llm._structured.attempts import StructuredAttempt
from unified_llm._structured.json_output import StructuredOutput
from unified_llm.exceptions import ConfigurationError, UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
    CachePoint,
    CountRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    LLMRequest,
    Message,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "The weather.", CITY)
TIME = Tool("time")
HELLO = LLMRequest((Message.user("Hello"),))
MAX = 64_000


def claude(model: str = "claude-sonnet-4-5", **fields: Any) -> Target:
    where = target("anthropic", model, **fields)
    return replace(where, max_output=registry.model_profile(registry.row("anthropic"), model).max_output)


def server(provider: str = "llamacpp") -> Target:
    """Return a local server as a target of this format."""
    row = registry.row(provider)
    profile = registry.model_profile(row, "m", "messages")
    return Target(provider, "m", profile.format, row.base_url, features=profile.features, quirks=profile.quirks)


def body(request: Any = HELLO, where: Target | None = None, **fields: Any) -> dict[str, Any]:
    """Return the JSON body that is sent."""
    request = replace(request, **fields) if fields else request
    written: dict[str, Any] = json.loads(CODEC.encode(request, where or claude()).body)
    return written


def extra(request: Any = HELLO, where: Target | None = None, **fields: Any) -> dict[str, Any]:
    """Return the fields of the body that the plainest request does not have."""
    plain = {"model", "max_tokens", "messages"}
    return {name: value for name, value in body(request, where, **fields).items() if name not in plain}


def test_the_plainest_request_says_how_long_the_answer_may_be() -> None:
    wire = CODEC.encode(HELLO, claude())
    assert (wire.method, wire.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert json.loads(wire.body) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": MAX,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert body(max_tokens=9)["max_tokens"] == 9
    assert body(where=claude(defaults={"max_tokens": 8}))["max_tokens"] == 8
    assert body(where=server())["max_tokens"] == 4096


def test_a_key_has_a_header_of_its_own_and_the_version_is_named() -> None:
    headers = dict(CODEC.encode(HELLO, claude()).headers)
    assert headers["x-api-key"] == CANARY
    assert headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert CANARY not in repr(CODEC.encode(HELLO, claude()))


def test_settings_go_under_this_format_s_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "unified_llm")
    request = replace(
        HELLO, temperature=0.5, top_p=0.9, stop=("END", " \n"), seed=1, frequency_penalty=0, presence_penalty=0,
        logprobs=True, top_logprobs=2, stream=True, extra_body={"top_k": 5},
    )  # fmt: skip
    assert extra(request) == {"temperature": 0.5, "stop_sequences": ["END"], "stream": True, "top_k": 5}
    assert "top_p is not sent to anthropic/claude-sonnet-4-5, which accepts either top_p or temperature" in caplog.text
    assert extra(top_p=0.9) == {"top_p": 0.9}
    assert extra(request, claude("claude-sonnet-4-0")).keys() >= {"temperature", "top_p"}
    assert dict(CODEC.encode(request, claude()).headers)["accept"] == "text/event-stream"
    for name in ("seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"):
        assert f"{name} is not sent to anthropic/claude-sonnet-4-5" in caplog.text
    assert extra(request, claude("claude-opus-4-8")) == {"stop_sequences": ["END"], "stream": True, "top_k": 5}
    assert "temperature is not sent to anthropic/claude-opus-4-8" in caplog.text
    assert extra(stop=("\n",)) == {}
    assert extra(where=claude(extra_body={"metadata": {"user_id": "u"}})) == {"metadata": {"user_id": "u"}}


def test_tools_are_written_with_the_choice_among_them() -> None:
    request = replace(HELLO, tools=(WEATHER, TIME))
    written = [
        {"name": "weather", "description": "The weather.", "input_schema": CITY},
        {"name": "time", "input_schema": {"type": "object", "properties": {}}},
    ]
    choices: list[tuple[str | None, bool | None, dict[str, Any] | None]] = [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("time", None, {"type": "tool", "name": "time"}),
        ("time", False, {"type": "tool", "name": "time", "disable_parallel_tool_use": True}),
    ]
    for choice, parallel, expected in choices:
        fields = extra(request, tool_choice=choice, parallel_tool_calls=parallel)
        assert fields == {"tools": written} | ({"tool_choice": expected} if expected else {})


def test_a_server_without_named_tool_choice_is_offered_one_tool() -> None:
    request = replace(HELLO, tools=(WEATHER, TIME))
    named = extra(request, server(), tool_choice="time")
    assert ([tool["name"] for tool in named["tools"]], named["tool_choice"]) == (["time"], {"type": "any"})
    assert extra(request, server(), tool_choice="none") == {}


def test_a_schema_is_enforced_for_tools_only_where_it_can_be() -> None:
    strict = replace(WEATHER, strict=True)
    closed = {**CITY, "additionalProperties": False}
    assert extra(tools=(strict,))["tools"] == [
        {"name": "weather", "description": "The weather.", "input_schema": closed, "strict": True}
    ]
    assert extra(where=server("vllm"), tools=(strict,))["tools"][0]["input_schema"] == CITY
    for where, tool in (
        (claude("claude-sonnet-4-0"), strict),
        (claude(), replace(WEATHER, strict=False)),
        (claude(), Tool("weather", "The weather.", {**CITY, "additionalProperties": True}, strict=True)),
    ):
        assert "strict" not in extra(where=where, tools=(tool,))["tools"][0]


def test_anthropic_s_built_in_tools_are_passed_through_and_others_refused() -> None:
    for own in (
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        {"type": "browser_toolset_20260801"},
        {"type": "tool_search_tool_regex", "name": "tool_search_tool_regex"},
        {"name": "mine", "input_schema": CITY, "cache_control": {"type": "ephemeral"}},
    ):
        assert extra(tools=(Tool.from_dict(own),))["tools"] == [own]
    others: tuple[dict[str, Any], ...] = (
        {"type": "web_search"},
        {"type": "web_search_preview_2025_03_11"},
        {"google_search": {}},
    )
    for builtin in others:
        with pytest.raises(ValidationError, match=r"tools\[0\] is another provider's built-in tool"):
            body(tools=(Tool.from_dict(builtin),))


def test_json_of_a_schema_is_asked_for_in_the_dialect_of_the_api() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "How many"},
            "format": {"type": "string", "format": "date", "pattern": "x"},
            "mail": {"type": "string", "format": "phone"},
            "many": {"type": "array", "items": {"$ref": "#/$defs/one"}, "minItems": 1, "maxItems": 3},
            "either": {"oneOf": [{"type": "null"}, {"const": 1}]},
        },
        "$defs": {"one": {"type": "object", "properties": {"a": {"enum": ["x"]}}, "additionalProperties": False}},
        "required": ["n"],
    }
    strict = strict_schema(schema)
    assert extra(response_format=ResponseFormat(schema)) == {
        "output_config": {"format": {"type": "json_schema", "schema": strict}}
    }
    assert strict == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": 'How many\n\n{"minimum":1}'},
            "format": {"type": "string", "format": "date", "description": '{"pattern":"x"}'},
            "mail": {"type": "string", "description": '{"format":"phone"}'},
            "many": {
                "type": "array",
                "items": {"$ref": "#/$defs/one"},
                "minItems": 1,
                "description": '{"maxItems":3}',
            },
            "either": {"anyOf": [{"type": "null"}, {"const": 1}]},
        },
        "$defs": {"one": {"type": "object", "properties": {"a": {"enum": ["x"]}}, "additionalProperties": False}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert strict_schema(strict) == strict
    # Local servers take schemas unchanged.
    assert extra(where=server("vllm"), response_format=ResponseFormat(schema)) == {
        "output_config": {"format": {"type": "json_schema", "schema": schema}}
    }


def test_a_schema_without_a_bottom_or_a_json_form_is_still_written_or_refused() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        deep = {"type": "array", "items": deep}
    assert body(response_format=ResponseFormat(deep))
    with pytest.raises(ValidationError, match=r"properties\.a\.\w+ cannot be sent"):
        body(response_format=ResponseFormat({"type": "object", "properties": {"a": {"const": {1}, "pattern": {2}}}}))
    with pytest.raises(ValidationError, match="needs a schema"):
        body(response_format=ResponseFormat())


def structured(response_format: ResponseFormat) -> StructuredAttempt:
    output = StructuredOutput(replace(HELLO, response_format=response_format), response_format)
    attempt = output.attempt(claude())
    assert attempt is not None
    return attempt


def test_json_whose_objects_are_open_is_brought_about_by_a_tool() -> None:
    for schema in (None, {"type": "object", "properties": {"a": {"type": "object"}}}):
        attempt = structured(ResponseFormat(schema))
        assert attempt.method == "tool"
        assert extra(attempt.request)["tool_choice"] == {"type": "tool", "name": "answer"}
    assert structured(ResponseFormat(CITY)).method == "native"


ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@each(
    ("model", "effort", "expected"),
    [
        ("claude-3-5-haiku-latest", "high", {}),
        ("claude-sonnet-4-5", "none", {}),
        ("claude-sonnet-4-5", "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("claude-sonnet-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 4000}}),
        ("claude-sonnet-4-5", "high", {"thinking": {"type": "enabled", "budget_tokens": 24_000}}),
        ("claude-sonnet-4-5", "max", {"thinking": {"type": "enabled", "budget_tokens": 32_000}}),
        ("claude-3-7-sonnet-latest", "medium", {"thinking": {"type": "enabled", "budget_tokens": 12_000}}),
        ("claude-opus-4-6", "none", {}),
        ("claude-opus-4-6", "minimal", {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}),
        ("claude-opus-4-8", "xhigh", {"thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}}),
        ("claude-opus-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-haiku-5-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5", "high", {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
        ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
        ("claude-opus-5-5", "none", {"output_config": {"effort": "low"}}),
        ("claude-fable-5-1", "none", {"output_config": {"effort": "low"}}),
        ("claude-mythos-5", "high", {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
        ("claude-of-tomorrow", "high", {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
    ],
)
def test_each_generation_takes_the_effort_in_its_own_way(model: str, effort: str, expected: dict[str, Any]) -> None:
    assert extra(where=claude(model), reasoning_effort=effort) == expected


def test_a_server_is_sent_both_a_budget_and_an_effort() -> None:
    written = extra(where=server("vllm"), reasoning_effort="high")
    assert written == {"thinking": {"type": "enabled", "budget_tokens": 2457}, "output_config": {"effort": "high"}}
    assert extra(where=server(), reasoning_effort="none") == {"thinking": {"type": "disabled"}}


def test_thinking_goes_with_a_schema_and_without_sampling(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "unified_llm")
    fields: dict[str, Any] = {"reasoning_effort": "high", "temperature": 0.5, "response_format": ResponseFormat(CITY)}
    written = extra(where=claude("claude-opus-4-6"), **fields)
    assert set(written) == {"thinking", "output_config"}
    assert set(written["output_config"]) == {"effort", "format"}
    assert "temperature is not sent to anthropic/claude-opus-4-6, which refuses it with thinking" in caplog.text


def test_thinking_is_not_enabled_where_it_would_be_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "unified_llm")
    think = replace(HELLO, reasoning_effort="high")
    assert "thinking" not in body(think, max_tokens=1024)
    assert body(think, max_tokens=1500)["thinking"]["budget_tokens"] == 1024
    forced = replace(think, tools=(WEATHER,), tool_choice="required")
    assert "thinking" not in body(forced)
    assert extra(forced, claude("claude-opus-4-6"))["output_config"] == {"effort": "high"}
    assert "thinking" not in body(forced, claude("claude-opus-4-6"))
    # Another provider's model called the tool: thoughts are missing from the turn to continue.
    call = ToolCall("c", "weather", {"city": "Oslo"})
    going_on = replace(
        think,
        tools=(WEATHER,),
        messages=(*HELLO.messages, Message.assistant(tool_calls=[call]), Message.tool("5", "c")),
    )
    assert "thinking" not in body(going_on)
    assert body(going_on, claude("claude-opus-4-6"))["thinking"] == ADAPTIVE
    assert "anthropic/claude-sonnet-4-5 is called without thinking" in caplog.text


def test_parts_become_blocks() -> None:
    parts = (
        TextPart("Look:"),
        ImagePart(data=b"png", media_type="image/png"),
        ImagePart(url="https://e.example/a.png"),
        ImagePart(data=b"jpg", media_type="image/jpg"),
        FilePart(b"%PDF", filename="a.pdf", cite=True),
        FilePart(url="https://e.example/a.pdf"),
        FilePart(file_id="file_1"),
        FilePart("ä".encode(), "text/csv"),
        FilePart(b"{}", "application/json", cite=True),
        FilePart(b"jpg", "image/jpeg"),
        FilePart(media_type="image/png", file_id="file_2"),
        TextPart(" \n"),
    )
    cited = {"citations": {"enabled": True}}
    (message,) = body(messages=(Message("user", parts),))["messages"]
    assert message["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"}},
        {"type": "image", "source": {"type": "url", "url": "https://e.example/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "anBn"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
            **cited,
        },
        {"type": "document", "source": {"type": "url", "url": "https://e.example/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ä"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}, **cited},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "anBn"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_2"}},
    ]
    for part, problem in (
        (AudioPart(b"wav"), r"content\[1\] is audio"),
        (FilePart(b"PK", "application/zip"), r"content\[1\] is a file of a kind"),
    ):
        with pytest.raises(ValidationError, match=problem):
            body(messages=(Message("user", (TextPart("a"), part)),))


def test_cache_points_go_onto_the_block_before_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "unified_llm")
    mark, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    call = ToolCall("c", "weather", {})
    messages = (
        Message("system", (TextPart("Rules."), CachePoint("1h"))),
        Message("system", "More."),
        Message("user", (CachePoint(), TextPart("Hello"), CachePoint())),
        Message("assistant", (TextPart("Let me see."), CachePoint()), tool_calls=(call,)),
        Message("tool", (TextPart("5"), CachePoint()), tool_call_id="c"),
    )
    written = body(messages=messages, tools=(WEATHER,))
    assert written["system"] == [
        {"type": "text", "text": "Rules.", "cache_control": long},
        {"type": "text", "text": "More."},
    ]
    user, assistant, result = (message["content"] for message in written["messages"])
    assert user == [{"type": "text", "text": "Hello", "cache_control": mark}]
    assert assistant[0] == {"type": "text", "text": "Let me see.", "cache_control": mark}
    assert result == [{"type": "tool_result", "tool_use_id": "c", "content": "5", "cache_control": mark}]
    # Four are allowed; one on a tool counts as well, and the last ones of the conversation are kept.
    tool = Tool.from_dict({"name": "weather", "input_schema": CITY, "cache_control": mark})
    fewer = body(messages=messages, tools=(tool,))
    assert "cache_control" not in json.dumps(fewer["system"])
    assert json.dumps(fewer).count("cache_control") == 4
    assert "The first 1 cache points are not sent" in caplog.text


def test_tokens_are_counted_for_the_prompt_alone() -> None:
    request = replace(
        HELLO, temperature=0.5, stop=("END",), stream=True, tools=(WEATHER,), response_format=ResponseFormat(CITY),
        extra_body={"top_k": 4, "cache_control": {"type": "ephemeral"}},
    )  # fmt: skip
    wire = CODEC.encode(CountRequest(request), claude())
    assert wire.url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert set(json.loads(wire.body)) == {"model", "messages", "tools", "output_config", "cache_control"}
    assert dict(wire.headers)["accept"] == "application/json"


def test_models_are_listed_page_by_page_and_asked_for_one_by_one() -> None:
    base = "https://api.anthropic.com/v1/models"
    assert CODEC.encode(ModelsRequest(), claude()).url == f"{base}?limit=1000"
    assert CODEC.encode(ModelsRequest("a/b"), claude()).url == f"{base}?limit=1000&after_id=a%2Fb"
    assert CODEC.encode(ModelRequest(), claude("a/b")).url == f"{base}/a%2Fb"


def test_what_the_format_has_no_request_for_is_refused() -> None:
    for request in (EmbeddingRequest(("a",)), RerankRequest("q", ("a",))):
        with pytest.raises(UnsupportedOperationError, match="has no such request"):
            CODEC.encode(request, claude())


def test_local_servers_can_be_asked_in_this_format() -> None:
    for provider in ("llamacpp", "vllm", "lmstudio"):
        where = server(provider)
        assert where.format == "anthropic"
        assert "embeddings" not in where.features
        assert CODEC.encode(HELLO, where).url == f"{where.base_url}/messages"
    with pytest.raises(ConfigurationError, match="no api 'messages'"):
        registry.model_profile(registry.row("mistral"), "m", "messages")
