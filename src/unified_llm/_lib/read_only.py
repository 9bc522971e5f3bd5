"""Dicts that cannot be changed, for settings that were checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn


class ReadOnlyDict(dict[str, Any]):
    """A dict that refuses every change. It is a dict, so that all that reads or dumps one takes it."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("This mapping was checked and is read-only: make a copy with other values.")

    __setitem__ = __delitem__ = __ior__ = _refuse  # pyright: ignore[reportAssignmentType]
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain dict to be frozen again."""
        return freeze, (dict(self),)

    def __copy__(self) -> ReadOnlyDict:
        """Return itself."""
        return self

    def __deepcopy__(self, memo: object) -> Any:
        """Copy the lists inside."""
        return freeze(self)


def freeze(value: Any) -> Any:
    """Copy a value of plain data: mappings become read-only at every level, lists are copied, all else is shared."""
    if isinstance(value, Mapping):
        return ReadOnlyDict({name: freeze(inner) for name, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)([freeze(inner) for inner in value]) if type(value) in {list, tuple} else value
    return value
