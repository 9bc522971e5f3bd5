"""Harness of the policy: scripted targets, fake time, and a health registry of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tests.support.racing import RacingTargets
from tests.support.scripted_targets import Attempt, ScriptedTargets
from unified_llm._client.call import PreparedCall
from unified_llm._client.drivers import AsyncDriver, Driver, Step
from unified_llm._core import runtime
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import DEFAULT_FAILOVER, CallFailed, CallState, Hedging
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, CooldownChange, HealthChange
from unified_llm._policy.rate_limits import RateLimits
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMChunk, LLMRequest, Message

Mode: TypeAlias = Literal["sync", "async"]


def target(name: str = "alpha/one", *, key: str | None = None, **fields: Any) -> Target:
    """Return a target; without a key it shares its credentials with no other."""
    provider, _, model = name.partition("/")
    return Target(provider, model, "scripted", key=Secret(key, "api_key=") if key else None, **fields)


DEAD = Failure("server", 503)
A, B, C = target("alpha/one"), target("beta/two"), target("gamma/three")


def limited(seconds: float | None = None) -> Failure:
    """Return a failure for too many requests."""
    return Failure("rate_limit", 429, retry_after=seconds)


@dataclass
class Result:
    """Result of one call: what the caller got, and what the harness saw."""

    values: list[Any]
    failed: CallFailed | None
    trace: Trace
    asked_before: list[int] = field(default_factory=list)
    """How many attempts the targets had received when each value was emitted."""
    open_at: list[int] = field(default_factory=list)
    """How many exchanges were open then."""

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(attempt.target, attempt.outcome) for attempt in self.trace.attempts]

    @property
    def text(self) -> str:
        """Text of all values that the caller got."""
        values = [value.value if isinstance(value, Done) else value for value in self.values]
        return "".join(value.content for value in values)


@dataclass
class PolicyHarness:
    """Runs calls over targets that follow scripts, with one health registry."""

    scripts: Mapping[str, Sequence[Attempt]]
    mode: Mode = "sync"
    breaker_changes: list[BreakerChange] = field(default_factory=list)
    cooldowns: list[CooldownChange] = field(default_factory=list)
    limits: RateLimits | None = None

    def __post_init__(self) -> None:
        self.targets = ScriptedTargets(self.scripts)
        self.health = Health(self._on_change)

    def _on_change(self, change: HealthChange) -> None:
        if isinstance(change, BreakerChange):
            self.breaker_changes.append(change)
        elif isinstance(change, CooldownChange):
            self.cooldowns.append(change)

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """Targets whose breakers changed, with the state before and after."""
        return [(change.target, change.before, change.after) for change in self.breaker_changes]

    def call(
        self,
        *targets: Target,
        streaming: bool = False,
        deadline: float = 600.0,
        failover: Mapping[FailureKind, bool] = DEFAULT_FAILOVER,
        incapable: Mapping[int, Sequence[tuple[Target, str]]] | None = None,
    ) -> Result:
        """Make one call, to its end."""
        others = self.targets.open
        with self.targets.running():
            call = self.prepare(*targets, streaming=streaming, deadline=deadline)
            call.failover, call.incapable = failover, incapable or {}
            result = self._drain(call) if self.mode == "sync" else asyncio.run(self._adrain(call))
        assert self.targets.open == others
        return result

    def prepare(self, *targets: Target, streaming: bool = False, deadline: float = 600.0) -> CallState:
        return CallState(
            targets=targets,
            streaming=streaming,
            deadline=self.targets.clock + deadline,
            health=self.health,
            now=lambda: self.targets.clock,
            random=lambda: self.targets.draw,
            trace=Trace(),
            limits=self.limits,
            model_state=self.targets.models.state if self.targets.models else None,
        )

    def drive(self, call: CallState) -> Driver:
        """Return a sync driver; the targets have to be running."""
        make = runtime.current().exchange
        assert make
        return Driver(prepared(call), make, runtime.current(), loader=self.targets.models)

    def adrive(self, call: CallState) -> AsyncDriver:
        """Return an async driver; the targets have to be running."""
        make = runtime.current().aexchange
        assert make
        return AsyncDriver(prepared(call), make, runtime.current(), loader=self.targets.models)

    def _drain(self, call: CallState) -> Result:
        driver, result = self.drive(call), Result([], None, call.trace)
        while not self._is_end(result, driver.advance()):
            pass
        driver.close()
        return result

    async def _adrain(self, call: CallState) -> Result:
        driver, result = self.adrive(call), Result([], None, call.trace)
        while not self._is_end(result, await driver.advance()):
            pass
        await driver.close()
        return result

    def _is_end(self, result: Result, step: Step) -> bool:
        """Add a step of the driver to the result."""
        if isinstance(step, CallFailed):
            result.failed = step
            return True
        result.values.append(step)
        result.asked_before.append(len(self.targets.asked))
        result.open_at.append(self.targets.open)
        return isinstance(step, Done)

    def wait(self, seconds: float) -> None:
        self.targets.clock += seconds

    def known(self, name: str) -> dict[str, Any]:
        """Return the row of a target in the snapshot of the registry."""
        return next(row for row in self.health.snapshot(self.targets.clock) if row["target"] == name)


class HedgeHarness(PolicyHarness):
    """Harness of async calls that are hedged."""

    def __init__(self, scripts: Mapping[str, Sequence[Attempt]], after: float | None = 2.0) -> None:
        super().__init__(scripts, "async")
        self.targets: RacingTargets = RacingTargets(scripts)
        self.after = after
        self.budget = HedgeBudget()

    def prepare(self, *targets: Target, streaming: bool = True, deadline: float = 600.0) -> CallState:
        call = super().prepare(*targets, streaming=streaming, deadline=deadline)
        call.hedging = Hedging(self.after, self.budget) if self.after else None
        return call

    def call(
        self,
        *targets: Target,
        streaming: bool = True,
        deadline: float = 600.0,
        failover: Mapping[FailureKind, bool] = DEFAULT_FAILOVER,
        incapable: Mapping[int, Sequence[tuple[Target, str]]] | None = None,
    ) -> Result:
        """Make one call, to its end; a stream by default."""
        others = self.targets.open
        call = self.prepare(*targets, streaming=streaming, deadline=deadline)
        call.failover, call.incapable = failover, incapable or {}
        result = self.targets.run(lambda: self._adrain(call))
        assert self.targets.open == others
        return result

    def is_free(self, *targets: Target) -> bool:
        """Return whether no probe of these targets is in progress."""
        return all(self.health.ready(target, self.targets.clock + 1e6) for target in targets)


def prepared(call: CallState) -> PreparedCall:
    """Return the call as a driver takes it, with a request and without an observer."""
    request = LLMRequest((Message.user("Hello?"),), stream=call.streaming)
    return PreparedCall(request, call.targets, call, call.now(), None, None)


def texts(result: Result) -> list[str]:
    """Return the text of each chunk that was emitted."""
    return [chunk.content for chunk in result.values if isinstance(chunk, LLMChunk) and chunk.content]


def trip(harness: PolicyHarness, *names: str) -> None:
    """Open the breakers of these targets."""
    scripts, harness.targets.scripts = harness.targets.scripts, {name: [DEAD] for name in names}
    for name in names:
        for _ in range(2):
            harness.call(target(name))
        assert harness.known(name)["state"] == "open"
    harness.targets.scripts = scripts
    harness.targets.asked.clear()
    harness.targets.slept.clear()
