"""One exchange with a target: open, read until ``Done`` or a ``Failure``, close.

HTTP with a codec, MLX in this process, and wrapped model objects all implement it. An exchange never raises for what
the other side does; it returns a ``Failure``. Cancellation and the interpreter's own errors pass through.

``until`` is an instant of the same monotonic clock that the driver uses, never a duration, so that no time is lost
between the policy and a read. When it passes, the outcome is ``Failure("timeout")``.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from unified_llm._core.codec import MediaChunk
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk

Event: TypeAlias = LLMChunk | Done | Failure
"""What an exchange of a chat returns, or of a request without a stream."""

AnyEvent: TypeAlias = Event | MediaChunk
"""What any exchange returns."""


class Exchange(Protocol):
    """One attempt, for sync callers."""

    def open(self, until: float) -> Failure | None:
        """Send the request; None once the target has accepted it."""
        ...

    def read(self, until: float) -> AnyEvent:
        """Return the next chunk (never an empty one), the end, or the failure."""
        ...

    def close(self) -> None:
        """Give everything back, whatever state it is in. Called exactly once after ``open`` was called; quick."""
        ...


class AsyncExchange(Protocol):
    """One attempt, for async callers."""

    async def open(self, until: float) -> Failure | None:
        """Do the same as ``Exchange.open``."""
        ...

    async def read(self, until: float) -> AnyEvent:
        """Do the same as ``Exchange.read``."""
        ...

    async def close(self) -> None:
        """Do the same as ``Exchange.close``, at once, and also while the task is being cancelled."""
        ...


class WrappedModel(Protocol):
    """A model object of a framework, wrapped so that it can stand in a chain of targets.

    ``number`` is given once a process, so that the health of one object is never taken for that of another. It may have
    ``quirks``, whose ``drop``, ``limits`` and ``max_stops`` say what the model does not take. Its default limits depend
    on its ``vendor`` (the name of its provider for LangSmith), on the ``timeout`` in seconds that the user gave to the
    object, and on its ``thinking``: settings that say how hard it thinks, as fields of a body.
    """

    number: int
    provider: str
    model: str
    features: frozenset[Feature]
    context_window: int | None

    def exchange(self, request: LLMRequest) -> Exchange:
        """Make an exchange for sync callers; ``request.native`` holds the framework's own form."""
        ...

    def aexchange(self, request: LLMRequest) -> AsyncExchange:
        """Make an exchange for async callers."""
        ...
