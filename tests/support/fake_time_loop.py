"""An event loop in fake time: where every task sleeps, its clock goes on to the next one that wakes, at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from unified_llm._core.runtime import current, use

ResultT = TypeVar("ResultT")


class FakeTimeSelector(selectors.DefaultSelector):
    """Lets the clock go on by what it is to wait."""

    clock = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits for something that will never happen"
            self.clock += max(0.0, timeout)
        return ready


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that has the clock of its selector."""

    def __init__(self, selector: FakeTimeSelector) -> None:
        super().__init__(selector)
        self._clock = selector

    def time(self) -> float:
        return self._clock.clock


def run(main: Coroutine[Any, Any, ResultT], **runtime: Any) -> ResultT:
    """Run a coroutine; its calls have the clock of the loop, and these fields of ``Runtime``."""
    selector = FakeTimeSelector()

    async def sleep(until: float) -> None:
        await asyncio.sleep(max(0.0, until - selector.clock))

    fake = replace(current(), now=lambda: selector.clock, asleep=sleep, **runtime)
    with use(fake), asyncio.Runner(loop_factory=lambda: FakeTimeLoop(selector)) as runner:
        return runner.run(main)
