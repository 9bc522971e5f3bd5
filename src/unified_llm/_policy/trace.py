"""Record of one call, attempt by attempt, for metadata, errors and callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from unified_llm._core.outcome import Done, Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy.breaker import Permit
from unified_llm._policy.failure_rules import MAYBE_BILLED
from unified_llm.types.records import Attempt


@dataclass(slots=True)
class Trace:
    """Attempts of one call.

    Attributes:
        on_attempt: Called with each attempt as it is recorded. It must not raise.
        attempts: In order, skipped targets included.
        failed: The target and the kind of every failure.
        served: The target that answered.
    """

    on_attempt: Callable[[Attempt], None] | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    failed: list[tuple[Target, FailureKind]] = field(default_factory=list[tuple[Target, FailureKind]])
    served: Target | None = None

    @property
    def attempt_count(self) -> int:
        """How many exchanges were started; a skipped target is none."""
        return sum(attempt.outcome != "skipped" for attempt in self.attempts)

    def record_skip(self, target: Target, reason: str) -> None:
        """Record that a target was skipped."""
        self._add(Attempt(target.name, "skipped", reason=reason))

    def record_end(
        self, attempt: RunningAttempt, outcome: Done | Failure | None, now: float, *, reason: str | None = None
    ) -> None:
        """Record the end of an attempt: answered, failed, or (None) cancelled, perhaps for a reason."""
        failure = outcome if isinstance(outcome, Failure) else None
        if isinstance(outcome, Done):
            self.served = attempt.target
        elif failure:
            self.failed.append((attempt.target, failure.kind))
        self._add(
            Attempt(
                attempt.target.name,
                "ok" if isinstance(outcome, Done) else failure.kind if failure else "cancelled",
                status=failure.status if failure else None,
                seconds=now - attempt.started,
                waited=attempt.waited,
                first_token=attempt.first_token,
                request_id=outcome.request_id if outcome else None,
                reason=failure.code if failure else reason,
                maybe_billed=outcome is None or (failure is not None and failure.kind in MAYBE_BILLED),
                retry=attempt.retry,
            )
        )

    def _add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if self.on_attempt:
            self.on_attempt(attempt)


@dataclass(slots=True)
class RunningAttempt:
    """An attempt in progress.

    Attributes:
        number: Its number in the call, from 1.
        target: The target that it is made on.
        permit: The breaker's permit for it.
        started: The instant at which it began.
        limit: Seconds that the target may take to its first chunk, or for its whole answer.
        until: The instant at which its time is over: by its limit, or by the deadline of the call.
        waited: Seconds slept before it.
        retry: An earlier attempt of this call was on the same target.
        first_token: Seconds to its first chunk.
    """

    number: int
    target: Target
    permit: Permit
    started: float
    limit: float
    until: float
    waited: float = 0.0
    retry: bool = False
    first_token: float | None = None
