"""Requests: from our types to the JSON body of OpenAI's format, with a target's quirks applied.

What a target refuses is left out here (``drop``) or goes under another name (``rename``), so that one request can be
sent to every target of a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import quote

from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.messages import ResponseFormat, Tool
from unified_llm.providers.codec import WireRequest
from unified_llm.providers.history import is_text, text_of
from unified_llm.providers.openai_chat.messages import write_messages
from unified_llm.providers.writing import as_wanted, get, own_tool, post, sanitised_name, setting, while_reasoning
from unified_llm.target import Quirks, Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

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
    if target.quirks.get("logprobs_count") and fields.get("logprobs"):
        fields["logprobs"] = fields.pop("top_logprobs", 0) or 1
    fields |= _tool_fields(ask, target)
    if ask.response_format is not None:
        fields["response_format"] = _response_format(ask.response_format)
    fields |= _delivery(ask, target)
    fields = _with_effort(fields, target.quirks)
    body = {
        "model": target.model,
        "messages": write_messages(ask.messages, target),
        **target.quirks.get("send", {}),
        **as_wanted(fields, while_reasoning(fields, target)),
    }
    return post("/chat/completions", {**body, **target.extra_body, **ask.extra_body}, target, stream=ask.stream)


def _write_text(ask: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/completions``: the text of the last message is what is continued.

    ``suffix``, ``echo`` and the like go into ``extra_body``.
    """
    last = ask.messages[-1].content if ask.messages else ""
    if not last or not is_text(last):
        raise ValidationError("as_text continues the text of the last message: it has to have one, and nothing else.")
    fields = _fields(_SAMPLING, ask, target)
    alternatives = setting(ask, "top_logprobs", target)
    if setting(ask, "logprobs", target) or alternatives:
        fields["logprobs"] = alternatives or 1  # here it is the number of alternatives
    fields |= _delivery(ask, target)
    # The names of old are the only ones that this endpoint knows.
    by_old_names = replace(target, quirks=cast("Quirks", {**target.quirks, "rename": {}}))
    body = {"model": target.model, "prompt": text_of(last), **as_wanted(fields, by_old_names)}
    path = target.quirks.get("text_path", "/completions")
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


def write_model(target: Target) -> WireRequest:
    """A request for what is said of the target's model: by itself, or in the list of all."""
    path = _models_path(target)
    if not target.quirks.get("models_whole"):
        path = f"{path.partition('?')[0]}/{quote(target.model, safe='/:@')}"
    return get(path, target)


def _models_path(target: Target) -> str:
    path = target.quirks.get("models_path", "/models")
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
    usage = {} if target.quirks.get("usage_always") else {"stream_options": {"include_usage": True}}
    return {"stream": True, **usage}


def _with_effort(fields: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    """The fields with the effort as the target names it."""
    effort = fields.get("reasoning_effort")
    if effort is None:
        return fields
    named = {**fields, "reasoning_effort": quirks.get("efforts", {}).get(effort, effort)}
    way = quirks.get("thinking")
    if way is None:
        return named
    if way == "switch" or effort == "none":
        del named["reasoning_effort"]
    return {**named, "thinking": {"type": "disabled" if effort == "none" else "enabled"}}


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
    parallel = setting(ask, "parallel_tool_calls", target)
    if parallel is not None:
        fields["parallel_tool_calls"] = parallel
    return fields


def _tool(tool: Tool) -> Mapping[str, Any]:
    if tool.builtin is not None:
        return own_tool(tool.name, tool.builtin)
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
