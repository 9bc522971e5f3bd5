"""State of one call: its targets, the attempts made on each, and the result when no target answered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from unified_llm._core.model_loading import ModelState
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy.budgets import HedgeBudget
from unified_llm._policy.failure_rules import FAILURE_RULES
from unified_llm._policy.health import Health
from unified_llm._policy.rate_limits import HeldTurn, RateLimits
from unified_llm._policy.trace import Trace

# At most this many attempts a call, or one for each target where there are more targets; explicit retries come on top.
MAX_ATTEMPTS: Final = 6

# No overrides: every kind of failure follows ``failure_rules``.
DEFAULT_FAILOVER: Final[Mapping[FailureKind, bool]] = MappingProxyType({})
_NONE_INCAPABLE: Final[Mapping[int, Sequence[tuple[Target, str]]]] = MappingProxyType({})


@dataclass(slots=True)
class TargetState:
    """State of one target in this call.

    Attributes:
        target: The target.
        position: Its position among the targets of the call.
        attempts: How many attempts this call has started on it.
        first_began: The instant at which the first one began.
        began: The instant at which the last one began.
        excluded: It gets no further attempt in this call.
        retry_at: The instant before which it gets no further attempt.
        spends_budget: Its next attempt takes a token of its retry budget.
        failure: Its last failure.
        skip_recorded: The trace has an entry that it was skipped.
        busy_since: The instant at which the last attempt ended without a connection; 0.0 if it did not.
        put_off_since: The instant at which the other targets were put before its retry; 0.0 if they were not.
        resent: Its last attempt ended with a stale connection, so the next one is the request sent again.
        polls: How many attempts in a row found that it is still loading its model.
        not_retried: Why it was not retried after its last failure, where that is no matter of the failure; or empty.
        load_ended: This call has waited until its model was loaded, or could not be.
        load_waited: Seconds for which this call has waited for its model.
        turn: The turn at its rate limit that this call has, and has not begun an attempt with.
    """

    target: Target
    position: int = 0
    attempts: int = 0
    first_began: float = 0.0
    began: float = 0.0
    excluded: bool = False
    retry_at: float = 0.0
    spends_budget: bool = False
    failure: Failure | None = None
    skip_recorded: bool = False
    busy_since: float = 0.0
    put_off_since: float = 0.0
    resent: bool = False
    polls: int = 0
    not_retried: str = ""
    load_ended: bool = False
    load_waited: float = 0.0
    turn: HeldTurn | None = None

    @property
    def insists(self) -> bool:
        """Return whether the next attempt is a retry by an explicit ``max_retries``: no cap or breaker prevents it."""
        return self.target.retry.limit is not None and self.attempts > 0 and not self.polls

    @property
    def counted(self) -> int:
        """How many attempts of the call's most it takes, or its first one will; explicit retries take none."""
        if not self.attempts:
            return 0 if self.excluded else 1
        return self.attempts if self.target.retry.limit is None else 1


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Result of a call that no target answered.

    Attributes:
        failures: Each target that was attempted, with its last failure, in the user's order.
        final: The failure that ended the call at once (a bad request ...), whatever targets remained.
        expired: The deadline passed.
        committed: At least one chunk had been passed to the caller.
        not_retried: Why targets were not retried, by their health keys, where that is no matter of the failure.
    """

    failures: tuple[tuple[Target, Failure], ...]
    final: tuple[Target, Failure] | None = None
    expired: bool = False
    committed: bool = False
    not_retried: Mapping[Hashable, str] = field(default_factory=dict[Hashable, str])


@dataclass(frozen=True, slots=True)
class Hedging:
    """Settings of a hedged call: when to start a second attempt on another target while the first one is slow.

    Attributes:
        after: Seconds without a first chunk, or without the whole answer.
        budget: Bounds the share of calls that are hedged.
    """

    after: float
    budget: HedgeBudget


@dataclass(slots=True)
class CallState:
    """State of one call; the only input of the policy.

    Attributes:
        targets: The targets in the user's order, without those that cannot serve the request.
        streaming: Whether the answer comes in chunks.
        deadline: The instant at which the call must have ended.
        health: The registry of breakers, budgets and cooldowns.
        now: The clock.
        random: Uniform draws from 0 to 1.
        trace: Where attempts are recorded.
        failover: For some kinds of failure, whether another target may be tried, in place of the rule's default.
        on_model_gone: Called with a target whose provider has no such model.
        window_of: Returns the context window of a target in tokens, or None where it is not known.
        on_window: Called with a target and the context window that its refusal of a long prompt named.
        hedging: For async callers: when to hedge. None once the call was hedged.
        may_split: The request is a list, which the caller sends in parts to a target that refuses it for its size or
            for what it contains: such a refusal ends the call, whatever targets remain.
        incapable: Targets that cannot serve the request, and why, by the position in ``targets`` before which they
            stand in the user's chain. They are recorded as skipped when the call passes them.
        runs_model: A model has to be loaded for the response, as it has not for a list of models.
        model_state: Whether the model of a target is in memory; None where no target of the call has to load one.
        shows_health: What becomes of it counts at the breaker. Looks at a job do not: those that succeed would hide
            that new jobs fail.
        queued: It is a call of a batch.
        limits: The registry of rate limits; None where the requests of the call count for none.
        estimate: Returns the tokens that the request probably takes at a target that is limited by tokens.
        states: One state for each target, in the same order.
        committed: The first chunk has been passed to the caller.
        waited: Seconds slept, or waited for a model, since the last attempt began.
        attempt_count: How many attempts were started.
        uncounted: How many of them count for no limit.
        reordered: A target comes after the others: it had no free connection, or its retry can wait.
        holds_turns: A target may have a turn that was not used.
        only_target: The one target that may be retried, after a failure that does not fail over.
    """

    targets: Sequence[Target]
    streaming: bool
    deadline: float
    health: Health
    now: Callable[[], float]
    random: Callable[[], float]
    trace: Trace
    failover: Mapping[FailureKind, bool] = field(default_factory=lambda: DEFAULT_FAILOVER)
    on_model_gone: Callable[[Target], None] | None = None
    window_of: Callable[[Target], int | None] = field(default=lambda target: target.context_window)
    on_window: Callable[[Target, int], None] | None = None
    hedging: Hedging | None = None
    may_split: bool = False
    incapable: Mapping[int, Sequence[tuple[Target, str]]] = field(default_factory=lambda: _NONE_INCAPABLE)
    runs_model: bool = True
    model_state: Callable[[Target], ModelState] | None = None
    shows_health: bool = True
    queued: bool = False
    limits: RateLimits | None = None
    estimate: Callable[[Target], int] = field(default=lambda _: 0)
    states: list[TargetState] = field(init=False)
    committed: bool = field(default=False, init=False)
    waited: float = field(default=0.0, init=False)
    attempt_count: int = field(default=0, init=False)
    uncounted: int = field(default=0, init=False)
    reordered: bool = field(default=False, init=False)
    holds_turns: bool = field(default=False, init=False)
    only_target: TargetState | None = field(default=None, init=False)
    _passed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Create a fresh state for each target."""
        self.states = [TargetState(target, position) for position, target in enumerate(self.targets)]

    def record_incapable(self, position: int, now: float) -> None:
        """Record the targets up to a position that cannot serve the request, each once."""
        if self.incapable:
            for passed in range(self._passed, position + 1):
                for target, reason in self.incapable.get(passed, ()):
                    self.trace.record_skip(target, reason, now)
            self._passed = max(self._passed, position + 1)

    def may_try(self, state: TargetState) -> bool:
        """Return whether a target may still get an attempt, sooner or later."""
        return not state.excluded and (self.only_target is None or self.only_target is state)

    def missing_model(self, state: TargetState) -> ModelState | None:
        """Return in which state the model of a target is that an attempt would have to wait for; None for no wait."""
        if self.model_state is None or state.load_ended:
            return None
        model = self.model_state(state.target)
        return None if model == "loaded" else model

    def in_order(self) -> Sequence[TargetState]:
        """Return the targets in the user's order, those that come after the others last: the longest ago first."""
        if not self.reordered:
            return self.states
        return sorted(self.states, key=lambda state: max(state.busy_since, state.put_off_since))

    def limit_of(self, state: TargetState, now: float, *, last: bool = False) -> float:
        """Return the seconds that an attempt on a target may take: to its first chunk, or for its whole response."""
        timing = state.target.timing
        cold = timing.cold > 0 and not self.health.responded_lately(state.target, now)
        return timing.limit(streaming=self.streaming, last=last, cold=cold)

    def share_of_time(self, state: TargetState, now: float, limit: float) -> float:
        """Return the instant by which an attempt must end so that time is left for each untried target that is ready.

        What is left for another one is its own limit, or an equal share where that is shorter. Where no share can be
        shorter than ``limit``, the seconds that the attempt may take anyway, it is the deadline.
        """
        left = self.deadline - now
        if left >= limit * len(self.states):
            return self.deadline
        return self.deadline - self._sum_shares(state, left, now)

    def leaves_time(self, state: TargetState, at: float, now: float) -> bool:
        """Return whether a retry at an instant leaves the other targets their shares of the time of all attempts on it.

        An explicit number of retries may take all the time there is: without this, the others would have none.
        """
        return at < self.deadline - self._sum_shares(state, self.deadline - state.first_began, now)

    def _sum_shares(self, state: TargetState, left: float, now: float) -> float:
        """Return the seconds to leave to each untried target that is ready, of those left to them and to ``state``."""
        others = [other for other in self.states if other is not state and not other.attempts]
        untried = [other for other in others if self._is_ready(other, now)]
        share = left / (1 + len(untried))
        return sum(min(share, self.limit_of(other, now)) for other in untried)

    def no_other_ready(self, state: TargetState, now: float) -> bool:
        """Return whether no other target of the call could get an attempt now."""
        return len(self.states) == 1 or not any(
            other is not state and self._is_ready(other, now) for other in self.states
        )

    def _is_ready(self, state: TargetState, now: float) -> bool:
        if state.excluded or state.retry_at > now or not self.health.ready(state.target, now, streaming=self.streaming):
            return False
        target, limits = state.target, self.limits
        if limits is None or not self.is_limited(target):
            return True
        return limits.is_open(target, self.estimate(target), now, queued=self.queued)

    def is_limited(self, target: Target) -> bool:
        """Return whether an attempt on a target needs a turn at its rate limit."""
        limited = self.queued or target.rpm is not None or target.tpm is not None
        return limited and self.runs_model and self.limits is not None

    def fails_over(self, kind: FailureKind) -> bool:
        """Return whether another target may be tried after a failure of this kind."""
        return self.failover.get(kind, FAILURE_RULES[kind].failover)

    def room_for_retries(self) -> bool:
        """Return whether an attempt is left beyond the first one of each target that has had none."""
        return sum([state.counted for state in self.states]) < max(MAX_ATTEMPTS, len(self.states))

    def failed(self, final: TargetState | None = None, *, expired: bool = False) -> CallFailed:
        """Return the result of this call, which no target answered."""
        return CallFailed(
            tuple((state.target, state.failure) for state in self.states if state.failure),
            (final.target, final.failure) if final and final.failure else None,
            expired=expired,
            committed=self.committed,
            not_retried={state.target.health_key: state.not_retried for state in self.states if state.not_retried},
        )
