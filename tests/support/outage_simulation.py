"""Outages in virtual time: many overlapping calls through the real policy, with one registry between them.

    traffic = simulate(Outage("hang", rate=1.0), 7)
    assert traffic.answered == 1.0

A discrete-event simulation: whatever a call waits for is an instant in one queue, so ten minutes of traffic take a
fraction of a second, and a seed gives the same traffic again. Calls are streams; what is measured is the time to the
first chunk, since that is what a user waits for.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import BreakerConfig, Target
from unified_llm._policy.call_state import CallState
from unified_llm._policy.effects import Effect, Emit, Open, Sleep, Wait
from unified_llm._policy.failover import PolicyGenerator, run_policy
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, HealthChange
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMChunk

DEFAULT_BREAKER: Final = BreakerConfig()
# In effect none: it opens after more failures in a row than there are calls, and looks back for an instant only.
NO_BREAKER: Final = BreakerConfig(failures=10**9, window=1e-9)
PRIMARY: Final = "alpha/primary"
FALLBACK: Final = "beta/fallback"
_DEADLINE: Final = 600.0
_STREAMED: Final = 6.0  # seconds from the first chunk to the last
_UNAVAILABLE: Final = Failure("server", 503)

Mode: TypeAlias = Literal["refuse", "hang", "brown-out", "healthy"]
# Seconds until the first event (infinite, where there is none), and the event: a failure, or None for a first chunk.
Reply: TypeAlias = tuple[float, Failure | None]
Behaviour: TypeAlias = Callable[[str, float, Random], Reply]


@dataclass(frozen=True)
class Outage:
    """Outage of the primary, and the traffic around it.

    Attributes:
        mode: ``refuse`` answers 503 after 0.3 s; ``hang`` never answers; ``brown-out`` does one or the other: half of
            its requests get a 503, the rest an answer that comes late; ``healthy`` is no outage.
        rate: Calls a second, on average (arrivals are a Poisson process).
        begins: When the outage begins, in seconds.
        lasts: How long it lasts.
        after: For how long the simulation goes on.
        flaky: The share of requests to a healthy target that get a 503 all the same.
        chain: The names of the targets, in order.
        breaker: Settings of the breaker.
    """

    mode: Mode
    rate: float
    begins: float = 60.0
    lasts: float = 180.0
    after: float = 120.0
    flaky: float = 0.02
    chain: Sequence[str] = (PRIMARY, FALLBACK)
    breaker: BreakerConfig = DEFAULT_BREAKER

    @property
    def ends(self) -> float:
        """When the outage is over."""
        return self.begins + self.lasts

    def reply(self, name: str, now: float, chance: Random) -> Reply:
        """Return the reply of a target to a request that arrives now."""
        mode = self.mode if name == PRIMARY and self.begins <= now < self.ends else "healthy"
        match mode:
            case "hang":
                return float("inf"), None
            case "brown-out" if chance.random() >= 0.5:
                return 1.0 + chance.expovariate(1.0), None
            case "healthy" if chance.random() >= self.flaky:
                return 0.5 + chance.expovariate(2.0), None
            case _:
                return 0.3, _UNAVAILABLE


@dataclass
class SimulatedCall:
    """One call of the simulation.

    Attributes:
        began: The instant at which it began.
        first: The instant of its first chunk, if there was one.
        served: The name of the target that answered, if one did.
        asked: The names of the targets that got a request, in order.
    """

    began: float
    first: float | None = None
    served: str | None = None
    asked: list[str] = field(default_factory=list)


@dataclass
class Traffic:
    """Calls of some simulations, or a part of them; and how often each breaker opened."""

    calls: list[SimulatedCall]
    opened: dict[str, int]
    outage: Outage

    @property
    def answered(self) -> float:
        """The share of calls that were answered."""
        return sum(call.served is not None for call in self.calls) / len(self.calls)

    @property
    def during(self) -> Traffic:
        """The calls that began during the outage."""
        calls = [call for call in self.calls if self.outage.begins <= call.began < self.outage.ends]
        return Traffic(calls, self.opened, self.outage)

    def waited(self, share: float) -> float:
        """Seconds to the first chunk, at this quantile of the calls that were answered."""
        waits = sorted(call.first - call.began for call in self.calls if call.first is not None)
        return waits[int(share * (len(waits) - 1))]

    def asked(self, name: str) -> float:
        """Requests to a target for each call."""
        return sum(call.asked.count(name) for call in self.calls) / len(self.calls)

    @property
    def recovered(self) -> float:
        """Seconds from the end of the outage until a call began that the primary answered again (of a single seed)."""
        return min(
            call.began - self.outage.ends
            for call in self.calls
            if call.served == PRIMARY and call.began >= self.outage.ends
        )


@dataclass
class _Caller:
    made: SimulatedCall
    call: CallState
    generator: PolicyGenerator
    due: float = 0.0  # the instant of the next event of its exchange
    streaming: bool = False  # its first chunk has come


class Simulation:
    """Queue of events to come, and the clock that it moves."""

    def __init__(self, behaviour: Behaviour, chance: Random) -> None:
        self.now = 0.0
        self.made: list[SimulatedCall] = []
        self.opened: dict[str, int] = {}
        self._behaviour = behaviour
        self._chance = chance
        self._health = Health(self._changed)
        self._order = itertools.count()
        self._queue: list[tuple[float, int, _Caller, Any]] = []

    def begin(self, at: float, targets: Sequence[Target]) -> None:
        """Schedule a call at an instant."""
        call = CallState(
            targets=targets,
            streaming=True,
            deadline=at + _DEADLINE,
            health=self._health,
            now=lambda: self.now,
            random=self._chance.random,
            trace=Trace(),
        )
        self.made.append(SimulatedCall(at))
        self._later(at, _Caller(self.made[-1], call, run_policy(call)), None)

    def run(self) -> None:
        """Run until every call has ended."""
        while self._queue:
            self.now, _, caller, outcome = heapq.heappop(self._queue)
            self._resume(caller, outcome)

    def _later(self, at: float, caller: _Caller, outcome: Any) -> None:
        heapq.heappush(self._queue, (at, next(self._order), caller, outcome))

    def _resume(self, caller: _Caller, outcome: Any) -> None:
        """Run the policy of one call until it waits for an event again."""
        try:
            while True:
                effect = caller.generator.send(outcome)
                outcome = None
                if isinstance(effect, Emit):
                    caller.made.first = caller.made.first or self.now
                elif (event := self._event(caller, effect)) is not None:
                    self._later(event[0], caller, event[1])
                    return
        except StopIteration:
            served = caller.call.trace.served
            caller.made.served = served.name if served else None

    def _event(self, caller: _Caller, effect: Effect) -> tuple[float, Any] | None:
        """Return the instant and the outcome of an effect; None where it has none and ends at once."""
        match effect:
            case Open(_, target, until):
                return self._open(caller, target.name, until)
            case Wait((number,), until) if until < caller.due:
                return until, (number, Failure("timeout"))
            case Wait((number,)) if caller.streaming:
                return caller.due, (number, Done(LLMChunk(finish_reason="stop")))
            case Wait((number,)):
                at, caller.due, caller.streaming = caller.due, caller.due + _STREAMED, True
                return at, (number, LLMChunk(content="word"))
            case Sleep(until):
                return until, None
            case _:
                return None

    def _open(self, caller: _Caller, name: str, until: float) -> tuple[float, Any] | None:
        caller.made.asked.append(name)
        seconds, failure = self._behaviour(name, self.now, self._chance)
        caller.due, caller.streaming = self.now + seconds, False
        if failure is None:
            return None
        return (caller.due, failure) if caller.due < until else (until, Failure("timeout"))

    def _changed(self, change: HealthChange) -> None:
        if isinstance(change, BreakerChange) and (change.before, change.after) == ("closed", "open"):
            self.opened[change.target] = self.opened.get(change.target, 0) + 1


def simulate(outage: Outage, *seeds: int) -> Traffic:
    """Return the traffic around an outage, once for each seed, taken together."""
    targets = [_target(name, outage.breaker) for name in outage.chain]
    together = Traffic([], {}, outage)
    for seed in seeds:
        chance = Random(seed)  # noqa: S311 - chance, not a secret
        simulation = Simulation(outage.reply, chance)
        at = chance.expovariate(outage.rate)
        while at < outage.ends + outage.after:
            simulation.begin(at, targets)
            at += chance.expovariate(outage.rate)
        simulation.run()
        together.calls += simulation.made
        for name, times in simulation.opened.items():
            together.opened[name] = together.opened.get(name, 0) + times
    return together


def _target(name: str, breaker: BreakerConfig) -> Target:
    provider, _, model = name.partition("/")
    return Target(provider, model, "simulated", breaker=breaker)
