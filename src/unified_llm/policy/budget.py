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

    def spend(self) -> bool:
        """Take a token for one retry; False when there is none."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def earn(self) -> None:
        """A request succeeded at the first try."""
        self.tokens = min(CAPACITY, self.tokens + REFUND)
