"""``ListOf``: a list or a tuple of items, for type checkers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

ItemT_co = TypeVar("ItemT_co", covariant=True)


class ListOf(Protocol[ItemT_co]):
    """A sequence, but no string.

    ``Sequence[str]`` accepts a string, whose items are its characters. Here type checkers refuse it: ``in`` of a list
    takes any object, that of a string takes strings alone.
    """

    def __contains__(self, value: object, /) -> bool:
        """Return whether the item is there."""
        ...

    def __getitem__(self, index: int, /) -> ItemT_co:
        """Return the item at an index."""
        ...

    def __iter__(self) -> Iterator[ItemT_co]:
        """Iterate over the items."""
        ...

    def __len__(self) -> int:
        """Return the number of items."""
        ...
