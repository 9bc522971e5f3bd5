"""Clock of an outage: it is advanced instead of waiting.

It runs ahead of the runtime's own clock by the sum of the skipped waits: real attempts take the time that they take.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from unified_llm._lib.fork_safe import make_lock


class Clock:
    """A clock that can be advanced.

    Args:
        real_now: The clock that it runs ahead of.

    Attributes:
        ahead: The seconds that it is ahead; 0 at first.
    """

    def __init__(self, real_now: Callable[[], float]) -> None:
        self.ahead = 0.0
        self._real_now = real_now
        self._lock = make_lock()

    def now(self) -> float:
        """Return the time, in seconds."""
        return self._real_now() + self.ahead

    def skip(self, until: float) -> None:
        """Advance the clock to an instant.

        Raises:
            AssertionError: The instant is infinite: a call without any limit.
        """
        if math.isinf(until):
            raise AssertionError(
                "A target hangs, and the call has no limit, so it would never return: give it a deadline= or a "
                "timeout=."
            )
        with self._lock:
            while (left := until - self.now()) > 0:  # more than once if a sum of floats falls short
                self.ahead += left

    async def askip(self, until: float) -> None:
        """Advance the clock to an instant as ``skip`` does; let other tasks run first."""
        await asyncio.sleep(0)
        self.skip(until)
