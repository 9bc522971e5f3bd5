"""How a call stands: its targets, what has been asked of each, and how it can end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.failure_rules import FAILURE_RULES
from unified_llm._policy.health import Health
from unified_llm._policy.trace import Trace

# At most this many attempts a call, or one for each target where there are more targets.
MOST_ATTEMPTS: Final = 6

# Every kind of failure does what ``failure_rules`` says.
AS_USUAL: Final[Mapping[FailureKind, bool]] = MappingProxyType({})


@dataclass(slots=True)
class TargetState:
    """How one target stands in this call.

    Attributes:
        target: Which target.
        asked: How often it was asked.
        over: It is not asked (again) in this call.
        resume: The instant before which it is not asked again.
        costs: Asking it again takes a token of its retry budget.
        failure: Its last failure.
        passed_over: The trace says that it was left alone.
    """

    target: Target
    asked: int = 0
    over: bool = False
    resume: float = 0.0
    costs: bool = False
    failure: Failure | None = None
    passed_over: bool = False


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The call was not answered.

    Attributes:
        failures: Each target that was asked, with its last failure, in the order of the chain.
        final: The failure that ended the call at once (a bad request ...), whatever targets remained.
        expired: The deadline passed.
        committed: Chunks had been handed out.
    """

    failures: tuple[tuple[Target, Failure], ...]
    final: tuple[Target, Failure] | None = None
    expired: bool = False
    committed: bool = False


@dataclass(frozen=True, slots=True)
class Hedging:
    """When to ask another target beside a slow one.

    Attributes:
        after: Seconds without a first chunk, or without the whole answer.
        budget: What bounds the share of calls.
    """

    after: float
    budget: HedgeBudget


@dataclass(slots=True)
class CallState:
    """One call, and all that the policy may look at.

    Attributes:
        targets: The chain, in order, without those that cannot serve the request.
        streaming: Whether the answer comes in chunks.
        deadline: The instant at which the call must have ended.
        health: The registry.
        now: The clock.
        random: Uniform draws from 0 to 1.
        trace: Where attempts are recorded.
        failover: For some kinds of failure, whether another target may be asked, in place of the usual.
        unlist: Told of a target whose provider has no such model.
        hedging: For asynchronous callers: when to hedge. None once that was done.
        committed: The first chunk has been handed out.
        waited: Seconds slept since the last attempt began.
        begun: How many attempts were begun.
        bound: The one target that may be asked again, after a failure that does not fail over.
    """

    targets: Sequence[Target]
    streaming: bool
    deadline: float
    health: Health
    now: Callable[[], float]
    random: Callable[[], float]
    trace: Trace
    failover: Mapping[FailureKind, bool] = field(default_factory=lambda: AS_USUAL)
    unlist: Callable[[Target], None] | None = None
    hedging: Hedging | None = None
    standings: list[TargetState] = field(init=False)
    committed: bool = field(default=False, init=False)
    waited: float = field(default=0.0, init=False)
    begun: int = field(default=0, init=False)
    bound: TargetState | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Nothing has been asked yet."""
        self.standings = [TargetState(target) for target in self.targets]

    def asks(self, standing: TargetState) -> bool:
        """Whether a target may still be asked, sooner or later."""
        return not standing.over and (self.bound is None or self.bound is standing)

    def alone(self, standing: TargetState, now: float) -> bool:
        """Whether no other target of the call could be asked now."""
        return not any(
            other is not standing and not other.over and other.resume <= now and self.health.ready(other.target, now)
            for other in self.standings
        )

    def fails_over(self, kind: FailureKind) -> bool:
        """Whether another target may be asked after such a failure."""
        return self.failover.get(kind, FAILURE_RULES[kind].failover)

    def room_for_retries(self) -> bool:
        """Whether an attempt is left beyond one for each target that is still to be asked."""
        unasked = sum(not each.asked and not each.over for each in self.standings)
        return self.begun + unasked < max(MOST_ATTEMPTS, len(self.standings))

    def defeat(self, final: TargetState | None = None, *, expired: bool = False) -> CallFailed:
        """The end without an answer."""
        return CallFailed(
            tuple((each.target, each.failure) for each in self.standings if each.failure),
            (final.target, final.failure) if final and final.failure else None,
            expired=expired,
            committed=self.committed,
        )
