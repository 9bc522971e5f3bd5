"""Requests: from our types to the JSON bodies of Cohere's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from unified_llm._core.codec import WireRequest
from unified_llm._core.paths import segments
from unified_llm._core.target import Target
from unified_llm._formats.cohere.messages import write_messages
from unified_llm._formats.request_fields import apply_quirks, effective, function_of, get, post
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import ResponseFormat, Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest, RerankRequest

# Our name → Cohere's name.
_FIELDS: Final[Mapping[str, str]] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "seed": "seed",
    "stop": "stop_sequences",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
}
_OTHER_SETTINGS: Final = ("reasoning_effort", "top_logprobs", "parallel_tool_calls")
# Models from the third version on require one (docs.cohere.com/reference/embed).
_INPUT_TYPES: Final = {"query": "search_query", "document": "search_document", None: "search_document"}
# The largest page that the API allows.
_PAGE_SIZE: Final = 1000


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``/v2/chat``."""
    body: dict[str, Any] = {"model": target.model, "messages": write_messages(request.messages, target)}
    body |= {"stream": request.stream, **_write_settings(request, target), **_write_tool_fields(request, target)}
    if request.response_format is not None:
        body["response_format"] = _write_response_format(request.response_format)
    return post("/v2/chat", {**body, **target.extra_body, **request.extra_body}, target, stream=request.stream)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """Write a request for ``/v2/embed``; a text without a purpose is embedded as a document."""
    body: dict[str, Any] = {
        "model": target.model,
        "texts": list(request.texts),
        "input_type": _INPUT_TYPES[request.purpose],
        "embedding_types": ["float"],
    }
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        body["output_dimension"] = dimensions
    return post("/v2/embed", {**body, **target.extra_body, **request.extra_body}, target)


def write_rerank(request: RerankRequest, target: Target) -> WireRequest:
    """Write a request for ``/v2/rerank``."""
    body: dict[str, Any] = {"model": target.model, "query": request.query, "documents": list(request.documents)}
    if request.top_n is not None:
        body["top_n"] = request.top_n
    return post("/v2/rerank", {**body, **target.extra_body, **request.extra_body}, target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """Write a request for a page of the model list."""
    cursor = f"&page_token={quote(request.cursor, safe='')}" if request.cursor else ""
    return get(f"/v1/models?page_size={_PAGE_SIZE}{cursor}", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """Write a request for the description of the target's model."""
    return get(f"/v1/models/{segments(target.model, has_parts=target.names_have_parts)}", target)


def _write_settings(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Write the settings of the request or the target's defaults, without those that the model refuses."""
    names = (*_FIELDS, *_OTHER_SETTINGS)
    settings = {name: value for name in names if (value := effective(request, name, target)) is not None}
    if "top_logprobs" in settings:
        settings.setdefault("logprobs", True)  # the API has no alternatives, only those of the answer's tokens
    wanted = apply_quirks(settings, target)
    if "stop" in wanted:
        wanted["stop"] = list(wanted["stop"])
    fields = {_FIELDS[name]: value for name, value in wanted.items() if name in _FIELDS}
    if (effort := wanted.get("reasoning_effort")) is not None:
        # On or off; users set a token budget themselves, with ``thinking`` in extra_body.
        fields["thinking"] = {"type": "disabled" if effort == "none" else "enabled"}
    return fields


def _write_tool_fields(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Write the tools and the choice. The API cannot require one tool by name: only that tool is sent, as required."""
    choice, tools = request.tool_choice, request.tools
    if not tools or (choice == "none" and "tool_choice" not in target.features):
        return {}
    chosen = tuple(tool for tool in tools if tool.name == choice) if choice not in {"auto", "none", "required"} else ()
    fields: dict[str, Any] = {"tools": [_write_tool(tool) for tool in chosen or tools]}
    strict = {tool.strict for tool in tools}
    if True in strict and False not in strict:
        fields["strict_tools"] = True  # applies to all tools or to none
    if choice not in {None, "auto"}:
        fields["tool_choice"] = "NONE" if choice == "none" else "REQUIRED"
    return fields


def _write_tool(tool: Tool) -> dict[str, Any]:
    if tool.builtin is not None:
        raise ValidationError("tools has another provider's built-in tool, which Cohere does not have.")
    return {"type": "function", "function": function_of(tool)}


def _write_response_format(wanted: ResponseFormat) -> dict[str, Any]:
    field: dict[str, Any] = {"type": "json_object"}
    return field if wanted.schema is None else {**field, "json_schema": wanted.schema}
