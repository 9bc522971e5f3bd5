"""The policy, driven over scripted targets in fake time, with a registry of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from tests.support.racing import Racing
from tests.support.scripted_targets import Attempt, World
from unified_llm._client.drivers import END, AsyncDrive, Drive
from unified_llm._core import runtime
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.call_state import AS_USUAL, CallFailed, CallState, Hedging
from unified_llm._policy.failover import run_policy
from unified_llm._policy.health import Health
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMChunk, LLMRequest, Message

Mode: TypeAlias = Literal["sync", "async"]


def target(name: str = "alpha/one", *, key: str | None = None, **fields: Any) -> Target:
    """A target; without a key it shares its credentials with no other."""
    provider, _, model = name.partition("/")
    return Target(provider, model, "scripted", key=Secret(key, "api_key=") if key else None, **fields)


DEAD = Failure("server", 503)
A, B, C = target("alpha/one"), target("beta/two"), target("gamma/three")


def limited(seconds: float | None = None) -> Failure:
    """A refusal for too many requests."""
    return Failure("rate_limit", 429, retry_after=seconds)


@dataclass
class Result:
    """What one call came to."""

    values: list[Any]
    defeat: CallFailed | None
    trace: Trace
    asked_before: list[int] = field(default_factory=list)
    """How many attempts the world had seen when each value was handed out."""
    open_at: list[int] = field(default_factory=list)
    """How many exchanges were open then."""

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(each.target, each.outcome) for each in self.trace.attempts]

    @property
    def text(self) -> str:
        """What the caller was given."""
        values = [each.value if isinstance(each, Done) else each for each in self.values]
        return "".join(value.content for value in values)


@dataclass
class Room:
    """Targets that follow scripts, and what is known of them."""

    scripts: Mapping[str, Sequence[Attempt]]
    mode: Mode = "sync"
    changes: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.scripts)
        self.health = Health(lambda *change: self.changes.append(change))

    def call(
        self,
        *targets: Target,
        streaming: bool = False,
        deadline: float = 600.0,
        failover: Mapping[FailureKind, bool] = AS_USUAL,
    ) -> Result:
        """Make one call, to its end."""
        others = self.world.open
        with self.world.running():
            call = self.prepare(*targets, streaming=streaming, deadline=deadline)
            call.failover = failover
            result = self._drain(call) if self.mode == "sync" else asyncio.run(self._adrain(call))
        assert self.world.open == others
        return result

    def prepare(self, *targets: Target, streaming: bool = False, deadline: float = 600.0) -> CallState:
        return CallState(
            targets=targets,
            streaming=streaming,
            deadline=self.world.clock + deadline,
            health=self.health,
            now=lambda: self.world.clock,
            random=lambda: self.world.draw,
            trace=Trace(),
        )

    def drive(self, call: CallState) -> Drive:
        """A driver for synchronous callers; the world has to be running."""
        make = runtime.current().exchange
        assert make
        return Drive(run_policy(call), partial(make, _request(call)), runtime.current())

    def adrive(self, call: CallState) -> AsyncDrive:
        """The same for asynchronous callers."""
        make = runtime.current().aexchange
        assert make
        return AsyncDrive(run_policy(call), partial(make, _request(call)), runtime.current())

    def _drain(self, call: CallState) -> Result:
        drive, result = self.drive(call), Result([], None, call.trace)
        while (value := drive.advance()) is not END:
            result.values.append(value)
            result.asked_before.append(len(self.world.asked))
            result.open_at.append(self.world.open)
        drive.close()
        result.defeat = drive.defeat
        return result

    async def _adrain(self, call: CallState) -> Result:
        drive, result = self.adrive(call), Result([], None, call.trace)
        while (value := await drive.advance()) is not END:
            result.values.append(value)
            result.asked_before.append(len(self.world.asked))
            result.open_at.append(self.world.open)
        await drive.close()
        result.defeat = drive.defeat
        return result

    def wait(self, seconds: float) -> None:
        self.world.clock += seconds

    def known(self, name: str) -> dict[str, Any]:
        """What the registry knows of a target."""
        return next(row for row in self.health.snapshot(self.world.clock) if row["target"] == name)


class Race(Room):
    """A room for asynchronous callers who hedge."""

    def __init__(self, scripts: Mapping[str, Sequence[Attempt]], after: float | None = 2.0) -> None:
        super().__init__(scripts, "async")
        self.world: Racing = Racing(scripts)
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
        failover: Mapping[FailureKind, bool] = AS_USUAL,
    ) -> Result:
        """Make one call, to its end; a stream unless it is said otherwise."""
        others = self.world.open
        call = self.prepare(*targets, streaming=streaming, deadline=deadline)
        call.failover = failover
        result = self.world.run(lambda: self._adrain(call))
        assert self.world.open == others
        return result

    def is_free(self, *targets: Target) -> bool:
        """Whether no probe of these targets is under way."""
        return all(self.health.ready(each, self.world.clock + 1e6) for each in targets)


def _request(call: CallState) -> LLMRequest:
    return LLMRequest((Message.user("Hello?"),), stream=call.streaming)


def texts(result: Result) -> list[str]:
    """The text of each chunk that was handed out."""
    return [each.content for each in result.values if isinstance(each, LLMChunk) and each.content]


def trip(room: Room, *names: str) -> None:
    """Open the breakers of these targets."""
    scripts, room.world.scripts = room.world.scripts, {name: [DEAD] for name in names}
    for name in names:
        for _ in range(2):
            room.call(target(name))
        assert room.known(name)["state"] == "open"
    room.world.scripts = scripts
    room.world.asked.clear()
    room.world.slept.clear()
