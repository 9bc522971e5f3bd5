"""Requests: from our types to the JSON bodies of Ollama's API.

``stream`` is always sent, since the server streams by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.codec import WireRequest
from unified_llm._core.nested_settings import OLLAMA_OPTIONS, nest
from unified_llm._core.target import Target
from unified_llm._formats.ollama.messages import write_messages
from unified_llm._formats.request_fields import apply_quirks, effective, function_of, get, post, prompt_to_continue
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

# Our name → the server's name, inside ``options``.
_OPTIONS: Final[Mapping[str, str]] = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
# The server ignores them beside ``options``. Users write them in either place.
_OPTION_NAMES: Final = {name: name for name in OLLAMA_OPTIONS}
_OTHER_SETTINGS: Final = ("reasoning_effort", "logprobs", "top_logprobs", "parallel_tool_calls")
# The server refuses a prompt or text that is too long, rather than cut it without a word (ollama/ollama PR #13959).
_NOT_CUT: Final[Mapping[str, Any]] = {"truncate": False}
# As the server itself translates OpenAI's efforts (openai/openai.go); any other value is sent unchanged.
_THINK_BY_EFFORT: Final[Mapping[str, str | bool]] = {"none": False, "minimal": "low", "xhigh": "max", "ultra": "max"}


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``/api/chat``, or for ``/api/generate`` to continue a text without a template."""
    body: dict[str, Any] = {"model": target.model, **_NOT_CUT}
    if request.as_text:
        body |= {"prompt": prompt_to_continue(request), "raw": True}
    else:
        body |= {"messages": write_messages(request.messages, target), **_write_tools(request)}
    body |= {"stream": request.stream, **_write_settings(request, target)}
    if request.response_format is not None:
        schema = request.response_format.schema
        body["format"] = "json" if schema is None else schema
    path = "/api/generate" if request.as_text else "/api/chat"
    return post(path, _merge_extra(body, target, request.extra_body), target)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """Write a request for ``/api/embed``."""
    body: dict[str, Any] = {"model": target.model, "input": list(request.texts), **_NOT_CUT}
    dimensions = effective(request, "dimensions", target)
    if dimensions is not None:
        body["dimensions"] = dimensions
    return post("/api/embed", _merge_extra(body, target, request.extra_body), target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """Write a request for the models that the server has pulled, or for those that are loaded."""
    return get(target.quirks.loaded_path if request.loaded else "/api/tags", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """Write a request for the description of the target's model."""
    return post("/api/show", {"model": target.model}, target)


def _write_settings(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Write the settings of the request or the target's defaults, without those that the model refuses."""
    names = (*_OPTIONS, *_OTHER_SETTINGS)
    settings = {name: value for name in names if (value := effective(request, name, target)) is not None}
    wanted = apply_quirks(settings, target)
    if "stop" in wanted:
        wanted["stop"] = list(wanted["stop"])
    fields: dict[str, Any] = {}
    if (effort := wanted.get("reasoning_effort")) is not None:
        fields["think"] = _THINK_BY_EFFORT.get(effort, effort)
    if wanted.get("logprobs") or "top_logprobs" in wanted:
        fields["logprobs"] = True  # the server has alternatives only together with logprobs
    if "top_logprobs" in wanted:
        fields["top_logprobs"] = wanted["top_logprobs"]
    options = {_OPTIONS[name]: value for name, value in wanted.items() if name in _OPTIONS}
    return {**fields, "options": options} if options else fields


def options_of(target: Target) -> Mapping[str, Any]:
    """Return the options that every request to a target has, whatever the request sets beside them."""
    options = _merge_extra({}, target, {}).get("options")
    return options if isinstance(options, Mapping) else {}


def _merge_extra(body: Mapping[str, Any], target: Target, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Add the declared context window and the user's own fields; the options of all are merged.

    The window is the same in every request of a target: the server loads the model again when it changes.
    """
    window = {"options": {"num_ctx": target.context_window}} if target.window_declared else {}
    of_user = (nest(fields, _OPTION_NAMES, "options") for fields in (target.extra_body, extra))
    layers = (window, body, *of_user)
    merged = {name: value for layer in layers for name, value in layer.items()}
    options = [layer["options"] for layer in layers if "options" in layer]
    if len(options) > 1 and all(isinstance(fields, Mapping) for fields in options):
        merged["options"] = {name: value for fields in options for name, value in fields.items()}
    return merged


def _write_tools(request: LLMRequest) -> dict[str, Any]:
    """Write the tools. The API has no ``tool_choice``, so a choice of ``none`` is sent as no tools."""
    if not request.tools or request.tool_choice == "none":
        return {}
    return {"tools": [_write_tool(tool) for tool in request.tools]}


def _write_tool(tool: Tool) -> dict[str, Any]:
    if tool.builtin is not None:
        raise ValidationError("tools has another provider's built-in tool, which Ollama does not have.")
    return {"type": "function", "function": function_of(tool)}
