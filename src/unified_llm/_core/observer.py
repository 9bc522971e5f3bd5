"""Protocol of the observer of one call (OpenTelemetry), which the driver notifies."""

from __future__ import annotations

from typing import Any, Protocol

from unified_llm._core.codec import Chunk
from unified_llm._core.outcome import Done
from unified_llm.types.records import Attempt


class CallObserver(Protocol):
    """Observes one call. No method may raise.

    The driver calls, in this order::

        started  (enter  [attempt ...]  leave  event) ...  finished
    """

    def started(self) -> None:
        """Begin: the first step of the call is about to be taken. A stream that is never read does not start."""
        ...

    def enter(self) -> Any:
        """Enter the observer's context for one step, and return what ``leave`` needs to restore the caller's."""
        ...

    def leave(self, token: Any) -> None:
        """Restore the caller's context after a step."""
        ...

    def attempt(self, attempt: Attempt) -> None:
        """Record an attempt that has ended or a target that was skipped."""
        ...

    def event(self, event: Chunk | Done) -> None:
        """Record what was handed to the caller."""
        ...

    def finished(self, error: BaseException | None) -> None:
        """End: with the error that is raised, or None (answered, or the caller stopped). Later calls do nothing."""
        ...
