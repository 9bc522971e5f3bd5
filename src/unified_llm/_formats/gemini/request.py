"""Requests: from our types to the JSON bodies and paths of Gemini's API (https://ai.google.dev/api).

JSON schemas as Gemini takes them.

It reads ``responseJsonSchema`` and ``parametersJsonSchema`` as JSON Schema, and knows ``$id $defs $ref $anchor type
format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties
additionalProperties required`` (https://ai.google.dev/api/generate-content#GenerationConfig). What it does not know it
passes over, so only that is rewritten here which it would refuse, or which would lose its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from unified_llm._core.codec import WireRequest
from unified_llm._core.target import Target
from unified_llm._formats.gemini.messages import write_contents
from unified_llm._formats.gemini.thinking import thinking_config
from unified_llm._formats.json_values import is_number
from unified_llm._formats.request_fields import apply_quirks, effective, get, post
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

_SCHEMAS: Final = frozenset({"items", "additionalProperties", "not", "contains", "propertyNames"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS: Final = frozenset({"properties", "$defs", "patternProperties"})
_OLD_PLACE: Final = "#/definitions/"
_DEEPEST: Final = 64  # what lies deeper, such as a mapping that holds itself, is left to whoever writes the JSON


def as_understood(schema: Any, depth: int = 0) -> Any:
    """The same schema in the words that Gemini knows; whatever is no schema is left as it is."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return schema
    written: dict[str, Any] = {}
    for name, value in schema.items():
        written |= _keyword(name, value, schema, depth + 1)
    if "$ref" in written and not all(str(name).startswith("$") for name in written):
        # Beside a reference nothing may stand but what begins with a dollar sign.
        reference = {"$ref": written.pop("$ref")}
        return {**written, "anyOf": [reference]}
    return written


def _keyword(name: str, value: Any, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if name == "definitions":
        name = "$defs"
    if name == "$ref" and isinstance(value, str) and value.startswith(_OLD_PLACE):
        return {name: "#/$defs/" + value.removeprefix(_OLD_PLACE)}
    if name == "const" and "enum" not in schema and (isinstance(value, str) or is_number(value)):
        return {"enum": [value]}
    if name == "allOf" and isinstance(value, list) and len(value) == 1 and "anyOf" not in schema:
        return {"anyOf": [as_understood(value[0], depth)]}
    if name in _SCHEMAS:
        return {name: as_understood(value, depth)}
    if name in _LISTS and isinstance(value, list):
        return {name: [as_understood(each, depth) for each in value]}
    if name in _MAPS and isinstance(value, Mapping):
        return {name: {key: as_understood(each, depth) for key, each in value.items()}}
    return {name: value}


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


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """A request for ``:generateContent``, or ``:streamGenerateContent``."""
    body = {**write_contents(request.messages, target), **_tool_fields(request)}
    generation = _generation_config(request, target)
    if generation:
        body["generationConfig"] = generation
    method = ":streamGenerateContent?alt=sse" if request.stream else ":generateContent"
    full = _with(_with(body, target.extra_body), request.extra_body)
    return post(f"/{_resource(target)}{method}", full, target, stream=request.stream)


def write_count(request: CountRequest, target: Target) -> WireRequest:
    """A request for ``:countTokens``: the conversation alone, or with its instructions and tools the whole request."""
    body = {**write_contents(request.chat.messages, target), **_tool_fields(request.chat)}
    if len(body) > 1:
        body = {"generateContentRequest": {"model": _name(target), **body}}
    return post(f"/{_resource(target)}:countTokens", body, target)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """A request for ``:batchEmbedContents``, one content for each text."""
    fields = apply_quirks(
        {name: value for name in ("purpose", "dimensions") if (value := effective(request, name, target)) is not None},
        target,
    )
    options: dict[str, Any] = {}
    if "purpose" in fields:
        options["taskType"] = _TASKS.get(fields["purpose"], fields["purpose"])
    if "dimensions" in fields:
        options["outputDimensionality"] = fields["dimensions"]
    options |= {**target.extra_body, **request.extra_body}
    requests = [{"model": _name(target), "content": {"parts": [{"text": text}]}, **options} for text in request.texts]
    return post(f"/{_resource(target)}:batchEmbedContents", {"requests": requests}, target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """A request for a page of the models."""
    page = {"pageSize": _PAGE, **({"pageToken": request.cursor} if request.cursor else {})}
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


def _generation_config(request: LLMRequest, target: Target) -> dict[str, Any]:
    said = {name: effective(request, name, target) for name in (*_PLAIN, *_OTHERS)}
    if request.stream:
        del said["n"]  # further answers come with whole ones alone
    fields = apply_quirks({name: value for name, value in said.items() if value is not None}, target)
    config = {_PLAIN[name]: value for name, value in fields.items() if name in _PLAIN}
    if "logprobs" in config:
        config["responseLogprobs"] = True  # one without the other is refused
    if "reasoning_effort" in fields:
        config["thinkingConfig"] = thinking_config(fields["reasoning_effort"], target.model)
    if request.response_format is not None:
        config["responseMimeType"] = "application/json"
        if request.response_format.schema is not None:
            config["responseJsonSchema"] = as_understood(request.response_format.schema)
    return config


def _tool_fields(request: LLMRequest) -> dict[str, Any]:
    """``tools`` and ``toolConfig``; the latter is refused without functions."""
    functions = [_declaration(tool) for tool in request.tools if tool.builtin is None]
    tools = [{"functionDeclarations": functions}] if functions else []
    tools += [_builtin(tool) for tool in request.tools if tool.builtin is not None]
    if not tools:
        return {}
    if request.tool_choice is None or not functions:
        return {"tools": tools}
    mode = _MODES.get(request.tool_choice)
    calling = {"mode": mode} if mode else {"mode": "ANY", "allowedFunctionNames": [request.tool_choice]}
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
