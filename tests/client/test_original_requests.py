"""Requests as programs wrote them for OpenAI's API: who gets them so, and what all other targets get."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMConfig
from unified_llm._client.call_options import CallOptions
from unified_llm.exceptions import ServiceUnavailableError, UnsupportedOperationError
from unified_llm.types import LLMRequest, Message, ResponseFormat, Tool, ToolCall
from unified_llm.types.requests import OriginalRequest

GPT, HAIKU = "openai/gpt-4o", "anthropic/claude-haiku-4-5"
WRITTEN: Mapping[str, Any] = {
    "model": "gpt-4o", "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "max_tokens": 5, "stop": None, "temperature": 0.5, "a_field_of_next_year": {"x": None}, "user": "u1",
}  # fmt: skip
KEY = "sk-a-key-of-a-test"


def request(body: Mapping[str, Any] = WRITTEN, **fields: Any) -> LLMRequest:
    read = {
        "messages": (Message.system("Be brief."), Message.user("Hi")), "max_tokens": 5, "temperature": 0.5,
        "extra_body": {"a_field_of_next_year": {"x": None}, "user": "u1"},
    }  # fmt: skip
    return LLMRequest(**{**read, **fields}, original=OriginalRequest("openai_chat", body))


def client(*models: str, **fields: Any) -> LLMClient:
    configs = [LLMConfig(model=model, api_key=KEY, max_retries=0, **fields) for model in models]
    return LLMClient(configs[0], fallbacks=configs[1:])


def sent(asked: LLMRequest, *models: str, failing: tuple[str, ...] = (), way: str = "run", **fields: Any) -> list[Any]:
    with SentRequests(*failing).running() as targets:
        _call(client(*models, **fields), asked, way)
    return targets.sent


def _call(called: LLMClient, asked: LLMRequest, way: str) -> None:
    options = CallOptions()
    match way:
        case "run":
            called.run(asked, options)
        case "arun":
            asyncio.run(called.arun(asked, options))
        case "open_stream":
            list(called.open_stream(asked, options))
        case _:
            asyncio.run(_collect(called, asked))


async def _collect(called: LLMClient, asked: LLMRequest) -> list[Any]:
    return [chunk async for chunk in called.aopen_stream(asked, CallOptions())]


@each("way", ["run", "arun", "open_stream", "aopen_stream"])
def test_the_first_target_gets_what_the_program_wrote_and_a_fallback_what_it_takes(way: str) -> None:
    body = {**WRITTEN, "stream": True} if "stream" in way else WRITTEN
    asked = request(body, stream="stream" in way)
    first, fallback, other = sent(asked, GPT, HAIKU, "openai/gpt-4.1", failing=(GPT, HAIKU), way=way)
    assert first.body == body
    assert first.path.endswith("/chat/completions")
    assert fallback.body["system"] == "Be brief."
    assert "a_field_of_next_year" not in fallback.body
    assert other.body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "stop" not in other.body
    assert other.body.get("stream_options") == ({"include_usage": True} if "stream" in way else None)


@each("way", ["run", "arun", "open_stream", "aopen_stream"])
def test_the_same_model_at_another_address_gets_what_the_program_wrote(way: str) -> None:
    body = {**WRITTEN, "stream": True, "n": 2} if "stream" in way else WRITTEN
    written = OriginalRequest("openai_chat", body, "it cannot stream several answers at once")
    asked = replace(request(stream="stream" in way), original=written)
    regions = [{"model": GPT, "base_url": f"https://{region}.api.openai.com/v1"} for region in ("us", "eu")]
    with SentRequests(f"{GPT}@us.api.openai.com").running() as targets:
        called = LLMClient({**regions[0], "api_key": KEY, "max_retries": 0}, fallbacks=[{**regions[1], "api_key": KEY}])
        _call(called, asked, way)
    first, second = targets.sent
    assert first.body == second.body == body


def test_a_stored_response_is_asked_for_at_its_address_alone() -> None:
    body = {"model": "gpt-4o", "input": "Hi", "previous_response_id": "resp_1"}
    asked = replace(request(), original=OriginalRequest("openai_responses", body, "it has not stored that response"))
    config = {"model": GPT, "api": "responses", "api_key": KEY, "max_retries": 0}
    regions = [{**config, "base_url": f"https://{region}.api.openai.com/v1"} for region in ("us", "eu")]
    with SentRequests(f"{GPT}@us.api.openai.com").running() as targets, pytest.raises(ServiceUnavailableError):
        LLMClient(regions[0], fallbacks=regions[1:]).run(asked, CallOptions())
    assert [one.body for one in targets.sent] == [body]


def test_a_model_gets_neither_fields_that_it_refuses_nor_their_older_names() -> None:
    (mini,) = sent(request(), "openai/gpt-5-mini")
    assert mini.body == {
        **{name: value for name, value in WRITTEN.items() if name not in {"temperature", "max_tokens", "stop"}},
        "model": "gpt-5-mini", "max_completion_tokens": 5,
    }  # fmt: skip
    (azure,) = sent(request(), "azure/gpt-4o", base_url="https://r.openai.azure.com", api_version="2024-10-21")
    assert azure.body == WRITTEN
    (grok,) = sent(request(), "xai/grok-3", extra_body={"service_tier": "flex", "user": "u2"})
    assert grok.body == {**WRITTEN, "model": "grok-3", "service_tier": "flex"}


def test_a_server_with_any_model_gets_it_where_messages_are_not_merged() -> None:
    address: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1"}
    (merged,) = sent(request(), "openai-compatible/m", **address)
    assert merged.body["messages"][0]["role"] == "system"
    (unchanged,) = sent(request(merge_messages=False), "openai-compatible/m", **address)
    assert unchanged.body == {**WRITTEN, "model": "m"}


def test_a_provider_that_wants_another_form_gets_that_form() -> None:
    calls = (ToolCall.from_arguments("call_1234567890", "look_up", {}),)
    history = (Message.user("Hi"), Message.assistant(tool_calls=calls), Message.tool("1", "call_1234567890"))
    (mistral,) = sent(request(messages=history), "mistral/mistral-large-latest")
    assert len(mistral.body["messages"][1]["tool_calls"][0]["id"]) == 9
    assert mistral.body["user"] == "u1", "a field that the program wrote for this target"
    long = tuple(ToolCall.from_arguments("c" * 60, "look_up", {}) for _ in range(1))
    history = (Message.user("Hi"), Message.assistant(tool_calls=long), Message.tool("1", "c" * 60))
    (gpt,) = sent(request(messages=history), GPT)
    assert len(gpt.body["messages"][1]["tool_calls"][0]["id"]) <= 40


def test_what_openai_would_refuse_is_fitted() -> None:
    (renamed,) = sent(request(tools=(Tool("look.up"),)), GPT)
    assert renamed.body["tools"][0]["function"]["name"] != "look.up"
    messages = [{"role": "assistant", "content": "Hi", "provider_state": {"provider": "gemini"}}]
    (without_state,) = sent(request({**WRITTEN, "messages": messages}), GPT)
    assert without_state.body["messages"] == [{"role": "assistant", "content": "Hi"}]


def test_json_and_forced_calls_are_asked_for_as_written_where_the_target_knows_them() -> None:
    body = {**WRITTEN, "response_format": {"type": "json_object"}}
    (native,) = sent(request(body, response_format=ResponseFormat(validate=False)), GPT)
    assert native.body == body
    forced = {**WRITTEN, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}
    (written,) = sent(request(forced, tools=(Tool("f"),), tool_choice="required"), GPT)
    assert written.body == forced


def test_a_call_for_another_api_leaves_out_fields_of_openai_and_stays_within_limits() -> None:
    further = {"user": "u1", "metadata": {"a": "b"}, "thinking": {"type": "disabled"}, "service_tier": "flex"}
    (haiku,) = sent(request(extra_body=further, temperature=1.5), HAIKU)
    assert haiku.body["temperature"] == 1.0
    assert haiku.body["thinking"] == {"type": "disabled"}
    assert haiku.body.keys().isdisjoint({"user", "metadata", "service_tier"})


def test_what_has_no_other_form_goes_to_the_target_that_gets_it_as_written_alone() -> None:
    body = {**WRITTEN, "n": 2, "stream": True}
    original = OriginalRequest("openai_chat", body, "it cannot stream several answers at once")
    asked = replace(request(stream=True), original=original)
    (several,) = sent(asked, GPT, "openai/gpt-4.1", way="open_stream")
    assert several.body == body
    with pytest.raises(UnsupportedOperationError, match="cannot stream several answers at once"):
        sent(asked, "gemini/gemini-2.5-flash", HAIKU, way="open_stream")


def test_text_completions_and_responses_are_written_as_they_are() -> None:
    completion = {"model": "m", "prompt": ["a", "b"], "echo": True, "stream_options": {"include_usage": False}}
    asked = LLMRequest((Message.user("a"),), as_text=True, original=OriginalRequest("openai_completion", completion))
    (text,) = sent(asked, "openai/gpt-3.5-turbo-instruct")
    assert text.body == {**completion, "model": "gpt-3.5-turbo-instruct"}
    assert text.path.endswith("/completions")
    response = {"model": "m", "input": "Hi", "store": True, "reasoning": {"summary": "auto"}}
    asked = LLMRequest((Message.user("Hi"),), original=OriginalRequest("openai_responses", response))
    (stored,) = sent(asked, "openai/gpt-4o", api="responses")
    assert stored.body == {**response, "model": "gpt-4o"}
    (chat,) = sent(asked, "openai/gpt-4o")
    assert chat.body["messages"] == [{"role": "user", "content": "Hi"}]
