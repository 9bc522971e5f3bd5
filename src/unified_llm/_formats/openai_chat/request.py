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
    as_wanted,
    continued,
    function_of,
    get,
    leave_out,
    own_tool,
    post,
    sanitised_name,
    setting,
    tool_fields,
    while_reasoning,
)
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

# Fields that have the same name here and there; the target's defaults fill the ones that a call leaves open.
_SAMPLING: Final = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
)  # fmt: skip
_PLAIN: Final = (*_SAMPLING, "reasoning_effort", "logprobs", "top_logprobs")


def write_chat(ask: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/chat/completions``, or for text completion where that was asked for."""
    if ask.as_text:
        return _write_text(ask, target)
    fields = _fields(_PLAIN, ask, target)
    if "top_logprobs" in fields:
        fields.setdefault("logprobs", True)  # one without the other is refused
    if target.quirks.logprobs_count and fields.get("logprobs"):
        fields["logprobs"] = fields.pop("top_logprobs", 0) or 1
    fields |= tool_fields(ask, target, _tool, _named)
    if ask.response_format is not None:
        fields["response_format"] = _response_format(ask.response_format)
    fields |= _delivery(ask, target)
    fields = _with_effort(fields, target.quirks)
    body = {
        "model": target.model,
        "messages": write_messages(ask.messages, target),
        **target.quirks.send,
        **as_wanted(fields, while_reasoning(fields, target)),
    }
    return post("/chat/completions", {**body, **target.extra_body, **ask.extra_body}, target, stream=ask.stream)


def _write_text(ask: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/completions``: the text of the last message is what is continued.

    ``suffix``, ``echo`` and the like go into ``extra_body``.
    """
    leave_out(("reasoning_effort",), ask, target)
    fields = _fields(_SAMPLING, ask, target)
    alternatives = setting(ask, "top_logprobs", target)
    if setting(ask, "logprobs", target) or alternatives:
        fields["logprobs"] = alternatives or 1  # here it is the number of alternatives
    fields |= _delivery(ask, target)
    # The names of old are the only ones that this endpoint knows.
    by_old_names = replace(target, quirks=replace(target.quirks, rename={}))
    body = {"model": target.model, "prompt": continued(ask), **as_wanted(fields, by_old_names)}
    path = target.quirks.text_path
    return post(path, {**body, **target.extra_body, **ask.extra_body}, target, stream=ask.stream)


def write_embeddings(ask: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for ``/embeddings``; base64 halves the answer and saves parsing thousands of decimal numbers."""
    fields: dict[str, Any] = {"encoding_format": "base64"}
    dimensions = setting(ask, "dimensions", target)
    if dimensions is not None:
        fields["dimensions"] = dimensions
    body = {"model": target.model, "input": list(ask.texts), **as_wanted(fields, target)}
    return post("/embeddings", {**body, **target.extra_body, **ask.extra_body}, target)


def write_models(ask: ModelsRequest, target: Target) -> WireRequest:
    """A request for the list of models."""
    path = _models_path(target)
    if ask.cursor:
        path += f"{'&' if '?' in path else '?'}after={quote(ask.cursor, safe='')}"
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


def _fields(names: tuple[str, ...], ask: LLMRequest, target: Target) -> dict[str, Any]:
    fields = {name: value for name in names if (value := setting(ask, name, target)) is not None}
    if isinstance(fields.get("stop"), tuple):
        fields["stop"] = list(fields["stop"])
    return fields


def _delivery(ask: LLMRequest, target: Target) -> dict[str, Any]:
    """How many answers, and whether in pieces: several are never streamed."""
    if not ask.stream:
        return {"n": ask.n} if ask.n is not None and ask.n > 1 else {}
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
        return own_tool(tool.name, tool.builtin)
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
