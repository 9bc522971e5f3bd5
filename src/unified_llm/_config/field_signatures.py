"""Signatures of the classes whose arguments are Pydantic fields: real names, types and defaults, the model first.

Pydantic makes a signature with the first object of a class whose build is deferred; before, it shows that of a base. It
lists the fields of the bases first, and their validators as a part of their types.
"""

from __future__ import annotations

from collections.abc import Collection
from inspect import Parameter, Signature, get_annotations, signature
from typing import TYPE_CHECKING, Any, Final

from pydantic import AliasChoices, BaseModel

from unified_llm._lib.signatures import NOT_GIVEN, with_keywords

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

_FIRST: Final = ("model", "fallbacks")


class _Signature:
    """A property of a class, which Pydantic cannot replace by its own."""

    def __get__(self, cls: type[BaseModel] | None, _: type) -> Any:
        return self if cls is None else _signature_of(cls)

    def __set__(self, cls: type[BaseModel], value: object) -> None:
        """Ignore the signature that Pydantic made."""


class ShowsFields(ModelMetaclass):
    """Metaclass of Pydantic classes that list their fields: the model, the fallbacks, our own, inherited ones.

    A subclass with a constructor of its own has the parameters of that, and the fields in place of its ``**kwargs``.
    """

    __signature__: Any = _Signature()


def accepted_names(cls: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of the fields of a class, and the aliases that a subclass gave to fields of its own."""
    aliases = (field.validation_alias for field in cls.model_fields.values())
    choices = (alias.choices if isinstance(alias, AliasChoices) else [alias] for alias in aliases)
    return (*cls.model_fields, *(choice for each in choices for choice in each if isinstance(choice, str)))


def _signature_of(cls: type[BaseModel]) -> Signature:
    constructor = signature(cls.__init__)
    given = [*constructor.parameters.values()][1:]
    if not _is_ours(cls.__init__):
        return with_keywords(constructor.replace(parameters=given, return_annotation=Signature.empty), _fields(cls, ()))
    positional = [each.name for each in given if each.kind is Parameter.POSITIONAL_ONLY]
    return Signature(_fields(cls, positional))


def _fields(cls: type[BaseModel], positional: Collection[str]) -> list[Parameter]:
    fields = cls.model_fields
    ours = {name for base in cls.__mro__ if _is_ours(base) for name in get_annotations(base)}
    order = [*_FIRST, *(name for name in fields if name in ours), *fields]
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


def _is_ours(thing: Any) -> bool:
    module: str = thing.__module__
    return module.partition(".")[0] == __name__.partition(".")[0]
