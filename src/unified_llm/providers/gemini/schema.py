"""JSON schemas as Gemini takes them.

It reads ``responseJsonSchema`` and ``parametersJsonSchema`` as JSON Schema, and knows ``$id $defs $ref $anchor type
format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties
additionalProperties required`` (https://ai.google.dev/api/generate-content#GenerationConfig). What it does not know it
passes over, so only that is rewritten here which it would refuse, or which would lose its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm.providers.shapes import is_number

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
