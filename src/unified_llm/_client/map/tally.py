"""What a call adds to the totals of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Generic

from unified_llm._core.usage_sums import add_usage
from unified_llm.exceptions import LLMError
from unified_llm.types.map_results import MapResult, MapTotals, ResponseT
from unified_llm.types.records import Attempt, Usage

# Outcomes of attempts that do not say why a call failed.
_NO_FAILURES: Final = frozenset({"ok", "skipped", "cancelled"})


@dataclass(frozen=True, slots=True)
class Finished(Generic[ResponseT]):
    """A result, and what the call behind it adds to the totals. Texts of one request share a call.

    Attributes:
        result: What the caller gets.
        attempts: The attempts of the call in this run; of the first of its texts alone.
        usage: The tokens of the call; of the first of its texts alone.
        served_by: The name of the target that served it.
    """

    result: MapResult[ResponseT]
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    served_by: str | None = None


class Tally:
    """Counts what the totals show."""

    def __init__(self) -> None:
        self.done = self.failures = 0
        self._stored = self._retries = 0
        self._failed: Counter[str] = Counter()
        self._by_target: Counter[str] = Counter()
        self._usage: Usage | None = None

    def add(self, finished: Finished[ResponseT]) -> None:
        """Count a prompt that has its result."""
        error, requests = finished.result.error, sum(attempt.outcome != "skipped" for attempt in finished.attempts)
        self.done += 1
        self._stored += finished.result.from_checkpoint
        self._retries += max(0, requests - 1)
        self._usage = add_usage(self._usage, finished.usage)
        if error is not None:
            self.failures += 1
            self._failed[kind_of(error)] += 1
        elif finished.served_by:
            self._by_target[finished.served_by] += 1

    def totals(self, seconds: float) -> MapTotals:
        """Return the totals so far."""
        return MapTotals(
            done=self.done,
            served=self.done - self.failures,
            from_checkpoint=self._stored,
            failed=dict(self._failed),
            by_target=dict(self._by_target),
            retries=self._retries,
            usage=self._usage,
            seconds=seconds,
        )


def served_by(attempts: tuple[Attempt, ...]) -> str | None:
    """Return the name of the target whose attempt succeeded last."""
    return next((attempt.target for attempt in reversed(attempts) if attempt.outcome == "ok"), None)


def kind_of(error: LLMError) -> str:
    """Return the kind of failure of the last attempt; where nothing was sent, the name of the exception."""
    kinds = (attempt.outcome for attempt in reversed(error.attempts) if attempt.outcome not in _NO_FAILURES)
    return next(kinds, type(error).__name__)
