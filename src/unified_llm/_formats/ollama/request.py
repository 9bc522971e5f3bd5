"""Requests: from our types to the JSON bodies of Ollama's API.

``stream`` is always sent, since the server streams by default.
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
# Every name that the server knows inside ``options`` and ignores beside them (api/types.go: Options, Runner; the last
# line has those of older servers, by ollama-python's Options). Users write them in either place.
_OPTION_NAMES: Final = frozenset({
    "num_keep", "seed", "num_predict", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "temperature",
    "repeat_penalty", "presence_penalty", "frequency_penalty", "stop",
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread",
    "numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "embedding_only", "tfs_z", "mirostat",
    "mirostat_tau", "mirostat_eta", "penalize_newline", "num_gqa", "rope_frequency_base", "rope_frequency_scale",
})  # fmt: skip
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


def _merge_extra(body: Mapping[str, Any], target: Target, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Add the declared context window and the user's own fields; the options of all are merged.

    The window is the same in every request of a target: the server loads the model again when it changes.
    """
    window = {"options": {"num_ctx": target.context_window}} if target.window_declared else {}
    layers = (window, body, _sort_options(target.extra_body), _sort_options(extra))
    merged = {name: value for layer in layers for name, value in layer.items()}
    options = [layer["options"] for layer in layers if "options" in layer]
    if len(options) > 1 and all(isinstance(fields, Mapping) for fields in options):
        merged["options"] = {name: value for fields in options for name, value in fields.items()}
    return merged


def _sort_options(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the user's fields with the server's options inside ``options``, where the user wrote them beside it."""
    misplaced = {name: value for name, value in fields.items() if name in _OPTION_NAMES}
    if not misplaced:
        return fields
    kept = {name: value for name, value in fields.items() if name not in misplaced}
    options = fields.get("options")
    return {**kept, "options": {**misplaced, **(options if isinstance(options, Mapping) else {})}}


def _write_tools(request: LLMRequest) -> dict[str, Any]:
    """Write the tools. The API has no ``tool_choice``, so a choice of ``none`` is sent as no tools."""
    if not request.tools or request.tool_choice == "none":
        return {}
    return {"tools": [_write_tool(tool) for tool in request.tools]}


def _write_tool(tool: Tool) -> dict[str, Any]:
    if tool.builtin is not None:
        raise ValidationError("tools has another provider's built-in tool, which Ollama does not have.")
    return {"type": "function", "function": function_of(tool)}
