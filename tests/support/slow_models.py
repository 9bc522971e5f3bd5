"""Models that take fake time to load, for calls that wait for them and for targets on standby."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.scripted_targets import ScriptedTargets
from unified_llm._core.model_loading import LoadError, ModelState, Preloaded
from unified_llm._core.target import Target


@dataclass
class SlowModels:
    """Loads models in the fake time of scripted targets.

    Attributes:
        targets: The targets, whose clock it is.
        seconds: How long the model of each target takes; other targets have none to load.
        broken: Targets whose models cannot be loaded.
        ready_at: The instant at which each model is loaded whose loading has begun.
        waits: The target and the seconds of every wait of a call.
        preloaded: Names of the targets whose models were loaded in advance, in order.
        unloaded: Names of those that were unloaded.
        kept: Seconds after which a model has to be loaded once more.
        unloads: Whether models are unloaded by themselves some time after their last request.
        on_wait: Called at the beginning of each wait of an async caller.
    """

    targets: ScriptedTargets
    seconds: Mapping[str, float]
    broken: set[str] = field(default_factory=set)
    ready_at: dict[str, float] = field(default_factory=dict)
    waits: list[tuple[str, float]] = field(default_factory=list)
    preloaded: list[str] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    kept: float = float("inf")
    unloads: bool = True
    on_wait: Callable[[], object] = lambda: None

    def state(self, target: Target) -> ModelState:
        if target.name not in self.seconds:
            return "loaded"
        if target.name not in self.ready_at:
            return "unloaded"
        return "loaded" if self.ready_at[target.name] <= self.targets.clock else "loading"

    def begin(self, target: Target) -> float:
        return self.ready_at.setdefault(target.name, self.targets.clock + self.seconds[target.name])

    def wait(self, target: Target, until: float) -> bool:
        began = self.targets.clock
        ended = target.name in self.broken or self.begin(target) <= until
        if target.name not in self.broken:
            self.targets.clock = max(began, min(self.begin(target), until))
        self.waits.append((target.name, round(self.targets.clock - began, 3)))
        return ended

    async def wait_async(self, target: Target, until: float) -> bool:
        self.on_wait()
        await asyncio.sleep(0)
        return self.wait(target, until)

    def preload(self, target: Target) -> Preloaded:
        """Begin to load, as other threads do while the clock of the test stands still."""
        if target.name in self.broken:
            raise LoadError("there is no memory for it")
        before = target.name in self.ready_at
        self.begin(target)
        self.preloaded.append(target.name)
        return Preloaded(before=before, instance=f"{target.model}:1")

    def unload(self, target: Target, loaded: Preloaded) -> None:
        assert loaded.instance == f"{target.model}:1"
        del self.ready_at[target.name]
        self.unloaded.append(target.name)

    def is_gone(self, target: Target) -> bool:
        return self.state(target) == "unloaded"

    def unloads_unused(self, target: Target) -> bool:
        assert target.name in self.seconds
        return self.unloads

    def seconds_kept(self, target: Target) -> float:
        assert target.name in self.seconds
        return self.kept
