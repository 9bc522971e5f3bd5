"""Requests: from our types to the JSON body of OpenAI's format, with a target's quirks applied.

What a target refuses is left out here (``drop``) or goes under another name (``rename``), so that one request can be
sent to every target of a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.messages import ResponseFormat, Tool
from unified_llm.providers.codec import WireRequest
from unified_llm.providers.openai_chat.messages import write_messages
from unified_llm.providers.writing import as_wanted, get, post, sanitised_name
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

# Fields that have the same name here and there; the target's defaults fill the ones that a call leaves open.
_PLAIN: Final = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort",
    "logprobs", "top_logprobs",
)  # fmt: skip


def write_chat(ask: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/chat/completions``."""
    fields: dict[str, Any] = {}
    for name in _PLAIN:
        value = getattr(ask, name)
        if value is None or value == ():
            value = target.defaults.get(name)
        if value is not None and value != ():
            fields[name] = value
    if isinstance(fields.get("stop"), tuple):
        fields["stop"] = list(fields["stop"])
    if "top_logprobs" in fields:
        fields.setdefault("logprobs", True)  # one without the other is refused
    fields |= _tool_fields(ask, target)
    if ask.response_format is not None:
        fields["response_format"] = _response_format(ask.response_format)
    if ask.stream:
        fields["stream"] = True
        if not target.quirks.get("usage_always"):
            fields["stream_options"] = {"include_usage": True}
    messages = write_messages(ask.messages, target.quirks)
    body = {"model": target.model, "messages": messages, **as_wanted(fields, target)}
    return post("/chat/completions", {**body, **target.extra_body, **ask.extra_body}, target, stream=ask.stream)


def write_embeddings(ask: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for ``/embeddings``; base64 halves the answer and saves parsing thousands of decimal numbers."""
    fields: dict[str, Any] = {"encoding_format": "base64"}
    dimensions = target.defaults.get("dimensions") if ask.dimensions is None else ask.dimensions
    if dimensions is not None:
        fields["dimensions"] = dimensions
    body = {"model": target.model, "input": list(ask.texts), **as_wanted(fields, target)}
    return post("/embeddings", {**body, **target.extra_body, **ask.extra_body}, target)


def write_models(ask: ModelsRequest, target: Target) -> WireRequest:
    """A request for the list of models."""
    path = target.quirks.get("models_path", "/models")
    if not path:
        raise UnsupportedOperationError(
            f"{target.provider} has no list of models; name the model that you want.", provider=target.provider
        )
    if ask.cursor:
        path += f"{'&' if '?' in path else '?'}after={quote(ask.cursor, safe='')}"
    return get(path, target)


def _tool_fields(ask: LLMRequest, target: Target) -> dict[str, Any]:
    """``tools`` and what belongs to it; each is refused without tools, so nothing is sent when there are none."""
    if not ask.tools:
        return {}
    fields: dict[str, Any] = {"tools": [_tool(tool) for tool in ask.tools]}
    if ask.tool_choice is not None:
        fields["tool_choice"] = choice = _tool_choice(ask.tool_choice, ask.tools)
        if isinstance(choice, dict) and "tool_choice.function" in target.quirks.get("drop", ()):
            # To be offered one tool and to have to call one is to have to call that one.
            alone = [_tool(tool) for tool in ask.tools if tool.name == ask.tool_choice]
            fields |= {"tools": alone or fields["tools"], "tool_choice": "required"}
    parallel = ask.parallel_tool_calls
    if parallel is None:
        parallel = target.defaults.get("parallel_tool_calls")
    if parallel is not None:
        fields["parallel_tool_calls"] = parallel
    return fields


def _tool(tool: Tool) -> Mapping[str, Any]:
    if tool.builtin is not None:
        return tool.builtin
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: str, tools: tuple[Tool, ...]) -> str | dict[str, Any]:
    if choice in {"auto", "none", "required"}:
        return choice
    for tool in tools:
        if tool.name == choice and tool.builtin is not None:
            return {"type": tool.builtin.get("type", choice)}
    return {"type": "function", "function": {"name": choice}}


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": sanitised_name(wanted.name) or "answer", "schema": wanted.schema}
    if wanted.strict is not None:
        inner["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": inner}
