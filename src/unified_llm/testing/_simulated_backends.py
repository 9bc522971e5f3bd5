"""The world of an outage: who fails in it, who answers what, and what time it is.

Outages within each other share one clock, and the world of the inner one knows the scripts of all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AsyncExchange, Exchange
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm.testing._clock import Clock
from unified_llm.testing._faults import Fault, ScriptedEvent
from unified_llm.testing._passthrough import Passthrough
from unified_llm.testing._scripted_replies import AsyncScriptedExchange, Replies, ScriptedExchange
from unified_llm.testing._target_patterns import TargetPatterns
from unified_llm.types.records import Attempt


@dataclass(slots=True)
class Script:
    """What one outage says.

    Attributes:
        names: Who fails.
        fault: How.
        replies: What all others answer; None where they are asked for real.
        times: How many attempts on each target fail; None for all.
    """

    names: TargetPatterns
    fault: Fault
    replies: Replies | None
    times: int | None
    _failed: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def failing(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent] | None:
        """What an attempt on a target that fails meets with; None where it is up."""
        return self.fault.steps(request) if target in self.names and self._takes_one(target) else None

    def answering(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent] | None:
        """What an attempt on a target that is up meets with; None where it is made for real."""
        return self.replies.steps(request, target) if self.replies else None

    def _takes_one(self, target: Target) -> bool:
        if self.times is None:
            return True
        with self._lock:
            failed = self._failed.get(target.name, 0)
            self._failed[target.name] = failed + 1
        return failed < self.times


def _steady() -> float:
    """A test that fails by chance is none."""
    return 0.5


class SimulatedBackends:
    """Makes the attempts of an outage, in place of the transport.

    Args:
        below: The runtime before the outage.
        script: What the outage says.
    """

    def __init__(self, below: Runtime, script: Script) -> None:
        """Find out whether there is an outage around this one."""
        outer = getattr(below.exchange, "__self__", None)
        self._below = below
        self._outer = outer if isinstance(outer, SimulatedBackends) else None
        self.clock: Clock = self._outer.clock if self._outer else Clock(below.now)
        self.reality: Passthrough = self._outer.reality if self._outer else Passthrough(below, self.clock)
        self.scripts: Sequence[Script] = (script, *(self._outer.scripts if self._outer else ()))

    def runtime(self, observe: Callable[[Attempt], None]) -> Runtime:
        """What calls in the outage are given; ``observe`` is told of every attempt."""
        watch = self._below.observe

        def told(attempt: Attempt) -> None:
            observe(attempt)
            if watch:
                watch(attempt)

        return replace(
            self._below,
            now=self.clock.now,
            sleep=self.clock.skip,
            asleep=self.clock.askip,
            random=_steady,
            exchange=self.exchange,
            aexchange=self.aexchange,
            observe=told,
        )

    def exchange(self, request: AnyRequest, target: Target) -> Exchange:
        """An attempt for synchronous callers."""
        steps = self._steps(request, target)
        return ScriptedExchange(steps, self.clock) if steps else self.reality.exchange(request, target)

    def aexchange(self, request: AnyRequest, target: Target) -> AsyncExchange:
        """An attempt for asynchronous callers."""
        steps = self._steps(request, target)
        return AsyncScriptedExchange(steps, self.clock) if steps else self.reality.aexchange(request, target)

    def _steps(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent] | None:
        """By the innermost outage that names the target, else by the innermost that has an answer."""
        for script in self.scripts:
            if steps := script.failing(request, target):
                return steps
        for script in self.scripts:
            if steps := script.answering(request, target):
                return steps
        return None

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections that were made for targets that are up, with the outermost outage."""
        if self._outer is None:
            self.reality.close()
