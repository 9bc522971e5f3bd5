"""Effects that the policy yields to its driver, and the outcome that the driver sends back for each.

The policy is a generator: it yields these and is sent outcomes, as an httpx ``auth_flow`` yields requests and is sent
responses. Every effect names its attempt by number. Instants are those of the driver's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from unified_llm._core.codec import Chunk
from unified_llm._core.target import Target


@dataclass(slots=True)
class Open:
    """Start an attempt on a target. Outcome: None, or a ``Failure``.

    With ``concurrent`` (async callers only), opening and the first read run beside other attempts, and ``Wait`` gives
    the outcome of both. A ``Failure`` comes back here only where the request could not be sent at all.
    """

    attempt: int
    target: Target
    until: float
    concurrent: bool = False


@dataclass(slots=True)
class Wait:
    """Wait for the next event of any of these attempts. Outcome: ``(attempt, event)``.

    Until its first event, a concurrent attempt runs by itself and keeps its own time limit: when ``until`` passes
    before that event, the outcome is None and nothing is cancelled.
    """

    attempts: tuple[int, ...]
    until: float


@dataclass(slots=True)
class Load:
    """Load the model of a target. Outcome: whether that has ended, loaded or failed; False once ``until`` has passed.

    It belongs to no attempt: the time limit of the attempt that follows begins afterwards.
    """

    target: Target
    until: float


@dataclass(slots=True)
class Sleep:
    """Do nothing until an instant. Outcome: None."""

    until: float


@dataclass(slots=True)
class Emit:
    """Pass a chunk to the caller. Outcome: None, once the caller requests more."""

    chunk: Chunk


@dataclass(slots=True)
class Abandon:
    """Close an attempt. Outcome: None."""

    attempt: int


Effect: TypeAlias = Open | Wait | Load | Sleep | Emit | Abandon
