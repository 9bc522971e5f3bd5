"""Which prompt is read next, and which result is returned next: the part of a run that neither waits nor sends.

Prompts are numbered as they are read. Between reading and returning, one is in one of three states::

    read --> waiting --------------------------------> ready --> returned
                `--> held, until all before it are ready --^
                     (in order only)

Nothing is read while so many are waiting or ready that reading on brings nothing: the requests in flight, and as many
again, so that the next one begins when one ends. One slow prompt holds back the results behind it; so many are kept,
and then reading stops until it ends. That bounds the memory of a run, whatever the number of prompts.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final, Generic, TypeVar

ResultT = TypeVar("ResultT")

_AHEAD: Final = 2  # times the concurrency
_HELD: Final = 10


class Step(Enum):
    """What to do next.

    Attributes:
        READ: Read a prompt, and number it by ``take``.
        RETURN: Return what ``pop`` gives.
        WAIT: Wait until a prompt is finished.
        END: Nothing is left.
    """

    READ = auto()
    RETURN = auto()
    WAIT = auto()
    END = auto()


class Window(Generic[ResultT]):
    """The prompts between reading and returning.

    Args:
        at_once: How many are in flight at once.
        ordered: Return results in the order of the prompts; else as they come.
    """

    def __init__(self, at_once: int, *, ordered: bool) -> None:
        self._most_busy, self._most_open, self._ordered = _AHEAD * at_once, _HELD * at_once, ordered
        self._is_exhausted = self._has_read = False
        self._taken = self._waiting = self._returned = 0
        self._next_ready = 0  # in order: the number of the first prompt that is not ready
        self._held: dict[int, ResultT] = {}
        self._ready: deque[ResultT] = deque()

    def next_step(self, *, can_read: bool = True) -> Step:
        """Return what to do next. A result that is ready waits for one prompt to be read, never for more.

        Args:
            can_read: Whether the next prompt is there; where reading does not wait, results are returned meanwhile.
        """
        may_read = (
            can_read
            and not self._is_exhausted
            and self._waiting + len(self._ready) < self._most_busy
            and self._taken - self._returned < self._most_open
        )
        if may_read and not (self._ready and self._has_read):
            return Step.READ
        if self._ready:
            return Step.RETURN
        return Step.WAIT if self._waiting or not self._is_exhausted else Step.END

    def take(self) -> int:
        """Number a prompt that was read."""
        number = self._taken
        self._taken += 1
        self._waiting += 1
        self._has_read = True
        return number

    def exhaust(self) -> None:
        """Read no more."""
        self._is_exhausted = True

    def finish(self, number: int, result: ResultT) -> None:
        """Take the result of a prompt."""
        self._waiting -= 1
        if not self._ordered:
            self._ready.append(result)
            return
        self._held[number] = result
        while self._next_ready in self._held:
            self._ready.append(self._held.pop(self._next_ready))
            self._next_ready += 1

    def pop(self) -> ResultT:
        """Return the next result."""
        self._returned += 1
        self._has_read = False
        return self._ready.popleft()
