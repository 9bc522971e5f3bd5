"""Signatures at run time for ``inspect``, ``help`` and IPython: every keyword argument by its name, type and default.

``**fields: Unpack[Keywords]`` tells type checkers and editors which keywords there are; at run time it shows none of
them. A signature is computed when it is first looked at, so that imports and calls stay as cheap as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Any, Final, TypeVar, get_type_hints

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

Keywords = tuple[type, Mapping[str, Any]]
"""A ``TypedDict``, and the defaults of its keys as far as they have one."""


class _NotGiven:
    """Stands for the default of a keyword whose value comes from elsewhere: the client, or its configuration."""

    def __repr__(self) -> str:
        return "..."

    def __reduce__(self) -> str:
        """Copy and pickle it by its name: two signatures are equal if their defaults are."""
        return "NOT_GIVEN"


NOT_GIVEN: Final = _NotGiven()


class LazySignature(Signature):
    """A signature that is made when it is first looked at.

    Args:
        make: Makes it.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Signature]) -> None:
        self._make = make

    def _whole(self) -> Signature:
        try:
            return self._made
        except AttributeError:
            self._made: Signature = self._make()
            return self._made

    @property
    def parameters(self) -> Any:
        """The parameters by name, in order."""
        return self._whole().parameters

    @property
    def return_annotation(self) -> Any:
        """The type of the result."""
        return self._whole().return_annotation

    def replace(self, **changes: Any) -> Signature:  # type: ignore[override] # as inspect documents it
        """Return a copy, which is computed, with other parameters or another type of the result."""
        return self._whole().replace(**changes)

    def __reduce__(self) -> Any:
        """Copy and pickle the computed signature."""
        return self._whole().__reduce__()


def show_keywords(load: Callable[[], Keywords]) -> Callable[[FunctionT], FunctionT]:
    """Decorate a function so that its signature shows the keys of a ``TypedDict`` in place of ``**keywords``.

    Args:
        load: Returns the ``TypedDict``, and defaults; called when the signature is first looked at.
    """

    def decorate(function: FunctionT) -> FunctionT:
        plain = inspect.signature(function)

        def make() -> Signature:
            keywords, defaults = load()
            return with_keywords(plain, read_keywords(keywords, defaults))

        vars(function)["__signature__"] = LazySignature(make)
        return function

    return decorate


def field_defaults(kind: type) -> dict[str, Any]:
    """Return the defaults of the fields of a dataclass that have one."""
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(kind)
        if field.default is not MISSING or field.default_factory is not MISSING
    }


def read_keywords(keywords: type, defaults: Mapping[str, Any]) -> list[Parameter]:
    """Return a parameter for each key of a ``TypedDict``, first those that have a default of their own."""
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name, NOT_GIVEN), annotation=annotation)
        for name, annotation in get_type_hints(keywords).items()
    ]
    return sorted(parameters, key=lambda parameter: parameter.default is NOT_GIVEN)


def with_keywords(signature: Signature, keywords: Iterable[Parameter]) -> Signature:
    """Return a signature with these parameters in place of its ``**keywords``, but for those that it names itself."""
    named = [parameter for parameter in signature.parameters.values() if parameter.kind is not Parameter.VAR_KEYWORD]
    if len(named) == len(signature.parameters):
        return signature
    names = {parameter.name for parameter in named}
    return signature.replace(parameters=[*named, *(keyword for keyword in keywords if keyword.name not in names)])
