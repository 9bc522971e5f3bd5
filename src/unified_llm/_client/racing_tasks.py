"""Concurrent attempts of a hedged call, one asyncio task each. Imported when the first hedge begins.

Cancelling a read ends its exchange, so each attempt runs in a task of its own until its first event, and goes on while
the driver waits for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from unified_llm._core.codec import UNWRITABLE
from unified_llm._core.exchange import AnyEvent, AsyncExchange
from unified_llm._core.outcome import Failure


class RacingAttempts:
    """The tasks of one call, by the number of their attempt."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[AnyEvent]] = {}

    def __bool__(self) -> bool:
        """Return True while an attempt is in progress."""
        return bool(self._tasks)

    def begin(self, number: int, exchange: AsyncExchange, until: float) -> None:
        """Open an exchange and read its first event."""
        self._tasks[number] = asyncio.create_task(_begin(exchange, until))

    async def first(self, numbers: Sequence[int], timeout: float | None) -> tuple[int, AnyEvent] | None:
        """Return the first event of these attempts, or None when none comes within the timeout (seconds)."""
        tasks = {self._tasks[number]: number for number in numbers}
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for task, number in tasks.items():
            if task in done:
                del self._tasks[number]
                return number, task.result()
        return None

    async def stop(self, number: int) -> None:
        """Cancel one attempt, if it is in progress."""
        if task := self._tasks.get(number):
            task.cancel()
            await asyncio.wait([task])
            del self._tasks[number]

    async def stop_all(self) -> None:
        """Cancel all attempts."""
        try:
            if self._tasks:
                for task in self._tasks.values():
                    task.cancel()
                await asyncio.wait(self._tasks.values())
        finally:
            self._tasks.clear()


async def _begin(exchange: AsyncExchange, until: float) -> AnyEvent:
    try:
        return await exchange.open(until) or await exchange.read(until)
    except UNWRITABLE as error:
        return Failure("unsendable", detail=str(error))
