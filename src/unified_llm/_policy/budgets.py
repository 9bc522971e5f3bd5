"""Budgets that keep retries and hedges to a share of the calls that succeed, so that they cannot multiply an outage."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Final

MAX_TOKENS: Final = 10.0
TOKENS_PER_SUCCESS: Final = 0.1

# One hedge for this many calls.
CALLS_PER_HEDGE: Final = 20
_MAX_HEDGES: Final = 10


class RetryBudget:
    """Tokens that retries spend and first-try successes earn; a new budget is full.

    Each target has its own: a shared budget, spent on a dead primary, would starve the healthy fallback. Failing over
    costs nothing, since it is new load on another target.

    Not thread-safe: its owner holds the lock.
    """

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = MAX_TOKENS

    @property
    def has_token(self) -> bool:
        """Return whether there is a token for one retry."""
        return self.tokens >= 1.0

    def spend(self) -> None:
        """Take a token for one retry."""
        self.tokens = max(0.0, self.tokens - 1.0)

    def earn(self) -> None:
        """Add the share of a token that a request earns which succeeded at the first try."""
        self.tokens = min(MAX_TOKENS, self.tokens + TOKENS_PER_SUCCESS)


class HedgeBudget:
    """Tokens for hedging one call in twenty; a new budget has one token.

    Used from many threads without a lock: each of its operations on the counter and on the deque is atomic in the
    interpreter.
    """

    __slots__ = ("_calls", "_tokens")

    def __init__(self) -> None:
        self._calls = count(1)
        self._tokens: deque[None] = deque([None], maxlen=_MAX_HEDGES)

    def earn(self) -> None:
        """Count a call that could be hedged; every twentieth adds a token."""
        if next(self._calls) % CALLS_PER_HEDGE == 0:
            self._tokens.append(None)

    def spend(self) -> bool:
        """Take a token for one hedge; return whether there was one."""
        try:
            self._tokens.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """Put a token back: the hedge was not made."""
        self._tokens.append(None)
