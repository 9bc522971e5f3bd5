"""Requests: from our types to the JSON body of OpenAI's format, with a target's quirks applied.

What a target refuses is left out here (``drop``) or goes under another name (``rename``), so that one request can be
sent to every target of a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from unified_llm._core.codec import WireRequest
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.openai_chat.messages import write_messages
from unified_llm._formats.request_fields import (
    apply_quirks,
    check_builtin_tool,
    prompt_to_continue,
    effective,
    function_of,
    get,
    log_dropped,
    post,
    sanitised_name,
    tool_fields,
    with_reasoning_drops,
)
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

# Fields that have the same name here and there; the target's defaults fill the ones that a call leaves open.
_SAMPLING: Final = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
)  # fmt: skip
_PLAIN: Final = (*_SAMPLING, "reasoning_effort", "logprobs", "top_logprobs")


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/chat/completions``, or for text completion where that was asked for."""
    if request.as_text:
        return _write_text(request, target)
    fields = _fields(_PLAIN, request, target)
    if "top_logprobs" in fields:
        fields.setdefault("logprobs", True)  # one without the other is refused
    if target.quirks.logprobs_count and fields.get("logprobs"):
        fields["logprobs"] = fields.pop("top_logprobs", 0) or 1
    fields |= tool_fields(request, target, _tool, _named)
    if request.response_format is not None:
        fields["response_format"] = _response_format(request.response_format)
    fields |= _delivery(request, target)
    fields = _with_effort(fields, target.quirks)
    body = {
        "model": target.model,
        "messages": write_messages(request.messages, target),
        **target.quirks.send,
        **apply_quirks(fields, with_reasoning_drops(fields, target)),
    }
    return post("/chat/completions", {**body, **target.extra_body, **request.extra_body}, target, stream=request.stream)


def _write_text(request: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/completions``: the text of the last message is what is continued.

    ``suffix``, ``echo`` and the like go into ``extra_body``.
    """
    log_dropped(("reasoning_effort",), request, target)
    fields = _fields(_SAMPLING, request, target)
    alternatives = effective(request, "top_logprobs", target)
    if effective(request, "logprobs", target) or alternatives:
        fields["logprobs"] = alternatives or 1  # here it is the number of alternatives
    fields |= _delivery(request, target)
    # The names of old are the only ones that this endpoint knows.
    by_old_names = replace(target, quirks=replace(target.quirks, rename={}))
    body = {"model": target.model, "prompt": prompt_to_continue(request), **apply_quirks(fields, by_old_names)}
    path = target.quirks.text_path
    return post(path, {**body, **target.extra_body, **request.extra_body}, target, stream=request.stream)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for ``/embeddings``; base64 halves the answer and saves parsing thousands of decimal numbers."""
    fields: dict[str, Any] = {"encoding_format": "base64"}
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        fields["dimensions"] = dimensions
    body = {"model": target.model, "input": list(request.texts), **apply_quirks(fields, target)}
    return post("/embeddings", {**body, **target.extra_body, **request.extra_body}, target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """A request for the list of models."""
    path = _models_path(target)
    if request.cursor:
        path += f"{'&' if '?' in path else '?'}after={quote(request.cursor, safe='')}"
    return get(path, target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """A request for what is said of the target's model: by itself, or in the list of all."""
    path = _models_path(target)
    if not target.quirks.models_whole:
        path = f"{path.partition('?')[0]}/{quote(target.model, safe='/:@')}"
    return get(path, target)


def _models_path(target: Target) -> str:
    path = target.quirks.models_path
    if not path:
        raise UnsupportedOperationError(
            f"{target.provider} has no list of models; name the model that you want.", provider=target.provider
        )
    return path


def _fields(names: tuple[str, ...], request: LLMRequest, target: Target) -> dict[str, Any]:
    fields = {name: value for name in names if (value := effective(request, name, target)) is not None}
    if isinstance(fields.get("stop"), tuple):
        fields["stop"] = list(fields["stop"])
    return fields


def _delivery(request: LLMRequest, target: Target) -> dict[str, Any]:
    """How many answers, and whether in pieces: several are never streamed."""
    if not request.stream:
        return {"n": request.n} if request.n is not None and request.n > 1 else {}
    usage = {} if target.quirks.usage_always else {"stream_options": {"include_usage": True}}
    return {"stream": True, **usage}


def _with_effort(fields: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    """The fields with the effort as the target names it."""
    effort = fields.get("reasoning_effort")
    if effort is None:
        return fields
    named = {**fields, "reasoning_effort": quirks.efforts.get(effort, effort)}
    way = quirks.thinking
    if way is None:
        return named
    if way == "switch" or effort == "none":
        del named["reasoning_effort"]
    return {**named, "thinking": {"type": "disabled" if effort == "none" else "enabled"}}


def _tool(tool: Tool) -> Mapping[str, Any]:
    if tool.builtin is not None:
        return check_builtin_tool(tool.name, tool.builtin)
    function = function_of(tool)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": sanitised_name(wanted.name) or "answer", "schema": wanted.schema}
    if wanted.strict is not None:
        inner["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": inner}
