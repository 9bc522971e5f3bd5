"""Values of event loops: each belongs to one loop, and is collected with it.

The loop itself owns its value. A map from loops to values would keep every loop alive whose value refers to it, as an
async generator that has begun does; Python collects a cycle, but not a key of a weak map to which its value refers::

    LoopLocal --weak--> loop <--> values of this loop {LoopLocal (weak): value}
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary, ref

_T = TypeVar("_T")

_ATTRIBUTE: Final = "_unified_llm_values"


class LoopLocal(Generic[_T]):
    """One value for each event loop. Its owner holds a lock where loops of several threads get and set their values."""

    def __init__(self) -> None:
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, Callable[[], _T | None]] = WeakKeyDictionary()

    def get(self, loop: asyncio.AbstractEventLoop) -> _T | None:
        """Return the value of a loop, or None."""
        value = self._values.get(loop)
        return None if value is None else value()

    def set(self, loop: asyncio.AbstractEventLoop, value: _T) -> None:
        """Set the value of a loop."""
        try:
            owned = vars(loop).setdefault(_ATTRIBUTE, WeakKeyDictionary())
        except TypeError:  # a loop without attributes, which a value that refers to it keeps alive
            self._values[loop] = lambda: value
        else:
            owned[self] = value
            self._values[loop] = ref(value)

    def pop(self, loop: asyncio.AbstractEventLoop) -> _T | None:
        """Remove and return the value of a loop, or None."""
        value = self.get(loop)
        self._values.pop(loop, None)
        getattr(loop, _ATTRIBUTE, {}).pop(self, None)
        return value

    def pairs(self) -> list[tuple[asyncio.AbstractEventLoop, _T]]:
        """Return the loops with their values; other threads may add some at the same time."""
        loops = [loop for reference in self._values.keyrefs() if (loop := reference()) is not None]
        return [(loop, value) for loop in loops if (value := self.get(loop)) is not None]

    def __len__(self) -> int:
        return len(self._values)
