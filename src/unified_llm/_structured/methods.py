"""Methods of asking a target for JSON, and the request for each: natively, by a forced tool, or by prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.features import Feature, FeaturePair
from unified_llm._core.pairs import asks_to_think, conflicts
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._lib.json_schema import inline_reference, is_open, json_types
from unified_llm.types.messages import Message, OutputMethod, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest

_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
# Pairs of which a target that cannot combine them is asked for JSON by prompt.
_JSON_PAIRS: Final[frozenset[FeaturePair]] = frozenset({"tools with JSON", "streaming with JSON"})


def output_schema(response_format: ResponseFormat) -> Mapping[str, Any]:
    """Return the schema of the output; without one, every object conforms."""
    return _ANY_OBJECT if response_format.schema is None else response_format.schema


def has_json_output(target: Target) -> bool:
    """Return whether a target has JSON output of its own."""
    return bool(target.features & {"json_schema", "json_object"})


def can_answer_in_json(target: Target) -> bool:
    """Return whether a target can be asked for JSON in any way, together with tools or without."""
    return not target.last_resort or has_json_output(target)


def can_be_made_to_call(target: Target) -> bool:
    """Return whether a target can be required to call a tool, natively or by prompt."""
    if target.last_resort:
        return "tool_choice" in target.features
    return "tools" in target.features


def supported_methods(request: LLMRequest, response_format: ResponseFormat, target: Target) -> tuple[OutputMethod, ...]:
    """Return the ways in which a target can be asked for this output, in the order in which they are tried."""
    supported = {
        "native": bool(_native_features(response_format, target)) and _may_combine(request, target),
        "tool": not target.last_resort and _can_force_tool(request, response_format, target),
        "prompt": not target.last_resort,
    }
    return tuple(method for method in response_format.methods if supported[method])


def rewrite_request(
    request: LLMRequest, response_format: ResponseFormat, target: Target, method: OutputMethod
) -> LLMRequest:
    """Return the request that asks a target in one of its ways.

    Where it has no response format any more, text with the shape of a tool call may still be the JSON that it asks for.
    """
    schema = output_schema(response_format)
    if method == "native":
        if response_format.schema is not None or "json_object" in _native_features(response_format, target):
            return request
        # Some servers support only schemas; this one accepts every object.
        return replace(request, response_format=ResponseFormat(schema, response_format.name, strict=False))
    if method == "tool":
        return _force_tool(request, response_format, target)
    json_mode = "json_object" in target.features and json_types(schema) == frozenset({"object"})
    # What the target refused natively, such as JSON beside tools, is not sent in another form.
    json_mode = json_mode and not _native_features(response_format, target) and _may_combine(request, target)
    messages = add_instruction(request.messages, write_instruction(schema))
    inner_format = ResponseFormat() if json_mode else None
    return replace(request, response_format=inner_format, messages=messages, text_tool_calls=False)


def _native_features(response_format: ResponseFormat, target: Target) -> frozenset[Feature]:
    """Return the features by which the target itself outputs such JSON."""
    schema, features = response_format.schema, target.features
    if target.quirks.closed_schemas and (schema is None or is_open(schema)):
        features -= {"json_schema"}
    return features & ({"json_schema"} if schema is not None else {"json_object", "json_schema"})


def _may_combine(request: LLMRequest, target: Target) -> bool:
    """Return whether the target answers in JSON natively together with what else the request asks for."""
    return not conflicts(request, target) & _JSON_PAIRS


def _can_force_tool(request: LLMRequest, response_format: ResponseFormat, target: Target) -> bool:
    if request.tools or "tools" not in target.features:
        return False
    # A tool that is offered may be ignored, so where a prompt is allowed, that is the better way.
    is_possible = _forces_choice(request, target) or "prompt" not in response_format.methods
    return is_possible and inline_reference(output_schema(response_format)).get("type") == "object"


def _forces_choice(request: LLMRequest, target: Target) -> bool:
    """Return whether the target can be required to call a tool in this request."""
    is_exclusive = "thinking with a forced tool" in target.exclusive and asks_to_think(request, target)
    return "tool_choice" in target.features and not is_exclusive


def _force_tool(request: LLMRequest, response_format: ResponseFormat, target: Target) -> LLMRequest:
    arguments = inline_reference(output_schema(response_format))
    tool = Tool(response_format.name, "Give the answer. Call this exactly once.", arguments, response_format.strict)
    choice = tool.name if _forces_choice(request, target) else None
    changes: dict[str, Any] = {"tools": (tool,), "tool_choice": choice, "parallel_tool_calls": None}
    return replace(request, response_format=None, text_tool_calls=False, **changes)


def add_instruction(messages: tuple[Message, ...], instruction: str) -> tuple[Message, ...]:
    """Append an instruction to the system message of the conversation, or add a system message with it."""
    first = messages[0] if messages else None
    if first is None or first.role != "system" or not isinstance(first.content, str):
        return (Message.system(instruction), *messages)
    return (replace(first, content=f"{first.content}\n\n{instruction}"), *messages[1:])


def write_instruction(schema: Mapping[str, Any]) -> str:
    """Return the instruction to answer with JSON of this schema."""
    return (
        "When you give your final answer, write one JSON value and nothing else: no explanation, no code fence. "
        f"It must conform to this JSON schema:\n{write_schema(schema)}"
    )


def write_schema(schema: Mapping[str, Any]) -> str:
    """Return a schema as text; of one that is no JSON, an empty one: it cannot be sent as a field either."""
    try:
        return dump(schema)
    except JSONError:
        return "{}"
