"""Requests: from our types to the JSON body of Anthropic's format, with a target's quirks applied."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.exceptions import ValidationError
from unified_llm.messages import Tool
from unified_llm.providers.anthropic.messages import Conversation, write_conversation
from unified_llm.providers.anthropic.schemas import strict_schema
from unified_llm.providers.anthropic.thinking import write_thinking
from unified_llm.providers.codec import WireRequest
from unified_llm.providers.writing import as_wanted, get, leave_out, post, setting
from unified_llm.schema import is_open
from unified_llm.target import Target
from unified_llm.types import LLMRequest, ModelsRequest

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


def write_chat(ask: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/messages``."""
    return post("/messages", _body(ask, target), target, stream=ask.stream)


def write_count(ask: CountRequest, target: Target) -> WireRequest:
    """A request for ``/messages/count_tokens``, which takes what belongs to the prompt and refuses the rest."""
    body = _body(ask.chat, target)
    return post("/messages/count_tokens", {name: body[name] for name in _COUNTED if name in body}, target)


def write_models(ask: ModelsRequest, target: Target) -> WireRequest:
    """A request for the list of models, with as many on a page as there may be."""
    after = f"&after_id={quote(ask.cursor, safe='')}" if ask.cursor else ""
    return get(f"/models?limit=1000{after}", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """A request for what is known of one model."""
    return get(f"/models/{quote(target.model, safe='')}", target)


def _body(ask: LLMRequest, target: Target) -> dict[str, Any]:
    conversation = write_conversation(ask.messages, target)
    fields = _settings(ask, target)
    most = setting(ask, "max_tokens", target)
    if most is None:
        most = target.max_output or ANSWER_TOKENS
    body: dict[str, Any] = {"model": target.model, "max_tokens": most, "messages": []}
    if conversation.system is not None:
        body["system"] = conversation.system
    body |= {name: fields[name] for name in ("temperature", "top_p") if name in fields}
    if stop := _stop(fields.get("stop", ()), target):
        body["stop_sequences"] = stop
    body |= _tool_fields(ask, conversation, target, one_by_one=fields.get("parallel_tool_calls") is False)
    if "reasoning_effort" in fields:
        _think(body, fields["reasoning_effort"], conversation, target)
    if ask.response_format is not None:
        schema = ask.response_format.schema
        if schema is None:
            raise ValidationError("response_format needs a schema: this format has no JSON without one.")
        output = body.setdefault("output_config", {})
        output["format"] = {"type": "json_schema", "schema": _as_wanted(schema, target)}
    if ask.stream:
        body["stream"] = True
    _limit_marks(body, conversation, target)
    body["messages"] = conversation.written()
    return {**body, **target.extra_body, **ask.extra_body}


def _settings(ask: LLMRequest, target: Target) -> dict[str, Any]:
    """Settings under our own names, without those that the target, or the format, does not take."""
    leave_out(_FOREIGN, ask, target)
    given = {name: value for name in _NAMES if (value := setting(ask, name, target)) is not None}
    wanted = as_wanted(given, target)
    if {"temperature", "top_p"} <= wanted.keys() and "top_p.with_temperature" in target.quirks.get("drop", ()):
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


def _tool_fields(ask: LLMRequest, conversation: Conversation, target: Target, *, one_by_one: bool) -> dict[str, Any]:
    choice, words = ask.tool_choice, target.quirks.get("drop", frozenset[str]())
    tools = list(_tools(ask, target))
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


def _tools(ask: LLMRequest, target: Target) -> Iterator[Mapping[str, Any]]:
    for index, tool in enumerate(ask.tools):
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
    if target.quirks.get("closed_schemas") and is_open(tool.parameters):
        enforced = False  # it would be refused, or hold nothing
    written["input_schema"] = _as_wanted(schema, target) if enforced else schema
    if enforced:
        written["strict"] = True
    return written


def _as_wanted(schema: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    return strict_schema(schema) if target.quirks.get("closed_schemas") else schema


def _limit_marks(body: Mapping[str, Any], conversation: Conversation, target: Target) -> None:
    elsewhere = sum("cache_control" in tool for tool in body.get("tools", ()))
    taken = conversation.limit_marks(_MOST_MARKS - elsewhere)
    if taken:
        log.debug("The first %d marks for the cache are not sent to %s: it takes 4", taken, target.name)
