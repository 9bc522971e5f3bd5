"""JSON that is right but for the way in which a model wrote it.

The object is in another one or in a string, a comma is too many, or there are line feeds in a string.

These readings are tried only where no JSON in the text passes the check, and only one that passes is taken, so that
nothing is guessed. Reported for LlamaIndex: github.com/run-llama/llama_index/issues/8551, 16014.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from unified_llm._lib.bounded_json import JSONError, dump, parse, parse_lenient

# A string, which is kept (one without an end, too: searched again from each quote in it, it would take very long), or a
# comma before a closing bracket, which is removed.
_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))|,(?=\s*[}\]])', re.DOTALL)
_MAX_LEVELS: Final = 2  # {"City": {"properties": {...}}}


def other_readings(candidates: Sequence[str], schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield other readings of texts that look like JSON, the likeliest first.

    Args:
        candidates: The texts: ``{"City": {...}}``, ``{"properties": {...}}``, ``{"name": "City", "arguments": {...}}``,
            ``{"name": "Paris",}``, an object as a JSON string, a list that is the only property of an object.
        schema: The JSON schema.
    """
    for candidate in candidates:
        without = _TRAILING_COMMA.sub(lambda match: match[1] or "", candidate)
        if without != candidate:
            yield without
        try:
            value = parse(without)
        except JSONError:
            try:
                value = parse_lenient(without)
            except JSONError:
                continue
            yield dump(value)
        if isinstance(value, list) and (name := _only_property(schema)) is not None:
            yield dump({name: value})
        yield from _inner(value, _MAX_LEVELS)


def _only_property(schema: Mapping[str, Any]) -> str | None:
    properties = schema.get("properties")
    return next(iter(properties)) if isinstance(properties, Mapping) and len(properties) == 1 else None


def _inner(value: Any, levels: int) -> Iterator[str]:
    """Yield the JSON in a value that holds no more than one object, or JSON as a string."""
    if isinstance(value, str):
        yield value
        return
    objects = [child for child in value.values() if isinstance(child, dict)] if isinstance(value, dict) else []
    if len(objects) == 1 and levels:
        yield dump(objects[0])
        yield from _inner(objects[0], levels - 1)
