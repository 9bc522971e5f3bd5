"""The clock of the package, replaced for an attack, so that hours pass at once."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Self

from unified_llm._backends import http
from unified_llm._core import runtime


class Clock:
    """A clock that shows the real time and what is added to it; sleeping adds to it and takes no time.

    Args:
        connections: The deadlines and ages of the connections of new clients follow it as well.
    """

    def __init__(self, *, connections: bool = False) -> None:
        self._connections = connections
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
        if self._connections:
            transport, http.Transport = http.Transport, partial(http.Transport, now=changed.now)  # type: ignore[assignment, misc]
            self._stack.callback(setattr, http, "Transport", transport)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
