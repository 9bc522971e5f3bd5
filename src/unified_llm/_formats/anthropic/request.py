"""Requests: from our types to the JSON body of Anthropic's format, with a target's quirks applied.

How hard to think, in the words of each generation of models.

Older models take a number of tokens, newer ones an effort, and each generation is told in another way not to think at
all (platform.claude.com/docs/en/build-with-claude/thinking). Which is which, the table of models says.

JSON schemas as Anthropic's structured outputs take them.

Every object says that it holds nothing but its properties, and keywords that the API refuses become part of the
description, where the model reads them (platform.claude.com/docs/en/build-with-claude/structured-outputs).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from unified_llm._core.codec import WireRequest
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.messages import Conversation, write_conversation
from unified_llm._formats.request_fields import apply_quirks, effective, get, log_dropped, post
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._lib.json_schema import is_open
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool
from unified_llm.types.requests import CountRequest, LLMRequest, ModelRequest, ModelsRequest

_LEAST: Final = 1024  # tokens; the API refuses less
# Shares of the answer's tokens that go into thinking, where the model takes tokens.
_SHARES: Final[Mapping[str, float]] = {
    "minimal": 0.0,
    "low": 0.1,
    "medium": 0.3,
    "high": 0.6,
    "xhigh": 0.75,
    "max": 0.8,
}
_MOST: Final = 32_000  # tokens; beyond that the API advises to send batches
_ADAPTIVE: Final = {"type": "adaptive", "display": "summarized"}


def write_thinking(effort: str, most: int, target: Target, *, impossible: bool) -> dict[str, Any]:
    """The fields of a request that ask for thinking.

    Args:
        effort: What the user asked for.
        most: Tokens of the whole answer, thoughts included.
        target: Whose model it is.
        impossible: The turn goes on where thoughts are missing, or has to begin with the call of a tool.
    """
    kind = target.quirks.thinks
    if effort == "none":
        return _without(kind)
    level = {"minimal": "low"}.get(effort, effort)
    if kind in {"asked", "disabled", "between_tools", "always"}:
        return {"thinking": dict(_ADAPTIVE), "output_config": {"effort": level}}
    fields: dict[str, Any] = {}
    if impossible or most <= _LEAST:
        log.debug("%s is not asked to think: the turn goes on without thoughts, or is too short", target.name)
    else:
        fields["thinking"] = {"type": "enabled", "budget_tokens": _budget(effort, most)}
    # A server with models of every kind reads one or the other.
    return fields if kind == "budget" else {**fields, "output_config": {"effort": level}}


def _budget(effort: str, most: int) -> int:
    share = int(min(most, _MOST / 0.8) * _SHARES.get(effort, _SHARES["medium"]))
    return min(max(_LEAST, share), most - 1)


def _without(kind: str | None) -> dict[str, Any]:
    match kind:
        case "asked" | "budget":
            return {}
        case "between_tools":
            return {"thinking": {"type": "between_tools"}}
        case "always":
            return {"output_config": {"effort": "low"}}
        case _:
            return {"thinking": {"type": "disabled"}}


_KEPT: Final = frozenset({"type", "enum", "const", "description", "title", "default", "required", "$ref"})
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_MAPS: Final = ("properties", "$defs", "definitions")
_LISTS: Final[Mapping[str, str]] = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_DEEPEST: Final = 64


def strict_schema(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema in the dialect of the API; one of that dialect comes back as it was."""
    if depth > _DEEPEST:
        return dict(schema)
    strict: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for name, value in schema.items():
        if _is_kept(name, value):
            strict[name] = value
        elif name in _MAPS and isinstance(value, Mapping):
            strict[name] = {key: _inner(each, depth) for key, each in cast("Mapping[str, Any]", value).items()}
        elif name in _LISTS and isinstance(value, (list, tuple)):
            strict[_LISTS[name]] = [_inner(each, depth) for each in cast("list[Any]", value)]
        elif name == "items" and isinstance(value, Mapping):
            strict[name] = _inner(value, depth)
        elif name not in {"additionalProperties", "$schema", "$id"}:
            refused[name] = value
    if strict.get("type") == "object" or "properties" in strict:
        strict["additionalProperties"] = False
    if refused:
        strict["description"] = _described(strict.get("description"), refused)
    return strict


def _is_kept(name: str, value: object) -> bool:
    match name:
        case "format":
            return value in _FORMATS
        case "minItems":
            return value in {0, 1}
        case _:
            return name in _KEPT


def _inner(schema: object, depth: int) -> Any:
    return strict_schema(cast("Mapping[str, Any]", schema), depth + 1) if isinstance(schema, Mapping) else schema


def _described(description: object, refused: Mapping[str, Any]) -> str:
    try:
        rules = dump(refused)
    except JSONError:  # found and told where it stands, once the whole body is written
        rules = ", ".join(refused)
    return f"{description}\n\n{rules}" if isinstance(description, str) else rules


log = logging.getLogger("unified_llm")

ANSWER_TOKENS: Final = 4096
"""The most tokens of an answer where neither the request nor the table says: the format has no default of its own."""

_NAMES: Final = ("temperature", "top_p", "stop", "reasoning_effort", "parallel_tool_calls")
# Nothing in this format corresponds to these.
_FOREIGN: Final = ("seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs")
_MOST_MARKS: Final = 4
# Nearly all of Anthropic's own tools have such a date in their type; OpenAI's and Google's have not.
_OWN_TOOL: Final = re.compile(r"\w+_20\d{6}|tool_search_tool_\w+|mcp_toolset")
# Of the body of a chat request, what counting takes.
_COUNTED: Final = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/messages``."""
    return post("/messages", _body(request, target), target, stream=request.stream)


def write_count(request: CountRequest, target: Target) -> WireRequest:
    """A request for ``/messages/count_tokens``, which takes what belongs to the prompt and refuses the rest."""
    body = _body(request.chat, target)
    return post("/messages/count_tokens", {name: body[name] for name in _COUNTED if name in body}, target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """A request for the list of models, with as many on a page as there may be."""
    after = f"&after_id={quote(request.cursor, safe='')}" if request.cursor else ""
    return get(f"/models?limit=1000{after}", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """A request for what is known of one model."""
    return get(f"/models/{quote(target.model, safe='')}", target)


def _body(request: LLMRequest, target: Target) -> dict[str, Any]:
    conversation = write_conversation(request.messages, target)
    fields = _settings(request, target)
    most = effective(request, "max_tokens", target)
    if most is None:
        most = target.max_output or ANSWER_TOKENS
    body: dict[str, Any] = {"model": target.model, "max_tokens": most, "messages": []}
    if conversation.system is not None:
        body["system"] = conversation.system
    body |= {name: fields[name] for name in ("temperature", "top_p") if name in fields}
    if stop := _stop(fields.get("stop", ()), target):
        body["stop_sequences"] = stop
    body |= _tool_fields(request, conversation, target, one_by_one=fields.get("parallel_tool_calls") is False)
    if "reasoning_effort" in fields:
        _think(body, fields["reasoning_effort"], conversation, target)
    if request.response_format is not None:
        schema = request.response_format.schema
        if schema is None:
            raise ValidationError("response_format needs a schema: this format has no JSON without one.")
        output = body.setdefault("output_config", {})
        output["format"] = {"type": "json_schema", "schema": _as_wanted(schema, target)}
    if request.stream:
        body["stream"] = True
    _limit_marks(body, conversation, target)
    body["messages"] = conversation.written()
    return {**body, **target.extra_body, **request.extra_body}


def _settings(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Settings under our own names, without those that the target, or the format, does not take."""
    log_dropped(_FOREIGN, request, target)
    given = {name: value for name in _NAMES if (value := effective(request, name, target)) is not None}
    wanted = apply_quirks(given, target)
    if {"temperature", "top_p"} <= wanted.keys() and "top_p.with_temperature" in target.quirks.drop:
        del wanted["top_p"]
        log.debug("top_p is not sent to %s, which takes either it or temperature", target.name)
    return wanted


def _stop(texts: tuple[str, ...], target: Target) -> list[str]:
    """The API refuses texts of nothing but white space."""
    kept = [text for text in texts if text.strip()]
    if len(kept) < len(texts):
        log.debug("A stop text of white space is not sent to %s, which does not take it", target.name)
    return kept


def _think(body: dict[str, Any], effort: str, conversation: Conversation, target: Target) -> None:
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    impossible = forced or conversation.unsigned
    fields = write_thinking(effort, body["max_tokens"], target, impossible=impossible)
    if forced:
        # Whoever has to begin with a call cannot think first; the effort still tells how thorough to be.
        fields.pop("thinking", None)
    body |= fields
    if body.get("thinking", {}).get("type") in {"enabled", "adaptive"}:
        for name in ("temperature", "top_p"):
            if body.pop(name, None) is not None:
                log.debug("%s is not sent to %s while it thinks, since it is refused then", name, target.name)


def _tool_fields(
    request: LLMRequest, conversation: Conversation, target: Target, *, one_by_one: bool
) -> dict[str, Any]:
    choice, words = request.tool_choice, target.quirks.drop
    tools = list(_tools(request, target))
    if not tools and conversation.called:
        # The API refuses calls in a history without the tools that they were calls of.
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in conversation.called]
        choice = "none"
    if not tools or (choice == "none" and "tool_choice.none" in words):
        return {}
    fields: dict[str, Any] = {"tools": tools}
    written: dict[str, str] | None
    match choice:
        case "none":
            return {**fields, "tool_choice": {"type": "none"}}
        case "required":
            written = {"type": "any"}
        case None | "auto":
            written = {"type": "auto"} if choice or one_by_one else None
        case _ if "tool_choice.function" in words:
            # To be offered one tool and to have to call one is to have to call that one.
            fields["tools"] = [tool for tool in tools if tool.get("name") == choice] or tools
            written = {"type": "any"}
        case _:
            written = {"type": "tool", "name": choice}
    if written is not None:
        fields["tool_choice"] = {**written, "disable_parallel_tool_use": True} if one_by_one else written
    return fields


def _tools(request: LLMRequest, target: Target) -> Iterator[Mapping[str, Any]]:
    for index, tool in enumerate(request.tools):
        if tool.builtin is None:
            yield _function(tool, target)
        elif "input_schema" in tool.builtin or _OWN_TOOL.fullmatch(str(tool.builtin.get("type"))):
            yield tool.builtin
        else:
            raise ValidationError(f"tools[{index}] is another provider's own tool, which this format does not know.")


def _function(tool: Tool, target: Target) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    schema = {"type": "object", "properties": {}, **tool.parameters}
    enforced = bool(tool.strict) and "json_schema" in target.features
    if target.quirks.closed_schemas and is_open(tool.parameters):
        enforced = False  # it would be refused, or hold nothing
    written["input_schema"] = _as_wanted(schema, target) if enforced else schema
    if enforced:
        written["strict"] = True
    return written


def _as_wanted(schema: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    return strict_schema(schema) if target.quirks.closed_schemas else schema


def _limit_marks(body: Mapping[str, Any], conversation: Conversation, target: Target) -> None:
    elsewhere = sum("cache_control" in tool for tool in body.get("tools", ()))
    taken = conversation.limit_marks(_MOST_MARKS - elsewhere)
    if taken:
        log.debug("The first %d marks for the cache are not sent to %s: it takes 4", taken, target.name)
