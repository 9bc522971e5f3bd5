"""The clock of the package, replaced for an attack, so that hours pass at once."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from unified_llm._core import runtime


class Clock:
    """A clock that shows the real time and what is added to it; sleeping adds to it and takes no time."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._stack = ExitStack()

    @property
    def time(self) -> float:
        """The present instant; set it to let time pass."""
        return time.monotonic() + self._offset

    @time.setter
    def time(self, instant: float) -> None:
        self._offset = instant - time.monotonic()

    def _sleep(self, until: float) -> None:
        self.time = max(self.time, until)

    async def _asleep(self, until: float) -> None:
        self._sleep(until)

    def __enter__(self) -> Self:
        changed = replace(runtime.current(), now=lambda: self.time, sleep=self._sleep, asleep=self._asleep)
        self._stack.enter_context(runtime.use(changed))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
