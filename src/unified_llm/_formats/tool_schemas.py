"""JSON schemas of tools' arguments, completed for providers that accept nothing but an object with properties.

MCP servers, Zod and recursive Pydantic models write schemas without ``type`` or ``properties``, or with ``$ref``,
``anyOf``, ``oneOf`` or ``allOf`` at the root. OpenAI refuses these ("schema must have type 'object' and not have
'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level", github.com/openai/openai-agents-python/issues/449), and so does
Anthropic ("input_schema does not support oneOf, allOf, or anyOf at the top level").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from unified_llm._lib.json_schema import inline_reference

_COMBINATIONS: Final = ("allOf", "anyOf", "oneOf")
_REFUSED: Final = frozenset({*_COMBINATIONS, "$ref", "enum", "const", "not", "discriminator", "if", "then", "else"})
_DEFINITIONS: Final = ("$defs", "definitions")
_MAX_DEPTH: Final = 16


def object_schema(schema: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
    """Return the schema as that of an object with properties; unchanged if it is one.

    A reference at the root is replaced by its target. Combinations at the root become one object: it has the properties
    of all branches, and requires what every branch of ``allOf``, or all branches of ``anyOf`` and ``oneOf`` together,
    require. Fewer arguments are refused by it than by the original schema, never more.
    """
    properties = schema.get("properties")
    if schema.get("type") == "object" and isinstance(properties, Mapping) and _REFUSED.isdisjoint(schema):
        return schema
    whole = inline_reference(schema)
    merged = _Object(whole)
    for name in _COMBINATIONS:
        branches = [object_schema(branch, depth + 1) for branch in _branches(whole, name)] if depth < _MAX_DEPTH else []
        if branches:
            merged.add(branches, "allOf" if name == "allOf" else "anyOf")
    rest = {name: value for name, value in whole.items() if name not in _REFUSED}
    return {**rest, **merged.fields()}


def has_parameters(schema: Mapping[str, Any]) -> bool:
    """Return whether a completed schema allows for any argument."""
    unnamed = schema.get("additionalProperties")
    return bool(schema.get("properties") or schema.get("patternProperties") or unnamed or unnamed == {})


def _branches(schema: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the branches of a combination, each with the definitions that its references name."""
    branches = schema.get(name)
    definitions = {key: schema[key] for key in _DEFINITIONS if key in schema}
    for branch in branches if isinstance(branches, (list, tuple)) else ():
        if isinstance(branch, Mapping):
            yield {**definitions, **cast("Mapping[str, Any]", branch)}


class _Object:
    """The schema of an object, to which branches of combinations are added."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        properties = schema.get("properties")
        self._properties: dict[str, Any] = dict(properties) if isinstance(properties, Mapping) else {}
        self._required = _required(schema)
        self._unnamed = schema.get("additionalProperties")

    def add(self, branches: list[Mapping[str, Any]], combination: str) -> None:
        """Add the branches: of ``allOf``, or of ``anyOf``."""
        for branch in branches:
            for name, value in branch["properties"].items():
                known = self._properties.get(name, value)
                self._properties[name] = value if known == value else {combination: [known, value]}
        required = [_required(branch) for branch in branches]
        for name in required[0]:
            if all(name in names for names in required):
                self._required[name] = None
        if combination == "allOf":
            for names in required:
                self._required |= names
        if self._unnamed is None:
            unnamed = [branch.get("additionalProperties") for branch in branches]
            self._unnamed = next(filter(None, unnamed), None)
            if all(rest is False for rest in unnamed):
                self._unnamed = False

    def fields(self) -> dict[str, Any]:
        """Return the fields of the schema."""
        fields: dict[str, Any] = {"type": "object", "properties": self._properties}
        required = [name for name in self._required if name in self._properties]
        if required:
            fields["required"] = required
        if self._unnamed is not None:
            fields["additionalProperties"] = self._unnamed
        return fields


def _required(schema: Mapping[str, Any]) -> dict[str, None]:
    names = schema.get("required")
    return dict.fromkeys(name for name in names if isinstance(name, str)) if isinstance(names, (list, tuple)) else {}
