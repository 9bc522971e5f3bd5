"""Requests: from our types to the JSON body of Anthropic's format, with a target's quirks applied.

Thinking depends on a model's generation: older models take a number of tokens, newer ones an effort, and each has its
own way to turn thinking off (platform.claude.com/docs/en/build-with-claude/thinking). The table of models says which.

In JSON schemas for structured outputs, every object is closed to properties that it does not list, and keywords that
the API refuses move into the description, where the model reads them
(platform.claude.com/docs/en/build-with-claude/structured-outputs).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from unified_llm._core.codec import WireRequest
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.paths import segments
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.messages import Conversation, write_conversation
from unified_llm._formats.request_fields import (
    NOT_IN_FORMAT,
    apply_quirks,
    effective,
    get,
    log_dropped,
    post,
    sendable_stops,
)
from unified_llm._formats.tool_schemas import object_schema
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._lib.json_schema import is_open
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool
from unified_llm.types.requests import CountRequest, LLMRequest, ModelRequest, ModelsRequest

log = logging.getLogger("unified_llm")

_MIN_BUDGET: Final = 1024  # tokens; the API refuses less
# Shares of max_tokens that go into thinking, for models that take a number of tokens.
_BUDGET_SHARES: Final[Mapping[str, float]] = {
    "minimal": 0.0,
    "low": 0.1,
    "medium": 0.3,
    "high": 0.6,
    "xhigh": 0.75,
    "max": 0.8,
}
_MAX_BUDGET: Final = 32_000  # tokens; above that the API advises to use batches
_ADAPTIVE: Final = {"type": "adaptive", "display": "summarized"}


def write_thinking(effort: str, max_tokens: int, target: Target, *, thinking_refused: bool) -> dict[str, Any]:
    """Write the fields of a request that turn thinking on or off.

    Args:
        effort: The ``reasoning_effort`` of the request.
        max_tokens: Most tokens of the whole answer, thoughts included.
        target: The target, whose quirks say how its model takes the effort.
        thinking_refused: The turn continues one whose thoughts are missing, or has to begin with a tool call.
    """
    kind = target.quirks.thinks
    if effort == "none":
        return _disable_thinking(kind)
    level = {"minimal": "low"}.get(effort, effort)
    if kind in {"asked", "disabled", "between_tools", "always"}:
        return {"thinking": dict(_ADAPTIVE), "output_config": {"effort": level}}
    fields: dict[str, Any] = {}
    if thinking_refused or max_tokens <= _MIN_BUDGET:
        log.debug(
            "%s is called without thinking: it would be refused for this turn, or max_tokens is too low", target.name
        )
    else:
        fields["thinking"] = {"type": "enabled", "budget_tokens": _thinking_budget(effort, max_tokens)}
    # A server with models of several generations reads one field or the other.
    return fields if kind == "budget" else {**fields, "output_config": {"effort": level}}


def _thinking_budget(effort: str, max_tokens: int) -> int:
    share = int(min(max_tokens, _MAX_BUDGET / 0.8) * _BUDGET_SHARES.get(effort, _BUDGET_SHARES["medium"]))
    return min(max(_MIN_BUDGET, share), max_tokens - 1)


def _disable_thinking(kind: str | None) -> dict[str, Any]:
    match kind:
        case "asked" | "budget":
            return {}
        case "between_tools":
            return {"thinking": {"type": "between_tools"}}
        case "always":
            return {"output_config": {"effort": "low"}}
        case _:
            return {"thinking": {"type": "disabled"}}


_SUPPORTED_KEYWORDS: Final = frozenset({"type", "enum", "const", "description", "title", "default", "required", "$ref"})
_STRING_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_SCHEMA_MAPS: Final = ("properties", "$defs", "definitions")
_SCHEMA_LISTS: Final[Mapping[str, str]] = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_MAX_DEPTH: Final = 64


def strict_schema(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Convert a schema to the dialect of the API; a schema already in that dialect is returned unchanged."""
    if depth > _MAX_DEPTH:
        return dict(schema)
    strict: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for name, value in schema.items():
        if _is_supported(name, value):
            strict[name] = value
        elif name in _SCHEMA_MAPS and isinstance(value, Mapping):
            strict[name] = {key: _strict_inner(inner, depth) for key, inner in cast("Mapping[str, Any]", value).items()}
        elif name in _SCHEMA_LISTS and isinstance(value, (list, tuple)):
            strict[_SCHEMA_LISTS[name]] = [_strict_inner(inner, depth) for inner in cast("list[Any]", value)]
        elif name == "items" and isinstance(value, Mapping):
            strict[name] = _strict_inner(value, depth)
        elif name not in {"additionalProperties", "$schema", "$id"}:
            refused[name] = value
    if strict.get("type") == "object" or "properties" in strict:
        strict["additionalProperties"] = False
    if refused:
        strict["description"] = _describe_refused(strict.get("description"), refused)
    return strict


def _is_supported(name: str, value: object) -> bool:
    match name:
        case "format":
            return value in _STRING_FORMATS
        case "minItems":
            return value in {0, 1}
        case _:
            return name in _SUPPORTED_KEYWORDS


def _strict_inner(schema: object, depth: int) -> Any:
    return strict_schema(cast("Mapping[str, Any]", schema), depth + 1) if isinstance(schema, Mapping) else schema


def _describe_refused(description: object, refused: Mapping[str, Any]) -> str:
    try:
        rules = dump(refused)
    except JSONError:  # reported with its path once the whole body is written
        rules = ", ".join(refused)
    return f"{description}\n\n{rules}" if isinstance(description, str) else rules


DEFAULT_MAX_TOKENS: Final = 4096
"""``max_tokens`` if neither the request nor the table has a limit: the format requires the field."""

_SETTINGS: Final = ("temperature", "top_p", "stop", "reasoning_effort", "parallel_tool_calls")
_MAX_CACHE_POINTS: Final = 4
# Nearly all of Anthropic's built-in tools have such a date in their type; OpenAI's and Google's do not.
_BUILTIN_TYPE: Final = re.compile(r"\w+_20\d{6}|tool_search_tool_\w+|mcp_toolset")
# Fields of a chat request that a count request takes.
_COUNT_FIELDS: Final = (
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
)  # fmt: skip


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``/messages``."""
    return post("/messages", _write_body(request, target), target, stream=request.stream)


def write_count(request: CountRequest, target: Target) -> WireRequest:
    """Write a request for ``/messages/count_tokens``, which takes the fields of the prompt and refuses others."""
    body = _write_body(request.chat, target)
    return post("/messages/count_tokens", {name: body[name] for name in _COUNT_FIELDS if name in body}, target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """Write a request for a page of the model list, of the largest size that the API allows."""
    after = f"&after_id={quote(request.cursor, safe='')}" if request.cursor else ""
    return get(f"/models?limit=1000{after}", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """Write a request for the description of one model."""
    return get(f"/models/{segments(target.model, has_parts=target.names_have_parts)}", target)


def _write_body(request: LLMRequest, target: Target) -> dict[str, Any]:
    conversation = write_conversation(request.messages, target)
    fields = _wanted_settings(request, target)
    max_tokens = effective(request, "max_tokens", target)
    if max_tokens is None:
        max_tokens = target.max_output or DEFAULT_MAX_TOKENS
    body: dict[str, Any] = {"model": target.model, "max_tokens": max_tokens, "messages": []}
    if conversation.system is not None:
        body["system"] = conversation.system
    body |= {name: fields[name] for name in ("temperature", "top_p") if name in fields}
    if stop := sendable_stops(fields.get("stop", ()), target):
        body["stop_sequences"] = list(stop)
    body |= _write_tool_fields(request, conversation, target, sequential=fields.get("parallel_tool_calls") is False)
    if "reasoning_effort" in fields:
        _add_thinking(body, fields["reasoning_effort"], conversation, target)
    if request.response_format is not None:
        schema = request.response_format.schema
        if schema is None:
            raise ValidationError("response_format needs a schema: this format has no JSON mode without one.")
        output = body.setdefault("output_config", {})
        output["format"] = {"type": "json_schema", "schema": _fit_schema(schema, target)}
    if request.stream:
        body["stream"] = True
    _limit_cache_points(body, conversation, target)
    body["messages"] = conversation.write_messages()
    return {**body, **target.extra_body, **request.extra_body}


def _wanted_settings(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Return the settings by our names, without those that the target or the format does not accept."""
    log_dropped(NOT_IN_FORMAT["anthropic"], request, target)
    given = {name: value for name in _SETTINGS if (value := effective(request, name, target)) is not None}
    wanted = apply_quirks(given, target)
    if {"temperature", "top_p"} <= wanted.keys() and "top_p.with_temperature" in target.quirks.drop:
        del wanted["top_p"]
        report_dropped("top_p", target.name, "which accepts either top_p or temperature")
    return wanted


def _add_thinking(body: dict[str, Any], effort: str, conversation: Conversation, target: Target) -> None:
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    thinking_refused = forced or conversation.lacks_thoughts
    fields = write_thinking(effort, body["max_tokens"], target, thinking_refused=thinking_refused)
    if forced:
        # An answer that has to begin with a call cannot begin with thinking; the effort still applies.
        fields.pop("thinking", None)
    body |= fields
    if body.get("thinking", {}).get("type") in {"enabled", "adaptive"}:
        for name in ("temperature", "top_p"):
            if body.pop(name, None) is not None:
                report_dropped(name, target.name, "which refuses it with thinking")


def _write_tool_fields(
    request: LLMRequest, conversation: Conversation, target: Target, *, sequential: bool
) -> dict[str, Any]:
    choice, drop = request.tool_choice, target.quirks.drop
    tools = list(_write_tools(request, target))
    if not tools and conversation.called_tools:
        # The API refuses a history with tool calls if the request has no tools.
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in conversation.called_tools]
        choice = "none"
    if not tools or (choice == "none" and "tool_choice.none" in drop):
        return {}
    fields: dict[str, Any] = {"tools": tools}
    written: dict[str, str] | None
    match choice:
        case "none":
            return {**fields, "tool_choice": {"type": "none"}}
        case "required":
            written = {"type": "any"}
        case None | "auto":
            written = {"type": "auto"} if choice or sequential else None
        case _ if "tool_choice.function" in drop:
            # One tool offered and a call required: the model has to call that one.
            fields["tools"] = [tool for tool in tools if tool.get("name") == choice] or tools
            written = {"type": "any"}
        case _:
            written = {"type": "tool", "name": choice}
    if written is not None:
        fields["tool_choice"] = {**written, "disable_parallel_tool_use": True} if sequential else written
    return fields


def _write_tools(request: LLMRequest, target: Target) -> Iterator[Mapping[str, Any]]:
    for index, tool in enumerate(request.tools):
        if tool.builtin is None:
            yield _write_function(tool, target)
        elif "input_schema" in tool.builtin or _BUILTIN_TYPE.fullmatch(str(tool.builtin.get("type"))):
            yield tool.builtin
        else:
            raise ValidationError(
                f"tools[{index}] is another provider's built-in tool, which this format does not have."
            )


def _write_function(tool: Tool, target: Target) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    schema = object_schema(tool.parameters)
    enforced = bool(tool.strict) and "json_schema" in target.features
    if target.quirks.closed_schemas and is_open(tool.parameters):
        enforced = False  # an open schema is refused, or its objects come back empty
    written["input_schema"] = _fit_schema(schema, target) if enforced else schema
    if enforced:
        written["strict"] = True
    return written


def _fit_schema(schema: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    return strict_schema(schema) if target.quirks.closed_schemas else schema


def _limit_cache_points(body: Mapping[str, Any], conversation: Conversation, target: Target) -> None:
    on_tools = sum("cache_control" in tool for tool in body.get("tools", ()))
    removed = conversation.limit_cache_points(_MAX_CACHE_POINTS - on_tools)
    if removed:
        log.debug("The first %d cache points are not sent to %s, which accepts 4", removed, target.name)
