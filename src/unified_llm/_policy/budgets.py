"""Budgets: retries and hedges are a share of the calls that go well, so that they cannot multiply an outage."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Final

CAPACITY: Final = 10.0
REFUND: Final = 0.1

# One hedge for so many calls.
CALLS_PER_HEDGE: Final = 20
_MOST_HEDGES: Final = 10


class RetryBudget:
    """Tokens that retries spend and first-try successes earn. Not locked: its owner holds the lock.

    Each target has its own: a shared budget, spent on a dead primary, would starve the healthy fallback. Failing over
    costs nothing, since it is new load on another target.
    """

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        """A full budget."""
        self.tokens = CAPACITY

    @property
    def enough(self) -> bool:
        """Whether there is a token for one retry."""
        return self.tokens >= 1.0

    def spend(self) -> None:
        """One retry is made."""
        self.tokens = max(0.0, self.tokens - 1.0)

    def earn(self) -> None:
        """A request succeeded at the first try."""
        self.tokens = min(CAPACITY, self.tokens + REFUND)


class HedgeBudget:
    """Leave to hedge one call in twenty; a fresh budget has leave for one.

    Used from many threads without a lock: both of its parts do what they do in one step of the interpreter.
    """

    __slots__ = ("_calls", "_leaves")

    def __init__(self) -> None:
        """Leave for one hedge."""
        self._calls = count(1)
        self._leaves: deque[None] = deque([None], maxlen=_MOST_HEDGES)

    def earn(self) -> None:
        """A call is made that could be hedged."""
        if next(self._calls) % CALLS_PER_HEDGE == 0:
            self._leaves.append(None)

    def spend(self) -> bool:
        """Whether one more hedge may be made; then it counts."""
        try:
            self._leaves.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """The hedge was not made after all."""
        self._leaves.append(None)
