"""Requests: from our types to the JSON bodies of Ollama's API.

``stream`` is always said, since the server streams where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.target import Target
from unified_llm._formats.ollama.messages import write_messages
from unified_llm._formats.request_fields import apply_quirks, effective, function_of, get, post, prompt_to_continue
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

# Our name → the server's, inside ``options``.
_OPTIONS: Final[Mapping[str, str]] = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
_ASIDE: Final = ("reasoning_effort", "logprobs", "top_logprobs", "parallel_tool_calls")
# As the server itself translates OpenAI's efforts (openai/openai.go); any other word goes as it is.
_THINK: Final[Mapping[str, str | bool]] = {"none": False, "minimal": "low", "xhigh": "max", "ultra": "max"}


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """A request for ``/api/chat``; to continue a text without a template, for ``/api/generate``."""
    body: dict[str, Any] = {"model": target.model}
    if request.as_text:
        body |= {"prompt": prompt_to_continue(request), "raw": True}
    else:
        body |= {"messages": write_messages(request.messages, target), **_tools(request)}
    body |= {"stream": request.stream, **_fields(request, target)}
    if request.response_format is not None:
        schema = request.response_format.schema
        body["format"] = "json" if schema is None else schema
    return post("/api/generate" if request.as_text else "/api/chat", _merged(body, target, request.extra_body), target)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for ``/api/embed``; a text that is too long is cut short there unless ``truncate`` is false."""
    body: dict[str, Any] = {"model": target.model, "input": list(request.texts)}
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        body["dimensions"] = dimensions
    return post("/api/embed", _merged(body, target, request.extra_body), target)


def write_models(_: ModelsRequest, target: Target) -> WireRequest:
    """A request for the models that the server has pulled."""
    return get("/api/tags", target)


def write_info(_: ModelRequest, target: Target) -> WireRequest:
    """A request for what the server knows of the target's model."""
    return post("/api/show", {"model": target.model}, target)


def _fields(request: LLMRequest, target: Target) -> dict[str, Any]:
    """What the call or the target's defaults say, less what the table says this model refuses."""
    said = {name: value for name in (*_OPTIONS, *_ASIDE) if (value := effective(request, name, target)) is not None}
    wanted = apply_quirks(said, target)
    if "stop" in wanted:
        wanted["stop"] = list(wanted["stop"])
    fields: dict[str, Any] = {}
    if (effort := wanted.get("reasoning_effort")) is not None:
        fields["think"] = _THINK.get(effort, effort)
    if wanted.get("logprobs") or "top_logprobs" in wanted:
        fields["logprobs"] = True  # alternatives come only with them
    if "top_logprobs" in wanted:
        fields["top_logprobs"] = wanted["top_logprobs"]
    options = {_OPTIONS[name]: value for name, value in wanted.items() if name in _OPTIONS}
    return {**fields, "options": options} if options else fields


def _merged(body: Mapping[str, Any], target: Target, extra: Mapping[str, Any]) -> dict[str, Any]:
    """With the user's own fields; those in ``options`` join the others there rather than replace them."""
    merged = {**body, **target.extra_body, **extra}
    options = [each["options"] for each in (body, target.extra_body, extra) if "options" in each]
    if len(options) > 1 and all(isinstance(each, Mapping) for each in options):
        merged["options"] = {name: value for each in options for name, value in each.items()}
    return merged


def _tools(request: LLMRequest) -> dict[str, Any]:
    """What may be called. There is no ``tool_choice``: to forbid calls is not to offer any."""
    if not request.tools or request.tool_choice == "none":
        return {}
    return {"tools": [_tool(tool) for tool in request.tools]}


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.builtin is not None:
        raise ValidationError("tools holds a tool of another provider's own, which Ollama does not have.")
    return {"type": "function", "function": function_of(tool)}
