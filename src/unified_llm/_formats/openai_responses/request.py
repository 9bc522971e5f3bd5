"""Write requests: the JSON body of the Responses format, with a target's quirks applied.

The format has no ``seed`` or penalties: these are omitted, so that one request can be sent to every target of a chain.
Users of a server that accepts them set them in ``extra_body``. It has no ``stop`` either, which the client applies
itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.target import Target
from unified_llm._formats.custom_tools import custom_names, is_custom, write_responses_tool
from unified_llm._formats.json_values import is_list, is_object
from unified_llm._formats.openai_responses.messages import write_items
from unified_llm._formats.original_body import write_original
from unified_llm._formats.request_fields import (
    NOT_IN_FORMAT,
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

_SAME_NAME: Final = ("temperature", "top_p", "reasoning_effort", "logprobs", "top_logprobs")
# Fields that ``/responses/input_tokens`` accepts (openai.types.responses.input_token_count_params).
_COUNT_FIELDS: Final = ("input", "model", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools")


def write_response(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``/responses``."""
    if request.original is not None:
        return write_original("/responses", request, target)
    return post("/responses", _write_body(request, target), target, stream=request.stream)


def write_count(request: CountRequest, target: Target) -> WireRequest:
    """Write a request for the number of tokens of a prompt."""
    body = _write_body(request.chat, target)
    return post("/responses/input_tokens", {name: body[name] for name in _COUNT_FIELDS if name in body}, target)


def _write_body(request: LLMRequest, target: Target) -> Mapping[str, Any]:
    fields = _sampling_fields(request, target) | tool_fields(request, target, _write_tool, _tool_choice)
    fields = apply_quirks(fields, with_reasoning_drops(fields, target))
    include: list[str] = []
    effort = fields.pop("reasoning_effort", None)
    if effort is not None:
        fields["reasoning"] = {"effort": target.quirks.efforts.get(effort, effort)}
    if fields.pop("logprobs", None) or "top_logprobs" in fields:
        include.append("message.output_text.logprobs")
    if (target.reasoning or effort not in {None, "none"}) and "include" not in target.quirks.drop:
        # Models without reasoning reject it (github.com/NousResearch/hermes-agent/pull/24234).
        include.append("reasoning.encrypted_content")
    if include:
        fields["include"] = include
    limit = effective(request, "max_tokens", target)
    if limit is not None:
        fields["max_output_tokens"] = limit
    if request.response_format is not None:
        fields["text"] = {"format": _write_format(request.response_format)}
    if request.stream:
        fields["stream"] = True
    items = write_items(request.messages, target, custom_names(request.tools))
    body = {"model": target.model, "input": items, "store": False, **fields}
    return _merge_extra(_merge_extra(body, target.extra_body), request.extra_body)


def _sampling_fields(request: LLMRequest, target: Target) -> dict[str, Any]:
    log_dropped(NOT_IN_FORMAT["openai_responses"], request, target)
    fields = {name: effective(request, name, target) for name in _SAME_NAME}
    return {name: value for name, value in fields.items() if value is not None}


def _merge_extra(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the user's extra fields into the body.

    ``text`` and ``reasoning`` are merged by key and ``include`` as a list, so that an extra value removes none of ours.
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


def _write_tool(tool: Tool) -> Mapping[str, Any]:
    if is_custom(tool):
        return write_responses_tool(tool)
    if tool.builtin is not None:
        return check_builtin_tool(tool.name, tool.builtin)
    # Without ``strict`` this format alone defaults to strict, which makes optional arguments required.
    return {"type": "function", **function_of(tool), "strict": bool(tool.strict)}


def _tool_choice(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


def _write_format(response_format: ResponseFormat) -> dict[str, Any]:
    if response_format.schema is None:
        return {"type": "json_object"}
    name = sanitised_name(response_format.name) or "answer"
    format_fields = {"type": "json_schema", "name": name, "schema": response_format.schema}
    return format_fields if response_format.strict is None else {**format_fields, "strict": response_format.strict}
