"""How many rows have failed so far, over all workers of a job where they share a Redis."""

from __future__ import annotations

import sys
from typing import Any, Final

from unified_llm._state import sharing
from unified_llm.exceptions import LLMError

_NAME: Final = "unified-llm:failed-rows:{}"
# Seconds for which Redis keeps a count after the last failure.
_KEPT: Final = 24 * 3600


class FailureCount:
    """Counts failures, and raises when there are too many; without Redis those of this process alone.

    Args:
        limit: The most rows that may fail; None for no limit.
        job: The name of the job, the same in all its workers.
    """

    def __init__(self, limit: int | None, job: str) -> None:
        self._limit, self._name = limit, _NAME.format(job)
        self._own = self._unshared = 0
        self._last: LLMError | None = None

    def add(self, error: LLMError) -> None:
        """Count a failure.

        Raises:
            LLMError: There are too many in this process.
        """
        self._own += 1
        self._unshared += 1
        self._last = error
        self._check(self._own)

    def share(self) -> None:
        """Add the new ones to the count of the job. Waits for Redis, 50 ms at most.

        Raises:
            LLMError: There are too many in the job.
        """
        thread = sharing.sync_thread()
        if self._limit is None or thread is None or not self._unshared:
            return
        from unified_llm._state.redis import counter

        total = counter.add(thread.url, self._name, self._unshared, _KEPT)
        if total is not None:
            self._unshared = 0
            self._check(total)

    def _check(self, number: int) -> None:
        if self._limit is None or number <= self._limit:
            return
        raise LLMError(
            f"{number} rows have failed, and max_failed={self._limit}, so the job ends; the last one: {self._last} "
            "Responses that are in the checkpoint are not requested again."
        )


def is_within_ray() -> bool:
    """Return whether this process is connected to a Ray cluster."""
    ray: Any = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def job_name() -> str:
    """Return what names the execution that this worker is part of; empty outside of Ray.

    It is Ray's identifier of a dataset and its execution, the same in all workers and never used again: a notebook runs
    many datasets in one job of the cluster, and the first job of every cluster has the same number.
    """
    if not is_within_ray():
        return ""
    data: Any = sys.modules.get("ray.data")
    execution = data.DataContext.get_current().dataset_logger_id if data else None
    if execution:
        return str(execution)
    context: Any = sys.modules["ray"].get_runtime_context()
    return f"{context.get_session_name()}:{context.get_job_id()}"
