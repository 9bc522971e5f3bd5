"""Backends of an outage, in place of the real ones: scripted faults, scripted replies, or real attempts.

Nested outages share one clock, and the backends of the inner one have the scripts of all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

from unified_llm._client.model_loader import LOCAL_MODELS
from unified_llm._core.codec import AnyRequest
from unified_llm._core.exchange import AsyncExchange, Exchange
from unified_llm._core.model_loading import ModelState
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm.testing._clock import Clock
from unified_llm.testing._faults import Fault, ScriptedEvent
from unified_llm.testing._passthrough import Passthrough
from unified_llm.testing._scripted_replies import AsyncScriptedExchange, Replies, ScriptedExchange
from unified_llm.testing._target_patterns import TargetPatterns
from unified_llm.types.records import Attempt

Seen = TypeVar("Seen")


@dataclass(slots=True)
class Script:
    """The arguments of one outage.

    Attributes:
        targets: The targets that fail.
        fault: How they fail.
        replies: The replies of all other targets; None if these get real requests.
        times: How many attempts on each target fail; None for all.
        matched: Whether there was an attempt at one of the targets.
    """

    targets: TargetPatterns
    fault: Fault
    replies: Replies | None
    times: int | None
    matched: bool = False
    _failed: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _lock: threading.RLock = field(default_factory=make_lock, init=False)

    def fault_events(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent] | None:
        """List the events of an attempt that fails; None if the target is up."""
        return self.fault.events_for(request) if target in self.targets and self._fails_now(target) else None

    def reply_events(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent] | None:
        """List the events of an attempt on a target that is up; None if the attempt is real."""
        return self.replies.events_for(request, target) if self.replies else None

    def _fails_now(self, target: Target) -> bool:
        if self.times is None:
            return True
        with self._lock:
            failed = self._failed.get(target.name, 0)
            self._failed[target.name] = failed + 1
        return failed < self.times


def _fixed_random() -> float:
    """Return a constant instead of a random number, so that tests are repeatable."""
    return 0.5


def _both(inner: Callable[[Seen], None], outer: Callable[[Seen], None] | None) -> Callable[[Seen], None]:
    """Return a function that calls the observers of an outage and of the enclosing one."""
    if outer is None:
        return inner

    def call_both(seen: Seen) -> None:
        inner(seen)
        outer(seen)

    return call_both


class SimulatedBackends:
    """Makes the attempts of an outage. It finds the enclosing outage, if there is one, through the runtime.

    Args:
        outer: The runtime outside of the outage.
        script: The arguments of the outage.
    """

    def __init__(self, outer: Runtime, script: Script) -> None:
        enclosing = getattr(outer.exchange, "__self__", None)
        self._outer_runtime = outer
        self._outer = enclosing if isinstance(enclosing, SimulatedBackends) else None
        self.clock: Clock = self._outer.clock if self._outer else Clock(outer.now)
        self.passthrough: Passthrough = self._outer.passthrough if self._outer else Passthrough(outer, self.clock)
        self.scripts: Sequence[Script] = (script, *(self._outer.scripts if self._outer else ()))

    def runtime(self, observe: Callable[[Attempt], None], observe_chain: Callable[[Sequence[Target]], None]) -> Runtime:
        """Make the runtime of calls in the outage.

        Args:
            observe: Called with every attempt.
            observe_chain: Called with the targets of every call.
        """
        return replace(
            self._outer_runtime,
            now=self.clock.now,
            wall=lambda: self._outer_runtime.wall() + self.clock.ahead,
            sleep=self.clock.skip,
            asleep=self.clock.askip,
            random=_fixed_random,
            exchange=self.exchange,
            aexchange=self.aexchange,
            loader=self,
            observe=_both(observe, self._outer_runtime.observe),
            observe_chain=_both(observe_chain, self._outer_runtime.observe_chain),
        )

    def exchange(self, request: AnyRequest, target: Target) -> Exchange:
        """Create an attempt for sync callers."""
        events = self._events(request, target)
        return ScriptedExchange(events, self.clock) if events else self.passthrough.exchange(request, target)

    def aexchange(self, request: AnyRequest, target: Target) -> AsyncExchange:
        """Create an attempt for async callers."""
        events = self._events(request, target)
        return AsyncScriptedExchange(events, self.clock) if events else self.passthrough.aexchange(request, target)

    def state(self, target: Target) -> ModelState:
        """Return whether the model of a target is in memory: a target that is scripted has none to load."""
        is_real = self._outer_runtime.exchange is None or isinstance(self._outer, SimulatedBackends)
        scripted = any(target in script.targets or script.replies for script in self.scripts)
        return LOCAL_MODELS.state(target) if is_real and not scripted else "loaded"

    def wait(self, target: Target, until: float) -> bool:
        """Load the model of a real target, for sync callers."""
        return LOCAL_MODELS.wait(target, until)

    async def wait_async(self, target: Target, until: float) -> bool:
        """Do the same for async callers."""
        return await LOCAL_MODELS.wait_async(target, until)

    def _events(self, request: AnyRequest, target: Target) -> Sequence[ScriptedEvent] | None:
        """List the events of the innermost outage in which the target fails, else of the innermost with replies."""
        for script in self.scripts:
            script.matched = script.matched or target in script.targets
        for script in self.scripts:
            if events := script.fault_events(request, target):
                return events
        for script in self.scripts:
            if events := script.reply_events(request, target):
                return events
        return None

    def __enter__(self) -> Self:
        """Return these backends; they are closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections of real attempts, at the end of the outermost outage."""
        if self._outer is None:
            self.passthrough.close()
