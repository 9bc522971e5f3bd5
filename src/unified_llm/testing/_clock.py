"""The clock of an outage: waits pass at once, and whatever reads the clock finds that they have passed.

It goes on as the clock below it does, only ahead of it: targets that run for real take the time that they take.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable


class Clock:
    """A clock that can be put forward.

    Args:
        below: The clock that it is ahead of.

    Attributes:
        ahead: By how many seconds.
    """

    def __init__(self, below: Callable[[], float]) -> None:
        """As late as the clock below."""
        self.ahead = 0.0
        self._below = below
        self._lock = threading.Lock()

    def now(self) -> float:
        """The time, in seconds."""
        return self._below() + self.ahead

    def skip(self, until: float) -> None:
        """Let the time until an instant have passed.

        Raises:
            AssertionError: The instant never comes.
        """
        if math.isinf(until):
            raise AssertionError(
                "A target hangs, and the call would wait for it for ever: nothing limits it. Give it a deadline= or a "
                "timeout=."
            )
        with self._lock:
            while (left := until - self.now()) > 0:  # more than once where a sum of floats falls short
                self.ahead += left

    async def askip(self, until: float) -> None:
        """As ``skip``; other tasks run in between."""
        await asyncio.sleep(0)
        self.skip(until)
