"""Scripted targets whose attempts run concurrently, on an event loop that moves the fake clock when it is idle.

world = Racing({"alpha/one": [[Pause(9.0), *say("slow")]], "beta/two": [say("fast")]})
world.run(main)
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.support.scripted_targets import Pause, Played, World
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import current, use

R = TypeVar("R")


@dataclass
class Racing(World):
    """World for async callers only.

    Attributes:
        turns: How many iterations its loop has made.
        at: Callbacks by the iteration at which they run.
    """

    turns: int = 0
    at: dict[int, Callable[[], object]] = field(default_factory=dict[int, Callable[[], object]])

    @contextmanager
    def running(self) -> Iterator[World]:
        with super().running():
            runtime = replace(
                current(),
                asleep=self.asleep,
                aexchange=lambda request, target: Runner(self, request, self.key(target)),
            )
            with use(runtime):
                yield self

    async def asleep(self, until: float) -> None:
        began = self.clock
        await asyncio.sleep(until - self.clock)
        self.slept.append(self.clock - began)

    def run(self, main: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a coroutine to its end, after which no task may be left."""

        async def alone() -> R:
            try:
                return await main()
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        with self.running(), asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(alone())


class Runner:
    """One attempt, which follows its script concurrently with others."""

    def __init__(self, world: World, request: Any, name: str) -> None:
        self.world = world
        self.played = Played(world, request, name)
        self.reading = False

    async def open(self, until: float) -> Failure | None:
        world, latency = self.world, self.world.latency
        world.latency = 0.0
        try:
            refused = self.played.open(until)
        finally:
            world.latency = latency
        await asyncio.sleep(min(latency, until - world.clock))
        return refused

    async def read(self, until: float) -> Any:
        assert not self.reading, "an exchange is read by one at a time"
        self.reading = True
        try:
            await asyncio.sleep(0)
            while self.played.steps and isinstance(pause := self.played.steps[0], Pause):
                left = until - self.world.clock
                if pause.seconds >= left:
                    await asyncio.sleep(left)
                    return Failure("timeout")
                await asyncio.sleep(pause.seconds)
                self.played.steps.pop(0)
            return self.played.read(until)
        finally:
            self.reading = False

    async def close(self) -> None:
        assert not self.reading, "an exchange is closed when its read has ended"
        self.played.close()


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, world: Racing) -> None:
        super().__init__(_Selector(world))
        self.world = world

    def time(self) -> float:
        return self.world.clock


class _Selector(selectors.DefaultSelector):
    def __init__(self, world: Racing) -> None:
        super().__init__()
        self.world = world

    def select(self, timeout: float | None = None) -> Any:
        self.world.turns += 1
        if callback := self.world.at.pop(self.world.turns, None):
            callback()
            timeout = 0.0
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits for something that will never happen"
            self.world.clock += max(0.0, timeout)
        return ready
