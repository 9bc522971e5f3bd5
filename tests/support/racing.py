"""Scripted targets whose attempts run concurrently, on an event loop that advances the fake clock when it is idle.

targets = RacingTargets({"alpha/one": [[Pause(9.0), *say("slow")]], "beta/two": [say("fast")]})
targets.run(main)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.support.fake_time_loop import FakeTimeLoop, FakeTimeSelector
from tests.support.scripted_targets import Pause, ScriptedExchange, ScriptedTargets
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import current, use

R = TypeVar("R")


@dataclass
class RacingTargets(ScriptedTargets):
    """Scripted targets for async callers only.

    Attributes:
        turns: How many iterations the event loop has made.
        at: Callbacks by the iteration at which they run.
    """

    turns: int = 0
    at: dict[int, Callable[[], object]] = field(default_factory=dict[int, Callable[[], object]])

    @contextmanager
    def running(self) -> Iterator[ScriptedTargets]:
        with super().running():
            runtime = replace(
                current(),
                asleep=self.asleep,
                aexchange=lambda request, target: RacingExchange(self, request, self.key(target)),
            )
            with use(runtime):
                yield self

    async def asleep(self, until: float) -> None:
        began = self.clock
        await asyncio.sleep(until - self.clock)
        self.slept.append(self.clock - began)

    def run(self, main: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run a coroutine to its end; fail if a task is left after it."""

        async def alone() -> R:
            try:
                return await main()
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        with self.running(), asyncio.Runner(loop_factory=lambda: FakeTimeLoop(_Selector(self))) as runner:
            return runner.run(alone())


class RacingExchange:
    """One attempt, which follows its script concurrently with others."""

    def __init__(self, targets: ScriptedTargets, request: Any, name: str) -> None:
        self.targets = targets
        self.exchange = ScriptedExchange(targets, request, name)
        self.reading = False

    async def open(self, until: float) -> Failure | None:
        targets, latency = self.targets, self.targets.latency
        targets.latency = 0.0
        try:
            failure = self.exchange.open(until)
        finally:
            targets.latency = latency
        await asyncio.sleep(min(latency, until - targets.clock))
        return failure

    async def read(self, until: float) -> Any:
        assert not self.reading, "an exchange is read by one at a time"
        self.reading = True
        try:
            await asyncio.sleep(0)
            while self.exchange.steps and isinstance(pause := self.exchange.steps[0], Pause):
                left = until - self.targets.clock
                if pause.seconds >= left:
                    await asyncio.sleep(left)
                    return Failure("timeout")
                await asyncio.sleep(pause.seconds)
                self.exchange.steps.pop(0)
            return self.exchange.read(until)
        finally:
            self.reading = False

    async def close(self) -> None:
        assert not self.reading, "an exchange is closed when its read has ended"
        self.exchange.close()


class _Selector(FakeTimeSelector):
    """Has the clock of the targets, and counts the turns of the loop."""

    def __init__(self, targets: RacingTargets) -> None:
        super().__init__()
        self.targets = targets

    @property
    def clock(self) -> float:
        return self.targets.clock

    @clock.setter
    def clock(self, clock: float) -> None:
        self.targets.clock = clock

    def select(self, timeout: float | None = None) -> Any:
        self.targets.turns += 1
        if callback := self.targets.at.pop(self.targets.turns, None):
            callback()
            timeout = 0.0
        return super().select(timeout)
