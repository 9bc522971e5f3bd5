"""Objects of which a process has one, and in place of which a test has another one for a time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Swappable(Generic[T]):
    """The object of this process.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._current = make()

    def current(self) -> T:
        """Return the object; in ``apart``, the one of that block."""
        return self._current

    @contextmanager
    def apart(self, other: T | None = None) -> Generator[T]:
        """Use another object in this block, which changes nothing in the first one; a new one unless it is given."""
        before, self._current = self._current, self._make() if other is None else other
        try:
            yield self._current
        finally:
            self._current = before
