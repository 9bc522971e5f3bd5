"""Requests: from our types to the JSON bodies and paths of Gemini's API (https://ai.google.dev/api)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.exceptions import ValidationError
from unified_llm.messages import Tool
from unified_llm.providers.codec import WireRequest
from unified_llm.providers.gemini.contents import write_contents
from unified_llm.providers.gemini.schema import as_understood
from unified_llm.providers.gemini.thinking import thinking_config
from unified_llm.providers.writing import as_wanted, get, post, setting
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

# Our names and Gemini's, for what is sent as it is.
_PLAIN: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "n": "candidateCount",
    "top_logprobs": "logprobs",
    "logprobs": "responseLogprobs",
}
_OTHERS: Final = ("reasoning_effort", "parallel_tool_calls")
_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_TASKS: Final[Mapping[str, str]] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
_PAGE: Final = 1000  # models; the most that one page can have


def write_chat(ask: LLMRequest, target: Target) -> WireRequest:
    """A request for ``:generateContent``, or ``:streamGenerateContent``."""
    body = {**write_contents(ask.messages, target), **_tool_fields(ask)}
    generation = _generation_config(ask, target)
    if generation:
        body["generationConfig"] = generation
    method = ":streamGenerateContent?alt=sse" if ask.stream else ":generateContent"
    full = _with(_with(body, target.extra_body), ask.extra_body)
    return post(f"/{_resource(target)}{method}", full, target, stream=ask.stream)


def write_count(ask: CountRequest, target: Target) -> WireRequest:
    """A request for ``:countTokens``: the conversation alone, or with its instructions and tools the whole request."""
    body = {**write_contents(ask.chat.messages, target), **_tool_fields(ask.chat)}
    if len(body) > 1:
        body = {"generateContentRequest": {"model": _name(target), **body}}
    return post(f"/{_resource(target)}:countTokens", body, target)


def write_embeddings(ask: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for ``:batchEmbedContents``, one content for each text."""
    fields = as_wanted(
        {name: value for name in ("purpose", "dimensions") if (value := setting(ask, name, target)) is not None}, target
    )
    options: dict[str, Any] = {}
    if "purpose" in fields:
        options["taskType"] = _TASKS.get(fields["purpose"], fields["purpose"])
    if "dimensions" in fields:
        options["outputDimensionality"] = fields["dimensions"]
    options |= {**target.extra_body, **ask.extra_body}
    requests = [{"model": _name(target), "content": {"parts": [{"text": text}]}, **options} for text in ask.texts]
    return post(f"/{_resource(target)}:batchEmbedContents", {"requests": requests}, target)


def write_models(ask: ModelsRequest, target: Target) -> WireRequest:
    """A request for a page of the models."""
    page = {"pageSize": _PAGE, **({"pageToken": ask.cursor} if ask.cursor else {})}
    return get(f"/models?{urlencode(page)}", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """A request for what is known of the target's model."""
    return get(f"/{_resource(target)}", target)


def _name(target: Target) -> str:
    """A model's resource name; tuned models have a collection of their own."""
    model = target.model
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def _resource(target: Target) -> str:
    return quote(_name(target), safe="/")


def _generation_config(ask: LLMRequest, target: Target) -> dict[str, Any]:
    said = {name: setting(ask, name, target) for name in (*_PLAIN, *_OTHERS)}
    if ask.stream:
        del said["n"]  # further answers come with whole ones alone
    fields = as_wanted({name: value for name, value in said.items() if value is not None}, target)
    config = {_PLAIN[name]: value for name, value in fields.items() if name in _PLAIN}
    if "logprobs" in config:
        config["responseLogprobs"] = True  # one without the other is refused
    if "reasoning_effort" in fields:
        config["thinkingConfig"] = thinking_config(fields["reasoning_effort"], target.model)
    if ask.response_format is not None:
        config["responseMimeType"] = "application/json"
        if ask.response_format.schema is not None:
            config["responseJsonSchema"] = as_understood(ask.response_format.schema)
    return config


def _tool_fields(ask: LLMRequest) -> dict[str, Any]:
    """``tools`` and ``toolConfig``; the latter is refused without functions."""
    functions = [_declaration(tool) for tool in ask.tools if tool.builtin is None]
    tools = [{"functionDeclarations": functions}] if functions else []
    tools += [_builtin(tool) for tool in ask.tools if tool.builtin is not None]
    if not tools:
        return {}
    if ask.tool_choice is None or not functions:
        return {"tools": tools}
    mode = _MODES.get(ask.tool_choice)
    calling = {"mode": mode} if mode else {"mode": "ANY", "allowedFunctionNames": [ask.tool_choice]}
    return {"tools": tools, "toolConfig": {"functionCallingConfig": calling}}


def _declaration(tool: Tool) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.parameters.get("properties"):  # a function without parameters declares none
        declared["parametersJsonSchema"] = as_understood(tool.parameters)
    return declared


def _builtin(tool: Tool) -> dict[str, Any]:
    """One of Google's own tools, such as ``{"googleSearch": {}}``: the name of its kind, and nothing named ``type``."""
    builtin = dict(tool.builtin or {})
    if "type" in builtin:
        raise ValidationError(
            f"The tool {tool.name!r} is another provider's own: Gemini's are written {{'googleSearch': {{}}}}."
        )
    return builtin


def _with(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """With the user's own fields; those inside ``generationConfig`` and its like stand beside ours."""
    merged = dict(body)
    for name, value in extra.items():
        ours = merged.get(name)
        merged[name] = {**ours, **value} if isinstance(ours, Mapping) and isinstance(value, Mapping) else value
    return merged
