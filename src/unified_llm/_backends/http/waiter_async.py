"""Waits of a task that another task or thread ends. ``waiter_sync`` is the same for threads."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class AsyncWaiter:
    """Waits of one task; ``wake`` may be called from any thread, at any moment, even in the garbage collector."""

    __slots__ = ("_loop", "_woken")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """End the present wait, or the next one."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, seconds: float) -> None:
        """Wait until woken, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
