"""Waits of a thread that another thread ends. ``waiter_async`` is the same for tasks."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class SyncWaiter:
    """Waits of one thread; ``wake`` may be called from any thread, at any moment, even in the garbage collector."""

    __slots__ = ("_woken",)

    def __init__(self) -> None:
        self._woken: SimpleQueue[None] = SimpleQueue()

    def wake(self) -> None:
        """End the present wait, or the next one."""
        self._woken.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until woken, at most so long; not at all where the time is over."""
        with suppress(Empty):
            self._woken.get(timeout=max(0.0, seconds))
