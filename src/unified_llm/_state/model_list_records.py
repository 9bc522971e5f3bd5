"""Model lists as plain JSON values, for other processes: through Redis, or in a folder.

What is not exactly as it is written here is ignored. A list is known by a digest of its key, which has no key of an API
in it, not even as a digest of its own.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Hashable, Iterator
from dataclasses import MISSING, fields
from typing import Any, Final

from unified_llm._core import base_url
from unified_llm._formats.json_values import is_list
from unified_llm._lib import bounded_json
from unified_llm.types.responses import ModelInfo

_FIELDS: Final = {field.name: field for field in fields(ModelInfo)}
# How a field is written in JSON, by the name of its type.
_WRITTEN: Final[dict[str, type[Any]]] = {"str": str, "int": int, "bool": bool, "frozenset": list, "tuple": list}
_SEQUENCES: Final[dict[str, type[Any]]] = {"frozenset": frozenset, "tuple": tuple}


def write_models(models: tuple[ModelInfo, ...]) -> list[dict[str, Any]]:
    """Return the fields of each model that are not at their defaults."""
    return [dict(_written_fields(info)) for info in models]


def _written_fields(info: ModelInfo) -> Iterator[tuple[str, Any]]:
    for name, field in _FIELDS.items():
        value = getattr(info, name)
        if field.default is MISSING or value != field.default:
            yield name, sorted(value) if isinstance(value, frozenset) else value


def read_models(plain: object) -> tuple[ModelInfo, ...] | None:
    """Return the models that were written; None where one of them is malformed."""
    if not is_list(plain):
        return None
    models: list[ModelInfo] = []
    for item in plain:
        info = _read_model(item)
        if info is None:
            return None
        models.append(info)
    return tuple(models)


def _read_model(plain: Any) -> ModelInfo | None:
    if not isinstance(plain, dict) or not {"id", "provider"} <= plain.keys() <= _FIELDS.keys():
        return None
    values: dict[str, Any] = {}
    for name, value in plain.items():
        kind = type_name(name)
        if type(value) is not _WRITTEN.get(kind):
            return None
        if is_list(value) and not all(isinstance(each, str) for each in value):
            return None
        values[name] = _SEQUENCES[kind](value) if kind in _SEQUENCES else value
    return ModelInfo(**values)


def type_name(field: str) -> str:
    """Return the name of the type of a field of ``ModelInfo``: ``frozenset`` for ``frozenset[str] | None``."""
    kind = _FIELDS[field].type
    return kind.__name__ if isinstance(kind, type) else str(kind).partition(" ")[0].partition("[")[0]


def digest(key: Hashable) -> str | None:
    """Return a digest of a key; None where it concerns this process alone."""
    leaves = list(_leaves(key))
    if len(leaves) < 2 or "" in leaves or not all(isinstance(leaf, str | None) for leaf in leaves):
        return None  # without an address or with a number: a model in this process, MLX or a wrapped model object
    try:
        text = bounded_json.dump(key)
        if any(base_url.is_loopback(leaf) for leaf in leaves if leaf and "://" in leaf):
            text += socket.gethostname()  # 127.0.0.1 is another server on another machine
    except ValueError:  # it has no JSON form, or the address is malformed
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _leaves(key: Hashable) -> Iterator[Any]:
    if isinstance(key, tuple):
        for part in key:
            yield from _leaves(part)
    else:
        yield key
