"""JSON schemas of Python functions and classes, for the tools that users write as such."""

from __future__ import annotations

from typing import Any

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
        return TypeAdapter[Any](thing).json_schema(schema_generator=_WithoutTitles)
    except (PydanticUserError, PydanticSchemaGenerationError, NameError, TypeError, ValueError, AttributeError):
        return None
