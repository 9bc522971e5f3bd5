"""Schemas of tools without ``type`` or ``properties``: wire F15, langchain L."""

from __future__ import annotations

from typing import Any

from tests.formats.test_portable_histories import TARGETS, sent, target
from tests.support.each import each
from tests.support.upstream_bodies import check_body
from unified_llm._formats.tool_schemas import has_parameters, object_schema
from unified_llm._lib.json_schema import find_mismatch
from unified_llm.types import Message, Tool

NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    "required": ["name"],
}
A, B = {"type": "string"}, {"type": "integer"}
SCHEMAS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "an object": ({"type": "object"}, {}),
    "no type": ({"properties": {"a": A}}, {"properties": {"a": A}}),
    "a reference": ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, {**NODE, "$defs": {"Node": NODE}}),
    "alternatives": (
        {"anyOf": [{"type": "object", "properties": {"a": A, "b": A}, "required": ["a", "b"]},
                   {"type": "object", "properties": {"a": B}, "required": ["a"]}]},
        {"properties": {"a": {"anyOf": [A, B]}, "b": A}, "required": ["a"]},
    ),
    "all of": (
        {"allOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}, "required": ["b"]}]},
        {"properties": {"a": A, "b": B}, "required": ["a", "b"]},
    ),
    "one of, beside properties": (
        {"type": "object", "properties": {"a": A, "b": B}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"properties": {"a": A, "b": B}},
    ),
    "a map": ({"type": "object", "additionalProperties": B}, {"additionalProperties": B}),
    "null or an object": ({"type": ["object", "null"], "properties": {"a": A}}, {"properties": {"a": A}}),
    "a circle": ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, {"$defs": {"A": {"$ref": "#/$defs/A"}}}),
}  # fmt: skip


@each("case", SCHEMAS)
def test_a_schema_is_completed_to_an_object_with_properties(case: str) -> None:
    schema, expected = SCHEMAS[case]
    completed = object_schema(schema)
    assert completed == {"type": "object", "properties": {}, **expected}
    assert object_schema(completed) == completed
    for value in ({"a": "x", "b": 1}, {"a": 1}, {"name": "x"}, {}):
        if find_mismatch(value, schema) is None:
            assert find_mismatch(value, completed) is None, value


def test_a_complete_schema_is_sent_unchanged() -> None:
    schema = {"type": "object", "properties": {"a": A}, "additionalProperties": False}
    assert object_schema(schema) is schema


@each("name", TARGETS)
def test_every_format_sends_every_schema_in_a_form_that_is_accepted(name: str) -> None:
    tools = tuple(Tool(f"t{index}", "d", schema) for index, (schema, _) in enumerate(SCHEMAS.values()))
    if name in {"ollama", "gemini", "gemini 3"}:  # whose strict upstreams know fewer keywords than the servers
        tools = tuple(tool for tool in tools if not {"$defs", "additionalProperties"} & tool.parameters.keys())
    check_body(sent(name, (Message.user("x"),), tools=tools), target(name))


def test_f15_gemini_declares_parameters_unless_there_are_none() -> None:
    for case, (schema, expected) in SCHEMAS.items():
        (declared,) = sent("gemini", (Message.user("x"),), tools=(Tool("f", "d", schema),))["tools"][0][
            "functionDeclarations"
        ]
        assert declared["name"] == "f"
        has_any = bool(expected.keys() & {"properties", "additionalProperties"})
        assert ("parametersJsonSchema" in declared) is has_any is has_parameters(object_schema(schema)), case
