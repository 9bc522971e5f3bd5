"""A dict that keeps a bounded number of entries: those that were put last."""

from __future__ import annotations

from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class BoundedDict(dict[_K, _V]):
    """A dict that ``put`` keeps within a bound. The first entry is the one whose ``put`` is longest ago.

    Args:
        most: The most entries that are kept.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: _K, value: _V) -> None:
        """Set a value, and move its key to the end; drop the first entry where there are too many."""
        self.pop(key, None)
        self[key] = value
        if len(self) > self._most:
            del self[next(iter(self))]
