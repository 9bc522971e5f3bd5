"""An event loop in fake time: where every task sleeps, its clock goes on to the next one that wakes, at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from unified_llm._core.runtime import current, use

ResultT = TypeVar("ResultT")


class _Selector(selectors.DefaultSelector):
    """Lets the clock go on by what it is to wait."""

    clock = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.clock += timeout
        return super().select(None if timeout is None else 0)


def run(main: Coroutine[Any, Any, ResultT], **runtime: Any) -> ResultT:
    """Run a coroutine; its calls have the clock of the loop, and these fields of ``Runtime``."""
    selector = _Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.clock  # type: ignore[method-assign]

    async def sleep(until: float) -> None:
        await asyncio.sleep(max(0.0, until - selector.clock))

    try:
        with use(replace(current(), now=lambda: selector.clock, asleep=sleep, **runtime)):
            return loop.run_until_complete(main)
    finally:
        loop.close()
