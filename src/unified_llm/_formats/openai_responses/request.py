"""Requests: from our types to the JSON body of the Responses format, with a target's quirks applied.

It has no ``stop``, ``seed`` or penalties: those are left out, so that one request can be sent to every target of a
chain. Whoever knows a server that takes them says so in ``extra_body``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.target import Target
from unified_llm._formats.json_values import is_list, is_object
from unified_llm._formats.openai_responses.messages import write_items
from unified_llm._formats.request_fields import (
    apply_quirks,
    check_builtin_tool,
    effective,
    function_of,
    log_dropped,
    post,
    sanitised_name,
    tool_fields,
    with_reasoning_drops,
)
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import CountRequest, LLMRequest

_PLAIN: Final = ("temperature", "top_p", "reasoning_effort", "logprobs", "top_logprobs")
_UNKNOWN: Final = ("stop", "seed", "frequency_penalty", "presence_penalty")
# What ``/responses/input_tokens`` takes (openai.types.responses.input_token_count_params).
_COUNTED: Final = ("input", "model", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools")


def write_response(request: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/responses``."""
    return post("/responses", _body(request, target), target, stream=request.stream)


def write_count(request: CountRequest, target: Target) -> WireRequest:
    """A request for the number of tokens of a prompt."""
    body = _body(request.chat, target)
    return post("/responses/input_tokens", {name: body[name] for name in _COUNTED if name in body}, target)


def _body(request: LLMRequest, target: Target) -> Mapping[str, Any]:
    fields = _sampling(request, target) | tool_fields(request, target, _tool, _named)
    fields = apply_quirks(fields, with_reasoning_drops(fields, target))
    include: list[str] = []
    effort = fields.pop("reasoning_effort", None)
    if effort is not None:
        fields["reasoning"] = {"effort": target.quirks.efforts.get(effort, effort)}
    if fields.pop("logprobs", None) or "top_logprobs" in fields:
        include.append("message.output_text.logprobs")
    if (target.reasoning or effort not in {None, "none"}) and "include" not in target.quirks.drop:
        # Other models refuse to be asked for it (github.com/NousResearch/hermes-agent/pull/24234).
        include.append("reasoning.encrypted_content")
    if include:
        fields["include"] = include
    limit = effective(request, "max_tokens", target)
    if limit is not None:
        fields["max_output_tokens"] = limit
    if request.response_format is not None:
        fields["text"] = {"format": _format(request.response_format)}
    if request.stream:
        fields["stream"] = True
    body = {"model": target.model, "input": write_items(request.messages, target), "store": False, **fields}
    return _merged(_merged(body, target.extra_body), request.extra_body)


def _sampling(request: LLMRequest, target: Target) -> dict[str, Any]:
    log_dropped(_UNKNOWN, request, target)
    said = {name: effective(request, name, target) for name in _PLAIN}
    return {name: value for name, value in said.items() if value is not None}


def _merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the user's own fields in it.

    ``text``, ``reasoning`` and ``include`` hold several things: to add one takes none of the others away.
    """
    merged = {**body, **extra}
    for name in ("text", "reasoning"):
        ours, theirs = body.get(name), extra.get(name)
        if is_object(ours) and is_object(theirs):
            merged[name] = {**ours, **theirs}
    ours, theirs = body.get("include"), extra.get("include")
    if is_list(ours) and is_list(theirs):
        merged["include"] = list(dict.fromkeys([*ours, *theirs]))
    return merged


def _tool(tool: Tool) -> Mapping[str, Any]:
    if tool.builtin is not None:
        return check_builtin_tool(tool.name, tool.builtin)
    # Left open it would be strict here, and optional arguments required, as in no other format.
    return {"type": "function", **function_of(tool), "strict": bool(tool.strict)}


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    written = {"type": "json_schema", "name": sanitised_name(wanted.name) or "answer", "schema": wanted.schema}
    return written if wanted.strict is None else {**written, "strict": wanted.strict}
