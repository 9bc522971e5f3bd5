"""Bounded dict whose entries expire; when it is full, the entry that expires first is dropped."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Final, Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

# The heap may hold this many outdated items before it is built again.
_SPARE: Final = 64


class ExpiringDict(Generic[_K, _V]):
    """A dict that keeps at most ``most`` entries. Each operation takes O(log n) steps on average.

    An entry that has expired stays until it is dropped for another or removed.

    ::

        _entries   key -> (number, until, value)
        _heap      (until, number, key), soonest first; outdated where the entry has another number by now

    Args:
        most: The most entries that are kept.
    """

    __slots__ = ("_entries", "_heap", "_most", "_numbers")

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers = count()
        self._entries: dict[_K, tuple[int, float, _V]] = {}
        self._heap: list[tuple[float, int, _K]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: _K) -> bool:
        return key in self._entries

    def get(self, key: _K) -> _V | None:
        """Return the value of a key, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[2]

    def put(self, key: _K, value: _V, until: float) -> None:
        """Set the value and the expiry of a key; drop the entry that expires first where there are too many."""
        number = next(self._numbers)
        self._entries[key] = (number, until, value)
        if len(self._entries) > self._most:
            self._drop_soonest()
        heapq.heappush(self._heap, (until, number, key))
        if len(self._heap) > 2 * len(self._entries) + _SPARE:
            self._heap = [(until, number, key) for key, (number, until, _) in self._entries.items()]
            heapq.heapify(self._heap)

    def pop(self, key: _K) -> _V | None:
        """Remove a key; return its value, or None."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[2]

    def items(self) -> Iterator[tuple[_K, _V]]:
        """Iterate over keys and values, oldest key first."""
        return ((key, entry[2]) for key, entry in self._entries.items())

    def clear(self) -> None:
        """Remove everything."""
        self._entries.clear()
        self._heap.clear()

    def _drop_soonest(self) -> None:
        while self._heap:
            _, number, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry[0] == number:
                del self._entries[key]
                return
