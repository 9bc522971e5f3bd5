"""Validation of JSON values against a JSON schema, and queries about a schema.

Checked are the keywords that determine the structure: types, constants, properties, items, bounds, combinations and
local references (https://json-schema.org/draft/2020-12). ``pattern`` and ``format`` are not: a regular expression from
outside could take hours. Messages name the path of a mismatch, never its value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import unquote

from unified_llm._lib.bounded_json import finite

_MAX_DEPTH: Final = 64
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": Mapping,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": (int, float),
}

_ANY: Final = frozenset(_TYPES) - {"integer"}


@dataclass(frozen=True, slots=True)
class _Context:
    """The current path in the value; ``root`` is the whole schema, in which references are resolved."""

    path: str
    root: Mapping[str, Any]
    depth: int = 0
    # Results of value and schema, by their ids: without them, nested alternatives take exponential time. A pair that is
    # still being checked counts as conforming, so that a circular reference ends.
    results: dict[tuple[int, int], bool] = field(default_factory=dict[tuple[int, int], bool])

    def step(self, path: str = "") -> _Context:
        return _Context(self.path + path, self.root, self.depth + 1, self.results)


def find_mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return the first mismatch of the value with the schema (``$.score is missing``), or None if it conforms."""
    return next(_mismatches(value, schema, _Context("$", schema)), None)


def is_open(schema: Any, depth: int = 0) -> bool:
    """Return whether some object in it may have unnamed properties: the schema allows them, or names none."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return False
    rest = schema.get("additionalProperties")
    unnamed = schema.get("type") == "object" and not schema.get("properties") and rest is not False
    if unnamed or rest is True or isinstance(rest, Mapping) or schema.get("patternProperties"):
        return True
    named = [child for name in ("properties", "$defs", "definitions") for child in _values(schema.get(name))]
    listed = [child for name in ("anyOf", "oneOf", "allOf", "prefixItems") for child in _list(schema.get(name))]
    return any(is_open(child, depth + 1) for child in [*named, *listed, schema.get("items")])


def inline_reference(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema with its own ``$ref`` replaced by the target, and with a type; inner references stay.

    Pydantic writes a recursive model as a reference to a definition, which no provider accepts for a tool's arguments.
    """
    steps = 0
    while isinstance(reference := schema.get("$ref"), str) and steps < _MAX_DEPTH:
        target = _resolve(reference, schema)
        if not isinstance(target, Mapping):
            break
        schema = {**{name: value for name, value in schema.items() if name != "$ref"}, **target}
        steps += 1
    return {**schema, "type": "object"} if "type" not in schema and "properties" in schema else schema


def json_types(schema: Any, root: Mapping[str, Any] | None = None, depth: int = 0) -> frozenset[str]:
    """Return the types of JSON values that may conform, as named in schemas (an integer is a number)."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return _ANY
    root = schema if root is None else root
    types = _own_types(schema)
    if isinstance(reference := schema.get("$ref"), str):
        types &= json_types(_resolve(reference, root), root, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if parts := [json_types(child, root, depth + 1) for child in _list(schema.get(name))]:
            types &= frozenset[str]().union(*parts) if name != "allOf" else _ANY.intersection(*parts)
    return types


def _own_types(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the types by the schema's own ``type``, ``const``, ``enum`` and ``properties``, without subschemas."""
    if names := _type_names(schema):
        return frozenset("number" if name == "integer" else str(name) for name in names)
    if "const" in schema or _list(schema.get("enum")):
        choices = [*_list(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]
        return frozenset(name for name in _ANY for choice in choices if _has_type(choice, name))
    return frozenset({"object"}) if "properties" in schema else _ANY


def _type_names(schema: Mapping[str, Any]) -> list[Any]:
    declared = schema.get("type")
    names = [declared] if isinstance(declared, str) else declared if isinstance(declared, list) else []
    # OpenAPI 3.0 has ``nullable`` in place of the type "null".
    return [*names, "null"] if names and schema.get("nullable") is True else names


def _values(schemas: Any) -> list[Any]:
    return list(schemas.values()) if isinstance(schemas, Mapping) else []


def _mismatches(value: Any, schema: Any, at: _Context) -> Iterator[str]:
    if schema is False:
        yield f"{at.path} is not allowed"
    if not isinstance(schema, Mapping) or at.depth > _MAX_DEPTH:  # true allows anything
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _subschema_mismatches(value, _resolve(reference, at.root), at)
    yield from _wrong_type(value, schema, at.path)
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at.path} is not the value that it must be"
    if isinstance(choices := schema.get("enum"), Sequence) and not any(_equal(value, choice) for choice in choices):
        yield f"{at.path} is none of the values that it may be"
    yield from _out_of_bounds(value, schema, at.path)
    yield from _combined(value, schema, at)
    if isinstance(value, Mapping):
        yield from _wrong_properties(cast("Mapping[str, Any]", value), schema, at)
    elif isinstance(value, list):
        yield from _wrong_items(value, schema, at)


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """Return the target of a reference within the schema; None if there is none, which allows any value."""
    target: Any = root if reference == "#" or reference.startswith("#/") else None
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list):
            target = dict(enumerate(target)).get(int(name) if name.isdecimal() else -1)
        else:
            target = target.get(name) if isinstance(target, Mapping) else None
    return target


def _wrong_type(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    names = _type_names(schema)
    if names and not any(_has_type(value, name) for name in names):
        yield f"{path} is no {' or '.join(map(str, names))}"


def _has_type(value: Any, name: Any) -> bool:
    python_type = _TYPES.get(name) if isinstance(name, str) else None
    if python_type is None or isinstance(value, bool):
        return python_type is None or name == "boolean"
    return isinstance(value, python_type) and (name != "integer" or (finite(value) or 0.0).is_integer())


def _equal(left: Any, right: Any) -> bool:
    """Compare as JSON does: 1 equals 1.0, but not true."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _out_of_bounds(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, str):
        least, most, size = "minLength", "maxLength", float(len(value))
    elif isinstance(value, list):
        least, most, size = "minItems", "maxItems", float(len(value))
    elif (number := finite(value)) is not None:
        least, most, size = "minimum", "maximum", number
        if size <= _bound(schema, "exclusiveMinimum", -math.inf):
            yield f"{path} is too small"
        if size >= _bound(schema, "exclusiveMaximum", math.inf):
            yield f"{path} is too large"
    else:
        return
    if size < _bound(schema, least, -math.inf):
        yield f"{path} is too small"
    if size > _bound(schema, most, math.inf):
        yield f"{path} is too large"


def _bound(schema: Mapping[str, Any], name: str, default: float) -> float:
    bound = finite(schema.get(name))
    return default if bound is None else bound


def _conforms(value: Any, schema: Any, at: _Context) -> bool:
    pair = (id(value), id(schema))
    if pair not in at.results:
        at.results[pair] = True
        at.results[pair] = next(_mismatches(value, schema, at.step()), None) is None
    return at.results[pair]


def _subschema_mismatches(value: Any, schema: Any, at: _Context) -> Iterator[str]:
    """Yield the mismatches of the same value with a subschema that applies in addition."""
    if not _conforms(value, schema, at):
        yield from _mismatches(value, schema, at.step())


def _combined(value: Any, schema: Mapping[str, Any], at: _Context) -> Iterator[str]:
    def conforms(subschema: Any) -> bool:
        return _conforms(value, subschema, at)

    for subschema in _list(schema.get("allOf")):
        yield from _subschema_mismatches(value, subschema, at)
    if (any_of := _list(schema.get("anyOf"))) and not any(map(conforms, any_of)):
        yield f"{at.path} fits none of its alternatives"
    if (one_of := _list(schema.get("oneOf"))) and sum(map(conforms, one_of)) != 1:
        yield f"{at.path} does not fit exactly one of its alternatives"
    if "not" in schema and conforms(schema["not"]):
        yield f"{at.path} is what it must not be"


def _wrong_properties(value: Mapping[str, Any], schema: Mapping[str, Any], at: _Context) -> Iterator[str]:
    declared = schema.get("properties")
    properties: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {}
    for name in _list(schema.get("required")):
        if isinstance(name, str) and name not in value:
            yield f"{at.path}.{name} is missing"
    rest = True if schema.get("patternProperties") else schema.get("additionalProperties", True)
    for name, child in value.items():
        if name in properties:
            yield from _mismatches(child, properties[name], at.step(f".{name}"))
        elif rest is not True:  # the name is omitted: the model chose it, so it may quote an answer
            yield from _mismatches(child, rest, at.step(".(a property that the schema does not name)"))


def _wrong_items(value: list[Any], schema: Mapping[str, Any], at: _Context) -> Iterator[str]:
    first = _list(schema.get("prefixItems"))
    for index, item in enumerate(value):
        item_schema = first[index] if index < len(first) else schema.get("items", True)
        yield from _mismatches(item, item_schema, at.step(f"[{index}]"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
