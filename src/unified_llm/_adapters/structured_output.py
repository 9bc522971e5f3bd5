"""Response formats with a check by a class of Pydantic, in a shape that a framework's traces and caches can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from unified_llm.types.messages import OutputMethod, ResponseFormat


class BoundFormat(dict[str, Any]):
    """``response_format`` as OpenAI has it, which a framework can write to traces and cache keys, and ours beside it.

    Attributes:
        response_format: The same with the caller's check.
    """

    response_format: ResponseFormat

    @classmethod
    def of(
        cls,
        openai_format: Mapping[str, Any],
        check: Callable[[str], str | None] | None,
        methods: tuple[OutputMethod, ...] | None = None,
    ) -> BoundFormat:
        """Add to a format of OpenAI a check (None: by the schema), and the ways to ask for it (None: all)."""
        bound, read = cls(openai_format), ResponseFormat.from_dict(openai_format) or ResponseFormat()
        bound.response_format = replace(read, validate=check or True, methods=methods or read.methods)
        return bound


def read_bound_format(value: Mapping[str, Any]) -> ResponseFormat | None:
    """Return the response format of a mapping, with its check if it has one.

    Raises:
        ValidationError: It is no response format.
    """
    return value.response_format if isinstance(value, BoundFormat) else ResponseFormat.from_dict(value)


def read_object(output_cls: type, text: str) -> Any:
    """Read an object of a Pydantic class, of version 1 or 2, from JSON.

    Raises:
        ValueError: Pydantic's ``ValidationError``: it is not JSON, or does not conform.
    """
    if issubclass(output_cls, BaseModel):
        return output_cls.model_validate_json(text)
    old_class: Any = output_cls
    return old_class.parse_raw(text)


@dataclass(frozen=True, slots=True)
class PydanticCheck:
    """Function for ``ResponseFormat(validate=)``: what the class accepts is right; its error says what is wrong."""

    output_cls: type

    def __call__(self, text: str) -> None:
        """Read the JSON.

        Raises:
            ValueError: Pydantic's ``ValidationError``.
        """
        read_object(self.output_cls, text)
