"""Whether a JSON value conforms to a JSON schema, as far as the shape of an answer goes.

Checked are the keywords that say what a program will find: types, constants, properties, items, bounds, combinations
and local references (https://json-schema.org/draft/2020-12). ``pattern`` and ``format`` are left to the reader: a
pattern from outside could keep us busy for hours. What is found wrong is told by its place, never by its value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import unquote

from unified_llm._lib.bounded_json import finite

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

_ANY: Final = frozenset(_TYPES) - {"integer"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the value we are; ``root`` is the whole schema, which references lead into."""

    path: str
    root: Mapping[str, Any]
    depth: int = 0
    # Whether a value fits a schema, by their ids: alternatives inside alternatives would be gone through for ever. What
    # is being found out fits as long as nothing speaks against it, so that no circle is followed either.
    fits: dict[tuple[int, int], bool] = field(default_factory=dict[tuple[int, int], bool])

    def step(self, path: str = "") -> _Place:
        return _Place(self.path + path, self.root, self.depth + 1, self.fits)


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


def inlined(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its own ``$ref`` replaced by what it means, and its type said; references inside stay.

    Pydantic writes a model that holds itself as a reference to a definition, which nobody takes for a tool's arguments.
    """
    seen = 0
    while isinstance(reference := schema.get("$ref"), str) and seen < _DEEPEST:
        meant = _resolved(reference, schema)
        if not isinstance(meant, Mapping):
            break
        schema = {**{name: each for name, each in schema.items() if name != "$ref"}, **meant}
        seen += 1
    return {**schema, "type": "object"} if "type" not in schema and "properties" in schema else schema


def shapes(schema: Any, root: Mapping[str, Any] | None = None, depth: int = 0) -> frozenset[str]:
    """The types of JSON value that may conform, as a schema names them (an integer is a number)."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return _ANY
    root = schema if root is None else root
    found = _named(schema)
    if isinstance(reference := schema.get("$ref"), str):
        found &= shapes(_resolved(reference, root), root, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if parts := [shapes(each, root, depth + 1) for each in _list(schema.get(name))]:
            found &= frozenset[str]().union(*parts) if name != "allOf" else _ANY.intersection(*parts)
    return found


def _named(schema: Mapping[str, Any]) -> frozenset[str]:
    """The types that a schema names by itself, or by the values that it lists."""
    if names := _type_names(schema):
        return frozenset("number" if name == "integer" else str(name) for name in names)
    if "const" in schema or _list(schema.get("enum")):
        choices = [*_list(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]
        return frozenset(name for name in _ANY for each in choices if _is(each, name))
    return frozenset({"object"}) if "properties" in schema else _ANY


def _type_names(schema: Mapping[str, Any]) -> list[Any]:
    wanted = schema.get("type")
    names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    # OpenAPI's way to say it.
    return [*names, "null"] if names and schema.get("nullable") is True else names


def _values(schemas: Any) -> list[Any]:
    return list(schemas.values()) if isinstance(schemas, Mapping) else []


def _mismatches(value: Any, schema: Any, at: _Place) -> Iterator[str]:
    if schema is False:
        yield f"{at.path} is not allowed"
    if not isinstance(schema, Mapping) or at.depth > _DEEPEST:  # true allows anything; no circle is followed for ever
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _beside(value, _resolved(reference, at.root), at)
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
    found: Any = root if reference == "#" or reference.startswith("#/") else None
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = dict(enumerate(found)).get(int(name) if name.isdecimal() else -1)
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _wrong_type(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    names = _type_names(schema)
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


def _fits(value: Any, schema: Any, at: _Place) -> bool:
    pair = (id(value), id(schema))
    if pair not in at.fits:
        at.fits[pair] = True
        at.fits[pair] = next(_mismatches(value, schema, at.step()), None) is None
    return at.fits[pair]


def _beside(value: Any, schema: Any, at: _Place) -> Iterator[str]:
    """The mismatches of the same value with a schema that holds as well."""
    if not _fits(value, schema, at):
        yield from _mismatches(value, schema, at.step())


def _combined(value: Any, schema: Mapping[str, Any], at: _Place) -> Iterator[str]:
    def fits(one: Any) -> bool:
        return _fits(value, one, at)

    for each in _list(schema.get("allOf")):
        yield from _beside(value, each, at)
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
