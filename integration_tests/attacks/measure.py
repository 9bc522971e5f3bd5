"""Measurements within one child process: memory, pauses of the event loop, descriptors, threads."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


def _status(name: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return None


class Growth:
    """Growth of this process since the object was made."""

    def __init__(self) -> None:
        gc.collect()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the peak to the present size
        self._before = _resident()

    @property
    def peak(self) -> float:
        """Megabytes at the highest point."""
        return max(0.0, ((_status("VmHWM") or _peak()) - self._before) / 1024)

    @property
    def now(self) -> float:
        """Megabytes that are still in use."""
        gc.collect()
        return max(0.0, (_resident() - self._before) / 1024)


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def _resident() -> int:
    return _status("VmRSS") or _peak()


@dataclass
class Pauses:
    """The longest time in which another task did not run."""

    longest: float = 0.0


@asynccontextmanager
async def beating(every: float = 0.005) -> AsyncIterator[Pauses]:
    """Run another task that wakes all the time, and measure how long it is kept waiting."""
    pauses = Pauses()

    async def beat() -> None:
        while True:
            started = time.monotonic()
            await asyncio.sleep(every)
            pauses.longest = max(pauses.longest, time.monotonic() - started - every)

    task = asyncio.create_task(beat())
    await asyncio.sleep(2 * every)
    try:
        yield pauses
        await asyncio.sleep(2 * every)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def descriptors() -> int:
    """Count the open descriptors of this process."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return sum(1 for _ in Path(folder).iterdir()) - 1
    return 0


def threads() -> int:
    """Count the threads of this process."""
    return threading.active_count()
