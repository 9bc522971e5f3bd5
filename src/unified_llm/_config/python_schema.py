"""JSON schemas of Python functions and classes, for the tools that users write as such."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any, get_type_hints

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles of fields, which repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the name is Pydantic's
        """Return False for every field."""
        return False


def python_schema(thing: Any) -> dict[str, Any] | None:
    """Return the JSON schema of a class, or of a function's arguments; None where there is none."""
    try:
        described = thing if isinstance(thing, type) else _with_types(thing)
        schema = TypeAdapter[Any](described).json_schema(schema_generator=_WithoutTitles)
    except (PydanticUserError, PydanticSchemaGenerationError, NameError, TypeError, ValueError, AttributeError):
        return None
    for name, field in schema.get("properties", {}).items():  # Pydantic 2.11 sets titles of arguments all the same
        if field.get("title") == name.replace("_", " ").title():
            del field["title"]
    return schema


def _with_types(function: Any) -> Any:
    """Return a function of the same signature whose annotations are types: Pydantic 2.11 looks texts up elsewhere."""
    annotated = function.func if isinstance(function, partial) else function

    @wraps(function)
    def described() -> None: ...

    described.__annotations__ = get_type_hints(annotated, include_extras=True)
    return described
