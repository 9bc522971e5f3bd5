"""A retry budget for one target: retries are a share of successes, so that they cannot multiply an outage.

Each target has its own: a shared budget, spent on a dead primary, would starve the healthy fallback. Failing over costs
nothing, since it is new load on another target.
"""

from __future__ import annotations

from typing import Final

CAPACITY: Final = 10.0
REFUND: Final = 0.1


class RetryBudget:
    """Tokens that retries spend and first-try successes earn. Not locked: its owner holds the lock."""

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
