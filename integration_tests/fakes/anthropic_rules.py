"""Requests that Anthropic's Messages API refuses, with its own messages: unknown fields, turns that do not fit.

The fields are those of the official SDK's types (anthropic 2.10), the sentences those of the API's refusals.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

_IDENTIFIER = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# Of the fields of a body: those that counting takes as well, and those that it does not.
PROMPT = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)
ANSWER = frozenset({"max_tokens", "stop_sequences", "stream", "metadata", "service_tier", "container", "speed"})
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
# Block → fields that it must have, fields that it may have.
_BLOCKS: Mapping[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"cache_control", "citations"}),
    "image": ({"source"}, {"cache_control"}),
    "document": ({"source"}, {"cache_control", "title", "context", "citations"}),
    "tool_use": ({"id", "name", "input"}, {"cache_control"}),
    "tool_result": ({"tool_use_id"}, {"content", "is_error", "cache_control"}),
    "thinking": ({"thinking", "signature"}, set()),
    "redacted_thinking": ({"data"}, set()),
    "server_tool_use": ({"id", "name", "input"}, {"cache_control"}),
    "web_search_tool_result": ({"tool_use_id", "content"}, {"cache_control"}),
}
_SIDES = {
    "user": {"text", "image", "document", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result"},
}
_SOURCES: Mapping[str, set[str]] = {
    "base64": {"media_type", "data"},
    "url": {"url"},
    "text": {"media_type", "data"},
    "file": {"file_id"},
}
_UNSUPPORTED = {"minimum", "maximum", "pattern", "minLength", "maxLength", "maxItems", "oneOf", "$schema"}


class RefusedError(Exception):
    """A bad request."""


def signature(thinking: str) -> str:
    """Return the signature of this server's thoughts."""
    return hashlib.sha256(f"signed:{thinking}".encode()).hexdigest()[:24]


def check(body: Mapping[str, Any], *, version: str, counting: bool) -> None:
    """Refuse requests that the API refuses.

    Raises:
        RefusedError: With the API's own words.
    """
    known = PROMPT if counting else PROMPT | ANSWER | (SAMPLING if version == "2023-06-01" else frozenset())
    for name in body:
        _demand(name in known, f"{name}: Extra inputs are not permitted")
    if not counting:
        most = body.get("max_tokens")
        _demand(isinstance(most, int) and most > 0, "max_tokens: Field required")
        _check_thinking(body)
    _demand(bool(body.get("messages")), "messages: at least one message is required")
    for index, message in enumerate(body["messages"]):
        _demand(message.keys() == {"role", "content"}, f"messages.{index}: Extra inputs are not permitted")
        _demand(message["role"] in _SIDES, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        for position, block in enumerate(_list(message["content"])):
            _check_block(block, f"messages.{index}.content.{position}", _SIDES[message["role"]])
    for position, block in enumerate(_list(body.get("system", []))):
        _check_block(block, f"system.{position}", {"text"})
    _check_pairs(body["messages"])
    _check_tools(body)
    _check_marks(body)
    format_ = body.get("output_config", {}).get("format")
    if format_ is not None:
        _demand(format_.keys() == {"type", "schema"}, "output_config.format: Extra inputs are not permitted")
        _check_schema(format_["schema"], "output_config.format.schema")


def _demand(fine: bool, words: str) -> None:  # noqa: FBT001 - a sentence: demand this, or say that
    if not fine:
        raise RefusedError(words)


def _list(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _check_block(block: Mapping[str, Any], path: str, allowed: set[str]) -> None:
    kind = block.get("type")
    _demand(kind in allowed, f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    needed, possible = _BLOCKS[str(kind)]
    for name in needed:
        _demand(name in block, f"{path}.{kind}.{name}: Field required")
    for name in block.keys() - needed - possible - {"type"}:
        raise RefusedError(f"{path}.{kind}.{name}: Extra inputs are not permitted")
    if kind == "text":
        _demand(bool(block["text"].strip()), f"{path}: text content blocks must contain non-whitespace text")
    if kind == "thinking":
        fine = block["signature"] == signature(block["thinking"])
        _demand(fine, f"{path}: Invalid `signature` in `thinking` block")
    if "source" in block:
        source = block["source"]
        _demand(source.keys() - {"type"} == _SOURCES[source["type"]], f"{path}.source: Extra inputs are not permitted")
    if kind == "tool_use":
        _demand(isinstance(block["input"], dict), f"{path}.tool_use.input: Input should be a valid dictionary")
        _demand(bool(_IDENTIFIER.fullmatch(block["id"])), f"{path}.tool_use.id: String should match pattern")
    if kind == "tool_result":
        for position, inner in enumerate(_list(block.get("content", []))):
            _check_block(inner, f"{path}.content.{position}", {"text", "image", "document"})


def _of_kind(message: Mapping[str, Any], kind: str, field: str) -> list[str]:
    return [block[field] for block in _list(message["content"]) if block["type"] == kind]


def _check_pairs(messages: list[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for index, message in enumerate(messages):
        uses = _of_kind(message, "tool_use", "id")
        following = messages[index + 1] if index + 1 < len(messages) else {"content": []}
        answered = _of_kind(following, "tool_result", "tool_use_id")
        _demand(
            not seen & set(uses) and len(set(uses)) == len(uses), f"messages.{index}: `tool_use` ids must be unique"
        )
        seen |= set(uses)
        unanswered = [identifier for identifier in uses if identifier not in answered]
        _demand(
            not unanswered, f"messages.{index}: `tool_use` ids were found without `tool_result` blocks: {unanswered}"
        )
        before = _of_kind(messages[index - 1], "tool_use", "id") if index else []
        for used in _of_kind(message, "tool_result", "tool_use_id"):
            _demand(used in before, f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {used}")
    last = messages[-1]
    if last["role"] == "assistant" and _list(last["content"])[-1]["type"] == "text":
        text = _list(last["content"])[-1]["text"]
        _demand(text == text.rstrip(), "messages: final assistant content cannot end with trailing whitespace")


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    _demand(len(set(names)) == len(names), "tools: Tool names must be unique.")
    for index, tool in enumerate(tools):
        _demand(bool(_TOOL.fullmatch(tool["name"])), f"tools.{index}.name: String should match pattern")
        if "input_schema" in tool:
            path = f"tools.{index}.custom.input_schema"
            _demand(tool["input_schema"].get("type") == "object", f"{path}.type: Field required")
            if tool.get("strict"):
                _check_schema(tool["input_schema"], path)
            extra = tool.keys() - {"name", "description", "input_schema", "strict", "cache_control", "type"}
            _demand(not extra, f"tools.{index}.custom: Extra inputs are not permitted")
    used = any(_of_kind(message, "tool_use", "id") for message in body["messages"])
    _demand(bool(tools) or not used, "Requests which include `tool_use` or `tool_result` blocks must define tools")
    choice = body.get("tool_choice")
    if choice is not None:
        _demand(bool(tools), "tool_choice may only be specified while providing tools.")
        possible = {"type"} if choice["type"] == "none" else {"type", "name", "disable_parallel_tool_use"}
        _demand(choice.keys() <= possible, "tool_choice: Extra inputs are not permitted")
        _demand(choice.get("name") in {None, *names}, f"Tool '{choice.get('name')}' not found in provided tools")


def _check_marks(body: Mapping[str, Any]) -> None:
    def marks(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from [value["cache_control"]] if "cache_control" in value else []
            yield from (mark for inner in value.values() for mark in marks(inner))
        if isinstance(value, list):
            yield from (mark for inner in value for mark in marks(inner))

    controls = list(marks({name: value for name, value in body.items() if name != "tools"})) + [
        tool["cache_control"] for tool in body.get("tools", []) if "cache_control" in tool
    ]
    _demand(len(controls) <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {len(controls)}.")
    for mark in controls:
        fine = mark.get("type") == "ephemeral" and mark.get("ttl", "5m") in {"5m", "1h"} and len(mark) <= 2
        _demand(fine, "cache_control: Input should be a valid dictionary")


def _check_thinking(body: Mapping[str, Any]) -> None:
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] in {"enabled", "adaptive"}:
        forced = body.get("tool_choice", {"type": "auto"})["type"] in {"any", "tool"}
        _demand(not forced, "Thinking may not be enabled when tool_choice forces tool use.")
        prefilled = body["messages"][-1]["role"] == "assistant"
        _demand(not prefilled, "Prefilling assistant messages is not supported while thinking.")
        _demand(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
    if thinking["type"] == "enabled":
        budget = thinking["budget_tokens"]
        _demand(budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        _demand(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`")
        turns = [message for message in body["messages"] if message["role"] == "assistant"]
        if turns and _of_kind(body["messages"][-1], "tool_result", "tool_use_id"):
            first = _list(turns[-1]["content"])[0]["type"]
            fine = first in {"thinking", "redacted_thinking"}
            _demand(fine, f"Expected `thinking` or `redacted_thinking`, but found `{first}`.")


def _check_schema(schema: Any, path: str) -> None:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        fine = schema.get("additionalProperties") is False
        _demand(fine, f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for name in schema.keys() & _UNSUPPORTED:
        raise RefusedError(f"{path}: For '{schema.get('type')}' type, property '{name}' is not supported")
    for name, inner in schema.items():
        schemas = inner.values() if name in {"properties", "$defs"} else inner if isinstance(inner, list) else [inner]
        for subschema in schemas:
            _check_schema(subschema, f"{path}.{name}")
