"""What happened in one call, attempt by attempt, for metadata, errors and callbacks."""

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
    """The attempts of one call.

    Attributes:
        attempts: In order.
        observe: Told of each attempt as it is recorded. It must not raise.
        failed: The target and the kind of every failure.
        served: The target that answered.
    """

    observe: Callable[[Attempt], None] | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    failed: list[tuple[Target, FailureKind]] = field(default_factory=list[tuple[Target, FailureKind]])
    served: Target | None = None

    @property
    def asked(self) -> int:
        """How many exchanges were begun."""
        return sum(each.outcome != "skipped" for each in self.attempts)

    def skipped(self, target: Target, reason: str) -> None:
        """A target was passed over."""
        self._add(Attempt(target.name, "skipped", reason=reason))

    def ended(
        self, clocked: RunningAttempt, outcome: Done | Failure | None, now: float, *, reason: str | None = None
    ) -> None:
        """An attempt ended: answered, failed, or (None) was cancelled, perhaps for a reason."""
        failure = outcome if isinstance(outcome, Failure) else None
        if isinstance(outcome, Done):
            self.served = clocked.target
        elif failure:
            self.failed.append((clocked.target, failure.kind))
        self._add(
            Attempt(
                clocked.target.name,
                "ok" if isinstance(outcome, Done) else failure.kind if failure else "cancelled",
                status=failure.status if failure else None,
                seconds=now - clocked.started,
                waited=clocked.waited,
                first_token=clocked.first_token,
                request_id=outcome.request_id if outcome else None,
                reason=failure.code if failure else reason,
                maybe_billed=outcome is None or (failure is not None and failure.kind in MAYBE_BILLED),
                retry=clocked.retry,
            )
        )

    def _add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if self.observe:
            self.observe(attempt)


@dataclass(slots=True)
class RunningAttempt:
    """An attempt under way.

    Attributes:
        number: Its number in the call, from 1.
        target: Who is asked.
        permit: The leave to ask.
        started: When it began.
        limit: Seconds that the target may take to its first chunk, or for its whole answer.
        until: When its time is over: by its limit, or by the deadline of the call.
        waited: Seconds slept before it.
        retry: The target was asked before in this call.
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
