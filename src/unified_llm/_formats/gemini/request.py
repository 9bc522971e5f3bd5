"""Requests: from our types to the JSON bodies and paths of Gemini's API (https://ai.google.dev/api).

Gemini reads ``responseJsonSchema`` and ``parametersJsonSchema`` as JSON Schema with the keywords ``$id $defs $ref
$anchor type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties
additionalProperties required`` (https://ai.google.dev/api/generate-content#GenerationConfig). It ignores others, so
only keywords that it would refuse, or that would lose their meaning, are rewritten here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from unified_llm._core.codec import WireRequest
from unified_llm._core.nested_settings import GEMINI_SPELLINGS, nest
from unified_llm._core.paths import segments
from unified_llm._core.target import Target
from unified_llm._formats.builtin_tools import gemini_tool
from unified_llm._formats.gemini.messages import write_contents
from unified_llm._formats.gemini.thinking import thinking_config
from unified_llm._formats.json_values import is_number
from unified_llm._formats.request_fields import apply_quirks, effective, get, post
from unified_llm._formats.tool_schemas import has_parameters, object_schema
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Tool
from unified_llm.types.requests import CountRequest, EmbeddingRequest, LLMRequest, ModelRequest, ModelsRequest

_SUBSCHEMA_KEYWORDS: Final = frozenset({"items", "additionalProperties", "not", "contains", "propertyNames"})
_LIST_KEYWORDS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAP_KEYWORDS: Final = frozenset({"properties", "$defs", "patternProperties"})
_DEFINITIONS_PREFIX: Final = "#/definitions/"
_MAX_DEPTH: Final = 64  # deeper values, such as a mapping that contains itself, are left to the JSON writer


def convert_schema(schema: Any, depth: int = 0) -> Any:
    """Convert a schema to the keywords that Gemini supports; any other value is returned unchanged."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return schema
    written: dict[str, Any] = {}
    for name, value in schema.items():
        written |= _convert_keyword(name, value, schema, depth + 1)
    if "$ref" in written and not all(str(name).startswith("$") for name in written):
        # Beside a reference Gemini accepts only keywords that begin with a dollar sign.
        reference = {"$ref": written.pop("$ref")}
        return {**written, "anyOf": [reference]}
    return written


def _convert_keyword(name: str, value: Any, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if name == "definitions":
        name = "$defs"
    if name == "$ref" and isinstance(value, str) and value.startswith(_DEFINITIONS_PREFIX):
        return {name: "#/$defs/" + value.removeprefix(_DEFINITIONS_PREFIX)}
    if name == "const" and "enum" not in schema and (isinstance(value, str) or is_number(value)):
        return {"enum": [value]}
    if name == "allOf" and isinstance(value, list) and len(value) == 1 and "anyOf" not in schema:
        return {"anyOf": [convert_schema(value[0], depth)]}
    if name in _SUBSCHEMA_KEYWORDS:
        return {name: convert_schema(value, depth)}
    if name in _LIST_KEYWORDS and isinstance(value, list):
        return {name: [convert_schema(inner, depth) for inner in value]}
    if name in _MAP_KEYWORDS and isinstance(value, Mapping):
        return {name: {key: convert_schema(inner, depth) for key, inner in value.items()}}
    return {name: value}


# Our name → Gemini's name, for settings that are sent unchanged.
_GENERATION_FIELDS: Final[Mapping[str, str]] = {
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
_OTHER_SETTINGS: Final = ("reasoning_effort", "parallel_tool_calls")
_TOOL_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_TASK_TYPES: Final[Mapping[str, str]] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
_PAGE_SIZE: Final = 1000  # models; the largest page that the API allows


def write_chat(request: LLMRequest, target: Target) -> WireRequest:
    """Write a request for ``:generateContent``, or ``:streamGenerateContent``."""
    body = {**write_contents(request.messages, target), **_write_tool_fields(request)}
    generation = _write_generation_config(request, target)
    if generation:
        body["generationConfig"] = generation
    method = ":streamGenerateContent?alt=sse" if request.stream else ":generateContent"
    full = merge_extra(merge_extra(body, target.extra_body), request.extra_body)
    return post(f"/{resource_path(target)}{method}", full, target, stream=request.stream)


def write_count(request: CountRequest, target: Target) -> WireRequest:
    """Write a request for ``:countTokens``: the conversation, or the whole request if it has instructions or tools."""
    body = {**write_contents(request.chat.messages, target), **_write_tool_fields(request.chat)}
    if len(body) > 1:
        body = {"generateContentRequest": {"model": _resource_name(target), **body}}
    return post(f"/{resource_path(target)}:countTokens", body, target)


def write_embeddings(request: EmbeddingRequest, target: Target) -> WireRequest:
    """Write a request for ``:batchEmbedContents``, one content for each text."""
    fields = apply_quirks(
        {name: value for name in ("purpose", "dimensions") if (value := effective(request, name, target)) is not None},
        target,
    )
    options: dict[str, Any] = {}
    if "purpose" in fields:
        options["taskType"] = _TASK_TYPES.get(fields["purpose"], fields["purpose"])
    if "dimensions" in fields:
        options["outputDimensionality"] = fields["dimensions"]
    options |= {**target.extra_body, **request.extra_body}
    model = _resource_name(target)
    requests = [{"model": model, "content": {"parts": [{"text": text}]}, **options} for text in request.texts]
    return post(f"/{resource_path(target)}:batchEmbedContents", {"requests": requests}, target)


def write_models(request: ModelsRequest, target: Target) -> WireRequest:
    """Write a request for a page of the model list."""
    page = {"pageSize": _PAGE_SIZE, **({"pageToken": request.cursor} if request.cursor else {})}
    return get(f"/models?{urlencode(page)}", target)


def write_model(_: ModelRequest, target: Target) -> WireRequest:
    """Write a request for the description of the target's model."""
    return get(f"/{resource_path(target)}", target)


def _resource(target: Target) -> tuple[str, str]:
    """Return the collection and the name of the model; tuned models have a collection of their own."""
    collection, _, name = target.model.partition("/")
    return (collection, name) if name and collection in {"models", "tunedModels"} else ("models", target.model)


def _resource_name(target: Target) -> str:
    return "/".join(_resource(target))


def resource_path(target: Target) -> str:
    """Return the path of the target's model."""
    collection, name = _resource(target)
    return f"{collection}/{segments(name, has_parts=target.names_have_parts)}"


def _write_generation_config(request: LLMRequest, target: Target) -> dict[str, Any]:
    settings = {name: effective(request, name, target) for name in (*_GENERATION_FIELDS, *_OTHER_SETTINGS)}
    if request.stream:
        del settings["n"]  # streams have only one answer
    fields = apply_quirks({name: value for name, value in settings.items() if value is not None}, target)
    config = {_GENERATION_FIELDS[name]: value for name, value in fields.items() if name in _GENERATION_FIELDS}
    if "logprobs" in config:
        config["responseLogprobs"] = True  # ``logprobs`` without it is refused
    if "reasoning_effort" in fields:
        config["thinkingConfig"] = thinking_config(fields["reasoning_effort"], target.model)
    if request.response_format is not None:
        config["responseMimeType"] = "application/json"
        if request.response_format.schema is not None:
            config["responseJsonSchema"] = convert_schema(request.response_format.schema)
    return config


def _write_tool_fields(request: LLMRequest) -> dict[str, Any]:
    """Write ``tools`` and ``toolConfig``; the latter is refused without functions."""
    functions = [_write_function(tool) for tool in request.tools if tool.builtin is None]
    tools = [{"functionDeclarations": functions}] if functions else []
    tools += [_write_builtin(tool) for tool in request.tools if tool.builtin is not None]
    if not tools:
        return {}
    if request.tool_choice is None or not functions:
        return {"tools": tools}
    mode = _TOOL_MODES.get(request.tool_choice)
    calling = {"mode": mode} if mode else {"mode": "ANY", "allowedFunctionNames": [request.tool_choice]}
    return {"tools": tools, "toolConfig": {"functionCallingConfig": calling}}


def _write_function(tool: Tool) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    schema = object_schema(tool.parameters)
    if has_parameters(schema):  # a function without parameters declares none
        declared["parametersJsonSchema"] = convert_schema(schema)
    return declared


def _write_builtin(tool: Tool) -> dict[str, Any]:
    """Write one of Google's built-in tools, such as ``{"googleSearch": {}}``; none of them has a field ``type``."""
    written = gemini_tool(tool.builtin or {})
    if written is None:
        raise ValidationError(
            f"The tool {tool.name!r} is another provider's tool: Gemini's are written {{'google_search': {{}}}}."
        )
    return written


def merge_extra(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Add the user's own fields; those inside objects such as ``generationConfig`` are merged with ours.

    Settings that the API has in ``generationConfig`` are moved there.
    """
    merged = dict(body)
    for name, value in nest(extra, GEMINI_SPELLINGS, "generationConfig").items():
        ours = merged.get(name)
        merged[name] = {**ours, **value} if isinstance(ours, Mapping) and isinstance(value, Mapping) else value
    return merged
