"""Schemas of JSON that a model is kept to: without the properties that a schema allows and does not name.

A model that may write further properties writes them, and a small one does not end. Whatever conforms to the closed
schema conforms to the given one as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

# Where one of these stands anywhere, objects are described in several places: closing one forbids what another names.
_SEVERAL_PLACES: Final = frozenset({"allOf", "if", "unevaluatedProperties", "dependentSchemas", "$dynamicRef"})
# Fields beside "properties" by which an object may have others, and says so.
_OPEN: Final = frozenset({"additionalProperties", "patternProperties", "anyOf", "oneOf", "$ref"})


def close_objects(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema whose objects have the properties that it names alone, wherever it does not say otherwise."""
    return dict(schema) if _has_several_places(schema) else _close(schema)


def _has_several_places(value: Any) -> bool:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return not _SEVERAL_PLACES.isdisjoint(fields) or any(map(_has_several_places, fields.values()))
    elements: list[Any] = value if isinstance(value, list) else []
    return any(map(_has_several_places, elements))


def _close(schema: Mapping[str, Any]) -> dict[str, Any]:
    closed = dict(schema)
    is_object = "properties" in schema
    if is_object and _OPEN.isdisjoint(schema):
        closed["additionalProperties"] = False
    for name in ("properties", "$defs", "definitions"):
        if isinstance(inner := schema.get(name), Mapping):
            parts = cast("Mapping[str, Any]", inner)
            closed[name] = {key: _close(part) if isinstance(part, Mapping) else part for key, part in parts.items()}
    if isinstance(items := schema.get("items"), Mapping):
        closed["items"] = _close(cast("Mapping[str, Any]", items))
    for name in () if is_object else ("anyOf", "oneOf"):
        branches: Any = schema.get(name)
        if isinstance(branches, list):
            closed[name] = [_close(one) if isinstance(one, Mapping) else one for one in branches]
    return closed
