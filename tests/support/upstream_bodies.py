"""Checks of request bodies by the strict upstreams of the integration tests, and a response of each format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from integration_tests.fakes import anthropic_rules, cohere, gemini_schema, ollama
from integration_tests.support.upstream_schema import ChatBody, parse
from unified_llm._core.target import Target

NAMES = {
    "anthropic": r"[a-zA-Z0-9_-]{1,128}",
    "gemini": r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}",
    "cohere": r"[A-Za-z_][A-Za-z0-9_]*",
    "ollama": r".*",
}
# Fields that a row adds to OpenAI's format: they are checked by the test of the row.
_ROW_FIELDS = ("prefix", "reasoning_content")


def _check_chat(body: Any, where: Target) -> None:
    messages = [
        {name: value for name, value in message.items() if name not in _ROW_FIELDS} for message in body["messages"]
    ]
    parse(ChatBody, json.dumps({**body, "messages": messages}).encode())
    if where.provider == "mistral":
        _check_mistral(body["messages"])
    if where.provider == "perplexity":
        roles = [message["role"] for message in body["messages"] if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"], roles


def _check_mistral(messages: list[Any]) -> None:
    for before, message in zip([{"role": ""}, *messages], messages, strict=False):
        assert message["role"] != "assistant" or message.get("content") or message.get("tool_calls")
        assert (before["role"], message["role"]) != ("tool", "user")
    last = messages[-1]
    assert last["role"] in {"user", "tool"} or last["prefix"] is True


def _check_responses(body: Any, _: Target) -> None:
    fake = pytest.importorskip("integration_tests.fakes.openai_responses")
    fake.check("create", body)
    fake.check_pairs(body["input"])


def _check_gemini(body: Any, where: Target) -> None:
    gemini_schema.read("generateContent", json.dumps(body).encode(), where.model)


CHECKS: Mapping[str, Callable[[Any, Target], object]] = {
    "openai_responses": _check_responses,
    "anthropic": lambda body, _: anthropic_rules.check(body, version="2023-06-01", counting=False),
    "gemini": _check_gemini,
    "cohere": lambda body, _: cohere.Chat.model_validate(body),
    "ollama": lambda body, _: ollama.Chat.model_validate(body),
}


def check_body(body: Any, where: Target) -> None:
    """Fail where the provider of this target would refuse the request."""
    body = {name: value for name, value in body.items() if name != "stream" or where.format == "ollama"}
    body.pop("stream_options", None)
    CHECKS.get(where.format, _check_chat)(body, where)
    pattern = NAMES.get(where.format, r"[a-zA-Z0-9_-]{1,64}")
    for name in names_in(body):
        assert re.fullmatch(pattern, name), (where.name, name)


def names_in(value: Any) -> list[str]:
    """Return the names of tools in a body, wherever they are."""
    found: list[str] = []
    if isinstance(value, dict):
        is_tool = bool({"arguments", "args", "parameters", "input_schema", "response"} & value.keys())
        is_tool = is_tool or value.get("type") in {"tool_use", "function", "function_call"}
        found += [tool["name"] for tool in value.get("functionDeclarations", ())]
        if is_tool and isinstance(value.get("name"), str):
            found.append(value["name"])
        found += [name for child in value.values() for name in names_in(child)]
    if isinstance(value, list):
        found += [name for child in value for name in names_in(child)]
    return found


def call_response(wire_format: str, name: str, arguments: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """Return the response with a call of this tool: its body, and the events of its stream."""
    text = json.dumps(arguments)
    function = {"name": name, "arguments": text}
    match wire_format:
        case "anthropic":
            block = {"type": "tool_use", "id": "t1", "name": name, "input": arguments}
            whole: Any = {"type": "message", "content": [block], "stop_reason": "tool_use"}
            events: list[Any] = [
                {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}},
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": text},
                },
                {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
                {"type": "message_stop"},
            ]
        case "gemini":
            part = {"functionCall": {"name": name, "args": arguments}}
            whole = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
            events = [whole]
        case "cohere":
            call: Any = {"id": "t1", "type": "function", "function": function}
            whole = {"message": {"tool_calls": [call]}, "finish_reason": "TOOL_CALL"}
            events = [
                {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
                {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
            ]
        case "ollama":
            message = {"content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}
            whole = {"message": message, "done": True, "done_reason": "stop"}
            events = [whole]
        case "openai_responses":
            item = {"type": "function_call", "id": "i1", "call_id": "t1", **function}
            whole = {"status": "completed", "output": [item]}
            events = [
                {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
                {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": text},
                {"type": "response.completed", "response": whole},
            ]
        case _:
            call = {"index": 0, "id": "t1", "type": "function", "function": function}
            whole = {"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]}
            events = [
                {"choices": [{"delta": {"tool_calls": [call]}}]},
                {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
            ]
    return whole, events
