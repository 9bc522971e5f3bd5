"""Attempts that follow a script: those on targets that fail, and on targets that answer what a test says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from unified_llm.exchange import Event
from unified_llm.outcome import Failure
from unified_llm.testing.clock import Clock
from unified_llm.testing.kinds import Step


class Scripted:
    """An attempt that meets with what the test says. No time passes in it but in a silence.

    Args:
        steps: What comes, in order; the last stays as it is.
        clock: The clock of the outage.
    """

    def __init__(self, steps: Sequence[Step], clock: Clock) -> None:
        """Nothing has been read."""
        self._steps = deque(steps)
        self._clock = clock

    def open(self, until: float) -> Failure | None:
        """Refused where the failure is the first that comes."""
        del until
        first = self._steps[0]
        return first if isinstance(first, Failure) else None

    def read(self, until: float) -> Event:
        """The next event, or a time-out at once."""
        step = self._steps.popleft() if len(self._steps) > 1 else self._steps[0]
        if step is not None:
            return step
        self._clock.skip(until)
        return Failure("timeout")

    def close(self) -> None:
        """Nothing is held."""


class AsyncScripted:
    """The same for asynchronous callers; other tasks run at each step."""

    def __init__(self, steps: Sequence[Step], clock: Clock) -> None:
        """As ``Scripted``."""
        self._inner = Scripted(steps, clock)

    async def open(self, until: float) -> Failure | None:
        """As ``Scripted.open``."""
        await asyncio.sleep(0)
        return self._inner.open(until)

    async def read(self, until: float) -> Event:
        """As ``Scripted.read``."""
        await asyncio.sleep(0)
        return self._inner.read(until)

    async def close(self) -> None:
        """Nothing is held."""
