"""Record of one call, attempt by attempt, for metadata, errors and callbacks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._policy import retry_after
from unified_llm._policy.failure_rules import MAYBE_BILLED
from unified_llm._policy.rate_limits import HeldTurn
from unified_llm._policy.target_health import Permit
from unified_llm.types.records import Attempt

# Kinds of which there may be many in a row: waits for a connection, and for a model to be loaded.
_JOINED: Final = frozenset({"pool", "loading"})
UNWRITABLE: Final = "its format cannot carry this request"
"""Reason for which a target was skipped, where the codec gave none."""


@dataclass(slots=True)
class Trace:
    """Attempts of one call.

    Attributes:
        on_attempt: Called with each attempt when it has ended. It must not raise.
        on_retry: Called with a failed attempt and the seconds to wait, where the next step is to try its target again.
        attempts: In the order in which they began, skipped targets included.
        failed: The target and its attempt, for each failure.
        answering: The target whose stream is passed on to the caller.
        served: The target that answered.
        request_id: The identifier of the exchange that answered.
        adjusted: Request fields that a target gets otherwise than the caller set them, by the identity of the target;
            None where there is nothing of the kind.
    """

    on_attempt: Callable[[Attempt], None] | None = None
    on_retry: Callable[[Attempt, float], None] | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    failed: list[tuple[Target, Attempt]] = field(default_factory=list[tuple[Target, Attempt]])
    answering: Target | None = None
    served: Target | None = None
    request_id: str | None = None
    adjusted: dict[int, Mapping[str, Sequence[Any]]] | None = None
    _began: list[float] = field(default_factory=list[float])

    @property
    def attempt_count(self) -> int:
        """Return the number of exchanges that were started; a skipped target is none."""
        return sum(attempt.outcome != "skipped" for attempt in self.attempts)

    def record_skip(self, target: Target, reason: str, now: float) -> None:
        """Record that a target was skipped."""
        self._add(Attempt(target.name, "skipped", reason=reason), now)

    def record_end(self, running: RunningAttempt, attempt: Attempt, outcome: Done | Failure | None) -> None:
        """Record the end of an attempt: answered, failed, or (None) cancelled."""
        if isinstance(outcome, Failure) and outcome.kind in _JOINED and self._add_to_earlier(attempt):
            return
        if isinstance(outcome, Done):
            self.served, self.request_id = running.target, outcome.request_id
        elif outcome is not None and attempt.outcome != "skipped":
            self.failed.append((running.target, attempt))
        self._add(attempt, running.started)

    def record_load(self, target: Target, reason: str, seconds: float, now: float) -> None:
        """Record that a call ended while it waited for the model of a target to be loaded."""
        attempt = Attempt(target.name, "loading", seconds=seconds, reason=reason)
        self.failed.append((target, attempt))
        self._add(attempt, now - seconds)

    def announce_retry(self, target: Target, pause: float) -> None:
        """Report that a target, whose last attempt failed, is tried again after a pause in seconds."""
        if self.on_retry:
            failed = (attempt for failed, attempt in reversed(self.failed) if failed is target)
            if attempt := next(failed, None):
                self.on_retry(attempt, pause)

    def _add_to_earlier(self, attempt: Attempt) -> bool:
        """Add an attempt to an earlier one of the same target with the same outcome, if there is one."""
        for position, earlier in enumerate(self.attempts):
            if (earlier.target, earlier.outcome) == (attempt.target, attempt.outcome):
                seconds, waited = earlier.seconds + attempt.seconds, earlier.waited + attempt.waited
                self.attempts[position] = replace(earlier, seconds=seconds, waited=waited)
                return True
        return False

    def _add(self, attempt: Attempt, began: float) -> None:
        position = bisect_right(self._began, began)
        self._began.insert(position, began)
        self.attempts.insert(position, attempt)
        if self.on_attempt:
            self.on_attempt(attempt)


def make_attempt(
    running: RunningAttempt,
    outcome: Done | Failure | None,
    now: float,
    *,
    reason: str | None = None,
    adjusted: Mapping[str, Sequence[Any]] | None = None,
) -> Attempt:
    """Make the record of an attempt that has ended: answered, failed, or (None) cancelled, perhaps for a reason."""
    failure = outcome if isinstance(outcome, Failure) else None
    name: str = "ok" if isinstance(outcome, Done) else failure.kind if failure else "cancelled"
    if failure:
        reason = failure.code or failure.reason
        if failure.kind == "unsendable" and not failure.try_again and running.first_token is None:
            # Nothing was sent. The detail is this package's own: it names a field of the request, never its value.
            name, reason = "skipped", failure.detail or UNWRITABLE
    return Attempt(
        running.target.name,
        name,
        status=failure.status if failure else None,
        seconds=now - running.started,
        waited=running.waited,
        first_token=running.first_token,
        request_id=outcome.request_id if outcome else None,
        reason=reason,
        maybe_billed=outcome is None or (failure is not None and failure.kind in MAYBE_BILLED and not failure.unsent),
        retry=running.retry,
        retry_after=retry_after.read(failure).retry_after if failure else None,
        adjusted=adjusted or {},
        text_tool_calls=isinstance(outcome, Done) and outcome.text_tool_calls,
        demo=running.target.demo,
    )


@dataclass(slots=True)
class RunningAttempt:
    """An attempt in progress.

    Attributes:
        number: Its number in the call, from 1.
        target: The target that it is made on.
        permit: The breaker's permit for it.
        started: The instant at which it began.
        limit: Seconds that the target may take to its first chunk, or for its whole answer; where that is all that is
            left of the deadline, that of its circuit breaker (``Timing.breaker_limit``).
        until: The instant at which its time is over: by its limit, or by the deadline of the call.
        waited: Seconds slept before it, or waited for a model.
        retry: An earlier attempt of this call was on the same target.
        first_token: Seconds to its first chunk.
        turn: Its turn at the rate limit of the target; None where that needs none.
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
    turn: HeldTurn | None = None
