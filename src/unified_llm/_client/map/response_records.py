"""Responses as JSON, for the checkpoint. Imported with the first response that is stored or looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from unified_llm._lib.bounded_json import JSONError, dump, without_nan

ResponseT = TypeVar("ResponseT")


_adapters: Final[dict[type[Any], TypeAdapter[Any]]] = {}


def _adapter(kind: type[ResponseT]) -> TypeAdapter[ResponseT]:
    adapter = _adapters.get(kind)
    if adapter is None:
        adapter = _adapters[kind] = TypeAdapter(kind)
    return adapter


def make_record(response: Any) -> dict[str, Any]:
    """Return the fields of a response, but for those that have their default; ``raw`` where it is JSON.

    Raises:
        JSONError: It has no JSON form.
    """
    adapter = _adapter(type(response))
    try:
        return _as_json(adapter, response)
    except JSONError:
        if getattr(response, "raw", None) is None:
            raise
        return _as_json(adapter, replace(response, raw=None))


def _as_json(adapter: TypeAdapter[Any], response: Any) -> dict[str, Any]:
    try:
        record = adapter.dump_python(response, mode="json", exclude_defaults=True, warnings=False)
    except (PydanticSerializationError, ValueError, RecursionError):
        raise JSONError("a value of the response has no JSON form") from None
    record = without_nan(record)
    dump(record)
    return cast("dict[str, Any]", record)


def read_record(record: Mapping[str, Any], kind: type[ResponseT]) -> ResponseT | None:
    """Return the response of a record; None where it has another form."""
    try:
        return _adapter(kind).validate_python(record)
    except ValidationError:
        return None
