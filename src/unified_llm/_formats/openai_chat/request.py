"""Write requests: the JSON body of OpenAI's format, with a target's quirks applied.

Fields that a target rejects are omitted (``drop``) or renamed (``rename``), so that one request can be sent to every
target of a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from unified_llm._core.codec import WireRequest
from unified_llm._core.paths import segments
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.custom_tools import custom_names, is_custom, write_chat_tool
from unified_llm._formats.openai_chat.messages import write_messages
from unified_llm._formats.original_body import write_original
from unified_llm._formats.request_fields import (
    apply_quirks,
    check_builtin_tool,
    effective,
    function_of,
    get,
    log_dropped,
    post,
    prompt_to_continue,
    sanitised_name,
    tool_fields,
    with_reasoning_drops,
    without_version_path,
)
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest, TokenText

# Fields with the same name in our types and in the format; the target's defaults fill fields that are not set.
_SAMPLING: Final = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
)  # fmt: skip
_SAME_NAME: Final = (*_SAMPLING, "reasoning_effort", "logprobs", "top_logprobs")


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``/chat/completions``, or for text completion with ``as_text``."""
    if request.original is not None:
        path = target.quirks.text_path if request.as_text else "/chat/completions"
        return write_original(path, request, target)
    if request.as_text:
        return _write_completion(request, target)
    fields = _fields(_SAME_NAME, request, target)
    if "top_logprobs" in fields:
        fields.setdefault("logprobs", True)  # rejected without it
    if target.quirks.logprobs_count and fields.get("logprobs"):
        fields["logprobs"] = fields.pop("top_logprobs", 0) or 1
    fields |= tool_fields(request, target, _write_tool, _tool_choice)
    if request.response_format is not None:
        fields["response_format"] = _write_response_format(request.response_format)
    fields |= _n_or_stream(request, target)
    if target.quirks.reasoning_format and (reasoning_format := effective(request, "reasoning_format", target)):
        fields["reasoning_format"] = reasoning_format
    fields = _map_effort(fields, target.quirks)
    body = {
        "model": target.model,
        "messages": write_messages(request.messages, target, custom_names(request.tools)),
        **target.quirks.send,
        **apply_quirks(fields, with_reasoning_drops(fields, target)),
    }
    return post("/chat/completions", {**body, **target.extra_body, **request.extra_body}, target, stream=request.stream)


def _write_completion(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``/completions``, which continues the text of the last message.

    ``suffix``, ``echo`` and the like go into ``extra_body``.
    """
    log_dropped(("reasoning_effort",), request, target)
    fields = _fields(_SAMPLING, request, target)
    alternatives = effective(request, "top_logprobs", target)
    if effective(request, "logprobs", target) or alternatives:
        fields["logprobs"] = alternatives or 1  # here it is the number of alternatives
    fields |= _n_or_stream(request, target)
    # This older endpoint accepts only the original names.
    without_renames = replace(target, quirks=replace(target.quirks, rename={}))
    body = {"model": target.model, "prompt": prompt_to_continue(request), **apply_quirks(fields, without_renames)}
    path = target.quirks.text_path
    return post(path, {**body, **target.extra_body, **request.extra_body}, target, stream=request.stream)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """Write a request for ``/embeddings``; base64 halves the response and saves parsing thousands of decimals."""
    if request.original is not None:
        return write_original("/embeddings", request, target)
    fields: dict[str, Any] = {"encoding_format": "base64"}
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        fields["dimensions"] = dimensions
    body = {"model": target.model, "input": [*map(_text_or_tokens, request.texts)], **apply_quirks(fields, target)}
    return post("/embeddings", {**body, **target.extra_body, **request.extra_body}, target)


def _text_or_tokens(text: str) -> str | list[int]:
    return list(text.ids) if isinstance(text, TokenText) else text


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """Write a request for the list of models, or for the loaded ones."""
    if request.loaded:
        return get(target.quirks.loaded_path, without_version_path(target, "/v1"))
    path = _models_path(target)
    if request.cursor:
        path += f"{'&' if '?' in path else '?'}after={quote(request.cursor, safe='')}"
    return get(path, target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """Write a request for the target's model, or for the list of all models where there is no such endpoint."""
    path = _models_path(target)
    if not target.quirks.models_whole:
        name = segments(target.model, has_parts=target.names_have_parts)
        path = f"{path.partition('?')[0]}/{name}"
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


def _n_or_stream(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Return the fields for the number of responses and for streaming: several responses are never streamed."""
    if not request.stream:
        return {"n": request.n} if request.n is not None and request.n > 1 else {}
    usage = {} if target.quirks.usage_always else {"stream_options": {"include_usage": True}}
    return {"stream": True, **usage}


def _map_effort(fields: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    """Return the fields with the reasoning effort under the target's name for it."""
    effort = fields.get("reasoning_effort")
    if effort is None:
        return fields
    mapped = {**fields, "reasoning_effort": quirks.efforts.get(effort, effort)}
    style = quirks.thinking
    if style is None:
        return mapped
    if style == "switch" or effort == "none":
        del mapped["reasoning_effort"]
    return {**mapped, "thinking": {"type": "disabled" if effort == "none" else "enabled"}}


def _write_tool(tool: Tool) -> Mapping[str, Any]:
    if is_custom(tool):
        return write_chat_tool(tool)
    if tool.builtin is not None:
        return check_builtin_tool(tool.name, tool.builtin)
    function = function_of(tool)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _write_response_format(response_format: ResponseFormat) -> dict[str, Any]:
    if response_format.schema is None:
        return {"type": "json_object"}
    name = sanitised_name(response_format.name) or "answer"
    json_schema: dict[str, Any] = {"name": name, "schema": response_format.schema}
    if response_format.strict is not None:
        json_schema["strict"] = response_format.strict
    return {"type": "json_schema", "json_schema": json_schema}
