"""JSON schemas as Anthropic's structured outputs take them.

Every object says that it holds nothing but its properties, and keywords that the API refuses become part of the
description, where the model reads them (platform.claude.com/docs/en/build-with-claude/structured-outputs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from unified_llm.jsonx import JSONError, dump

_KEPT: Final = frozenset({"type", "enum", "const", "description", "title", "default", "required", "$ref"})
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_MAPS: Final = ("properties", "$defs", "definitions")
_LISTS: Final[Mapping[str, str]] = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_DEEPEST: Final = 64


def strict_schema(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema in the dialect of the API; one of that dialect comes back as it was."""
    if depth > _DEEPEST:
        return dict(schema)
    strict: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for name, value in schema.items():
        if _is_kept(name, value):
            strict[name] = value
        elif name in _MAPS and isinstance(value, Mapping):
            strict[name] = {key: _inner(each, depth) for key, each in cast("Mapping[str, Any]", value).items()}
        elif name in _LISTS and isinstance(value, (list, tuple)):
            strict[_LISTS[name]] = [_inner(each, depth) for each in cast("list[Any]", value)]
        elif name == "items" and isinstance(value, Mapping):
            strict[name] = _inner(value, depth)
        elif name not in {"additionalProperties", "$schema", "$id"}:
            refused[name] = value
    if strict.get("type") == "object" or "properties" in strict:
        strict["additionalProperties"] = False
    if refused:
        strict["description"] = _described(strict.get("description"), refused)
    return strict


def _is_kept(name: str, value: object) -> bool:
    match name:
        case "format":
            return value in _FORMATS
        case "minItems":
            return value in {0, 1}
        case _:
            return name in _KEPT


def _inner(schema: object, depth: int) -> Any:
    return strict_schema(cast("Mapping[str, Any]", schema), depth + 1) if isinstance(schema, Mapping) else schema


def _described(description: object, refused: Mapping[str, Any]) -> str:
    try:
        rules = dump(refused)
    except JSONError:  # found and told where it stands, once the whole body is written
        rules = ", ".join(refused)
    return f"{description}\n\n{rules}" if isinstance(description, str) else rules
