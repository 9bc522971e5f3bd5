"""Whether a JSON value conforms to a JSON schema, as far as the shape of an answer goes.

Checked are the keywords that say what a program will find: types, constants, properties, items, bounds, combinations
and local references (https://json-schema.org/draft/2020-12). ``pattern`` and ``format`` are left to the reader: a
pattern from outside could keep us busy for hours. What is found wrong is told by its place, never by its value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from unified_llm.jsonx import finite

_DEEPEST: Final = 64
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": Mapping,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": (int, float),
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the value we are; ``root`` is the whole schema, which references lead into."""

    path: str
    root: Mapping[str, Any]
    depth: int = 0

    def step(self, path: str = "") -> _Place:
        return _Place(self.path + path, self.root, self.depth + 1)


def mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """The first way in which the value departs from the schema (``$.score is missing``); None if it conforms."""
    return next(_mismatches(value, schema, _Place("$", schema)), None)


def is_open(schema: Any, depth: int = 0) -> bool:
    """Whether some object may hold properties that the schema does not name, because it says so or names none."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return False
    rest = schema.get("additionalProperties")
    nameless = schema.get("type") == "object" and not schema.get("properties") and rest is not False
    if nameless or rest is True or isinstance(rest, Mapping) or schema.get("patternProperties"):
        return True
    named = [each for name in ("properties", "$defs", "definitions") for each in _values(schema.get(name))]
    listed = [each for name in ("anyOf", "oneOf", "allOf", "prefixItems") for each in _list(schema.get(name))]
    return any(is_open(each, depth + 1) for each in [*named, *listed, schema.get("items")])


def _values(schemas: Any) -> list[Any]:
    return list(schemas.values()) if isinstance(schemas, Mapping) else []


def _mismatches(value: Any, schema: Any, at: _Place) -> Iterator[str]:
    if schema is False:
        yield f"{at.path} is not allowed"
    if not isinstance(schema, Mapping) or at.depth > _DEEPEST:  # true allows anything; no circle is followed for ever
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _mismatches(value, _resolved(reference, at.root), at.step())
    yield from _wrong_type(value, schema, at.path)
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{at.path} is not the value that it must be"
    if isinstance(choices := schema.get("enum"), Sequence) and not any(_same(value, each) for each in choices):
        yield f"{at.path} is none of the values that it may be"
    yield from _out_of_bounds(value, schema, at.path)
    yield from _combined(value, schema, at)
    if isinstance(value, Mapping):
        yield from _wrong_properties(cast("Mapping[str, Any]", value), schema, at)
    elif isinstance(value, list):
        yield from _wrong_items(value, schema, at)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within the same schema means; one that leads nowhere allows anything."""
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if reference.startswith("#") else None


def _wrong_type(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    wanted = schema.get("type")
    names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    if schema.get("nullable") is True:  # OpenAPI's way to say it
        names = [*names, "null"]
    if names and not any(_is(value, name) for name in names):
        yield f"{path} is no {' or '.join(map(str, names))}"


def _is(value: Any, name: Any) -> bool:
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None or isinstance(value, bool):
        return kind is None or name == "boolean"
    return isinstance(value, kind) and (name != "integer" or (finite(value) or 0.0).is_integer())


def _same(one: Any, other: Any) -> bool:
    """JSON's equality: 1 is 1.0, but true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


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


def _bound(schema: Mapping[str, Any], name: str, otherwise: float) -> float:
    bound = finite(schema.get(name))
    return otherwise if bound is None else bound


def _combined(value: Any, schema: Mapping[str, Any], at: _Place) -> Iterator[str]:
    def fits(one: Any) -> bool:
        return next(_mismatches(value, one, at.step()), None) is None

    for each in _list(schema.get("allOf")):
        yield from _mismatches(value, each, at.step())
    if (some := _list(schema.get("anyOf"))) and not any(map(fits, some)):
        yield f"{at.path} fits none of its alternatives"
    if (one_of := _list(schema.get("oneOf"))) and sum(map(fits, one_of)) != 1:
        yield f"{at.path} does not fit exactly one of its alternatives"
    if "not" in schema and fits(schema["not"]):
        yield f"{at.path} is what it must not be"


def _wrong_properties(value: Mapping[str, Any], schema: Mapping[str, Any], at: _Place) -> Iterator[str]:
    known = schema.get("properties")
    properties: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    for name in _list(schema.get("required")):
        if isinstance(name, str) and name not in value:
            yield f"{at.path}.{name} is missing"
    rest = True if schema.get("patternProperties") else schema.get("additionalProperties", True)
    for name, each in value.items():
        if name in properties:
            yield from _mismatches(each, properties[name], at.step(f".{name}"))
        elif rest is not True:  # its name is not told: that is the model's own word
            yield from _mismatches(each, rest, at.step(".(a property that the schema does not name)"))


def _wrong_items(value: list[Any], schema: Mapping[str, Any], at: _Place) -> Iterator[str]:
    first = _list(schema.get("prefixItems"))
    for index, each in enumerate(value):
        wanted = first[index] if index < len(first) else schema.get("items", True)
        yield from _mismatches(each, wanted, at.step(f"[{index}]"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
