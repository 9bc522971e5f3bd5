"""The types of OpenAI's own SDK, made strict: what a request may hold, and what a response must.

Written from the SDK's types of version 3.51.0, not tried against the service.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, get_args

from openai import BaseModel
from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator
from typing_extensions import get_original_bases, is_typeddict

from integration_tests.fakes.openai_api.replies import JSON, APIError
from integration_tests.fakes.openai_api.requests import Part, Received

# Fields that begin with this stand for those of a server that extends the API: every endpoint takes them.
EXTENSION = "x_"


def check_form(kind: str, received: Received, *files: str) -> JSON:
    """Refuse what that type does not have, and a file where text is due or the reverse; return the fields."""
    fields = dict(received.body)
    if not received.is_form:
        raise APIError(415, "This endpoint takes multipart/form-data.")
    for name, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Part) is not (name in files) and not isinstance(item, dict):
                raise APIError(400, f"{name}: expected {'a file' if name in files else 'text'}", param=name)
    if fields.get("stream") in {"true", "false"}:
        fields["stream"] = fields["stream"] == "true"
    check_request(kind, {name: _as_bytes(value) for name, value in fields.items()}, is_json=False)
    return fields


def _as_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_bytes(item) for item in value]
    return value.data if isinstance(value, Part) else value


def check_request(kind: str, body: Any, *, is_json: bool = True) -> None:
    """Refuse what the type ``module:Name`` of the SDK does not have; text of forms may be a number."""
    try:
        _validator(kind).validate_python(without_extensions(body), strict=True if is_json else None)
    except ValidationError as problem:
        # Of the branches of a union, report the one that matched furthest.
        details = problem.errors(include_url=False, include_input=False)
        first = max(details, key=lambda detail: len(detail["loc"]))
        name = ".".join(map(str, first["loc"]))
        code = "unknown_parameter" if first["type"] == "extra_forbidden" else "invalid_value"
        raise APIError(400, f"{name}: {first['msg']}", code=code, param=str(first["loc"][0])) from None


def without_extensions(body: Any) -> Any:
    if not isinstance(body, Mapping):
        return body
    return {name: value for name, value in body.items() if not name.startswith(EXTENSION)}


def check_response(kind: type[BaseModel], body: Any) -> None:
    """Fail where a fake's own response is not of that type of the SDK, or has a field that the type does not know."""
    undeclared = [*_undeclared(kind.model_validate(body, strict=True), "")]
    assert undeclared == [], f"the fake sends what {kind.__name__} does not have: {undeclared}"


def _undeclared(value: Any, path: str) -> list[str]:
    if isinstance(value, BaseModel):
        names = [f"{path}.{name}" for name in value.model_extra or ()]
        return names + [
            name for field in type(value).model_fields for name in _undeclared(getattr(value, field), f"{path}.{field}")
        ]
    if isinstance(value, list):
        return [name for item in value for name in _undeclared(item, path)]
    return []


@functools.cache
def _validator(kind: str) -> SchemaValidator:
    module, _, name = kind.partition(":")
    found = getattr(importlib.import_module(f"openai.types.{module}"), name)
    _forbid_extra_fields(found, set())
    return SchemaValidator(_lists_at_once(TypeAdapter(found).core_schema))


def _forbid_extra_fields(kind: Any, seen: set[int]) -> None:
    """Make a type strict, with the types that its module imports: those are what its fields name."""
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if is_typeddict(kind):
        kind.__pydantic_config__ = {"extra": "forbid", "arbitrary_types_allowed": True}
        named = vars(importlib.import_module(kind.__module__)).values()
        for inner in (*named, *get_original_bases(kind)):
            if is_typeddict(inner) or get_args(inner):
                _forbid_extra_fields(inner, seen)
    for inner in get_args(kind):
        _forbid_extra_fields(inner, seen)


def _lists_at_once(schema: Any) -> Any:
    """Read every ``Iterable`` as a list: Pydantic checks those later, so any branch of a union would fit."""
    if isinstance(schema, dict):
        found = {name: _lists_at_once(value) for name, value in schema.items()}
        return found | {"type": "list"} if found.get("type") == "generator" else found
    if isinstance(schema, (list, tuple)):
        return type(schema)(_lists_at_once(value) for value in schema)
    return schema
