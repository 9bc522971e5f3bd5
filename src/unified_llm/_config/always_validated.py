"""Pydantic's ways to make or copy a model without validation, closed for settings that hold keys.

A key that passed by the checks would be no ``Secret``: it would show in a repr, or be taken for one that was not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import BeforeValidator, GetCoreSchemaHandler, ValidationInfo

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._core.redaction import hide_keys
from unified_llm._core.seconds import TIMES, number_from_text
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel as _Base
else:
    _Base = object  # another Pydantic class would cost every import some milliseconds


class AlwaysValidated(_Base):
    """Mixin for a Pydantic class whose constructor and ``model_copy`` validate: put it before ``BaseModel``."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Let every way of validation call the constructor.

        Before 2.13, Pydantic's ``model_validate_strings`` did not, and its errors showed the key. After a function it
        does, since what a function returns is a Python object.
        """
        return BeforeValidator(_read_strings).__get_pydantic_core_schema__(source, handler)

    def copy(self, *, include: Any = None, exclude: Any = None, update: Any = None, deep: bool = False) -> Self:
        """Do the same as ``model_copy``; Pydantic's old name for it.

        Raises:
            ConfigurationError: A value makes no sense, or fields are to be left out.
        """
        if include is not None or exclude is not None:
            raise ConfigurationError("copy() copies all fields: use model_copy(update={...}) to change some.")
        given = Hidden(update or {})
        del update
        with CLEAR_VARIABLES:
            return self.model_copy(update=given.value, deep=deep)

    def __replace__(self, **changes: Any) -> Self:
        """Do the same as ``model_copy``, for ``copy.replace``."""
        given = Hidden(changes)
        del changes
        with CLEAR_VARIABLES:
            return self.model_copy(update=given.value)

    @classmethod
    def model_construct(  # type: ignore[override] # Pydantic's plugin for mypy renames the first parameter
        cls, _fields_set: set[str] | None = None, **values: Any
    ) -> Self:
        """Do the same as the constructor."""
        given = Hidden(values)
        del values
        with CLEAR_VARIABLES:
            return cls(**given.value)

    @classmethod
    def construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Do the same as the constructor; Pydantic's old name for ``model_construct``."""
        given = Hidden(values)
        del values
        with CLEAR_VARIABLES:
            return cls(**given.value)


def _read_strings(value: object, info: ValidationInfo) -> object:
    """Return the fields as they are; of fields that are all text, as in an environment, times become numbers."""
    if str(info.mode) != "string" or not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, object]", value)
    return {name: number_from_text(text) if name in TIMES else text for name, text in fields.items()}


def checked_changes(update: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Return what a copy changes, by the names of the fields, with any key in a ``Secret``.

    Raises:
        ConfigurationError: The key is malformed.
    """
    changes = {aliases.get(name, name): value for name, value in update.items()}
    hide_keys(changes)
    return changes
