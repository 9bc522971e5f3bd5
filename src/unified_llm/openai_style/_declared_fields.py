"""What the annotations of a class declare: the names of its fields, and how parsed JSON becomes their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

Convert: TypeAlias = Callable[[Any], Any]

DISCRIMINATOR = "type"
"""The field that tells the classes of a union apart, by its ``Literal``."""


class DeclaredField(NamedTuple):
    """A field: its name in the JSON, and what makes its value of parsed JSON, where that is needed."""

    key: str
    convert: Convert | None


def read_annotations(kind: type[Any], base: type[Any]) -> dict[str, DeclaredField]:
    """Return the fields that a class and its bases declare, in their order.

    Args:
        kind: The class.
        base: The class of all objects; its own annotations are no fields.
    """
    own = get_type_hints(base)
    return {
        name: DeclaredField(kind.ALIASES.get(name, name), _Converters(base).of(hint))
        for name, hint in get_type_hints(kind).items()
        if not name.startswith("_") and get_origin(hint) is not ClassVar and name not in own
    }


def read_union(hint: Any, base: type[Any]) -> Convert:
    """Return the function that makes objects of the classes of a union; its first class is for unknown types."""
    return _Converters(base).of(hint) or (lambda value: value)


class _Converters:
    """Makes the functions that convert parsed JSON to what an annotation declares; None where it stays as it is.

    A value of another type than the declared one is passed on as it came.
    """

    def __init__(self, base: type[Any]) -> None:
        self._base = base

    def of(self, hint: Any) -> Convert | None:
        """Return the function for an annotation."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.of(arguments[0])
        if origin in {Union, UnionType}:
            variants = [argument for argument in arguments if argument is not NoneType]
            return self.of(variants[0]) if len(variants) == 1 else self._of_union(variants)
        if hint is float:
            return _as_float
        if origin is list:
            # The numbers of a vector stay as they are: there are thousands of them.
            return None if arguments[0] is float else _for_list(self.of(arguments[0]))
        if origin is dict:
            return _for_dict(self.of(arguments[1]))
        kind = origin or hint
        return self._of_class(kind) if isinstance(kind, type) and issubclass(kind, self._base) else None

    def _of_class(self, kind: type[Any]) -> Convert:
        base = self._base

        def convert(value: Any) -> Any:
            if type(value) is dict:  # as a rule; the other checks take longer
                return kind.from_json(value)
            if isinstance(value, list):  # a list where one object is declared
                return [kind.from_json(item) if isinstance(item, Mapping) else item for item in value]
            return kind.from_json(value) if isinstance(value, Mapping) and not isinstance(value, base) else value

        return convert

    def _of_union(self, variants: list[Any]) -> Convert | None:
        """Return the function for a union, which chooses by the type of the JSON, and objects by their ``type``."""
        lists = next((self.of(variant) for variant in variants if get_origin(variant) is list), None)
        dicts = next((self.of(variant) for variant in variants if get_origin(variant) is dict), None)
        objects = [variant for variant in map(_bare, variants) if isinstance(variant, type)]
        objects = [variant for variant in objects if issubclass(variant, self._base)]
        by_type = {name: self._of_class(variant) for variant in objects for name in _types_of(variant)}
        first = self._of_class(objects[0]) if objects else dicts
        if lists is None and first is None:
            return None

        def convert(value: Any) -> Any:
            chosen: Convert | None
            if type(value) is dict:
                chosen = by_type.get(str(value.get(DISCRIMINATOR)), first)
            elif isinstance(value, list):
                chosen = lists
            elif isinstance(value, Mapping):
                chosen = by_type.get(str(value.get(DISCRIMINATOR)), first)
            else:
                return value
            return value if chosen is None else chosen(value)

        return convert


def _bare(variant: Any) -> Any:
    """Return a class without its parameters and notes."""
    if get_origin(variant) is Annotated:
        variant = get_args(variant)[0]
    return get_origin(variant) or variant


def _types_of(kind: type[Any]) -> tuple[str, ...]:
    """Return the values that the field which tells classes apart has in this class."""
    hint = get_type_hints(kind).get(DISCRIMINATOR)
    return get_args(hint) if get_origin(hint) is Literal else ()


def _as_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _for_list(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: [convert(item) for item in value] if isinstance(value, list) else value


def _for_dict(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: {key: convert(item) for key, item in value.items()} if isinstance(value, Mapping) else value
