"""Signatures of the classes whose arguments are Pydantic fields: real names, types and defaults, the model first.

Pydantic makes a signature with the first object of a class whose build is deferred; before, it shows that of a base. It
lists the fields of the bases first, and their validators as a part of their types.
"""

from __future__ import annotations

from inspect import Parameter, Signature, get_annotations, signature
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from unified_llm._lib.signatures import NOT_GIVEN

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

_FIRST: Final = ("model", "fallbacks")


class _Signature:
    """A property of a class, which Pydantic cannot replace by its own."""

    def __get__(self, cls: type[BaseModel] | None, _: type) -> Any:
        return self if cls is None else Signature(_parameters(cls))

    def __set__(self, cls: type[BaseModel], value: object) -> None:
        """Ignore the signature that Pydantic made."""


class ShowsFields(ModelMetaclass):
    """Metaclass of Pydantic classes that list their fields: the model, the fallbacks, our own, inherited ones."""

    __signature__: Any = _Signature()


def _parameters(cls: type[BaseModel]) -> list[Parameter]:
    fields = cls.model_fields
    ours = {name for base in cls.__mro__ if _is_ours(base) for name in get_annotations(base)}
    order = [*_FIRST, *(name for name in fields if name in ours), *fields]
    positional = signature(cls.__init__).parameters
    return [
        Parameter(
            name,
            Parameter.POSITIONAL_OR_KEYWORD if name in positional else Parameter.KEYWORD_ONLY,
            default=NOT_GIVEN if field.default_factory else Parameter.empty if field.is_required() else field.default,
            annotation=field.annotation,
        )
        for name in dict.fromkeys(order)
        if (field := fields.get(name))
    ]


def _is_ours(base: type) -> bool:
    return base.__module__.partition(".")[0] == __name__.partition(".")[0]
