"""What the policy asks of its driver, and what it is told in return.

The policy is a generator: it yields these and is sent outcomes, as an httpx ``auth_flow`` yields requests and is sent
responses. Every effect names its attempt by number. Instants are those of the driver's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from unified_llm._core.target import Target
from unified_llm.types.responses import LLMChunk

FOREVER: Final = float("inf")


@dataclass(slots=True)
class Open:
    """Start an attempt on a target. Outcome: None, or a ``Failure``.

    ``concurrent`` begins it and its first read beside other attempts, for asynchronous callers; the outcome of both is then
    what ``Wait`` tells of it.
    """

    attempt: int
    target: Target
    until: float
    concurrent: bool = False


@dataclass(slots=True)
class Wait:
    """Wait for the next event of any of these attempts. Outcome: ``(attempt, event)``.

    Until the first event of an attempt that was begun aside, it goes on by itself and keeps its own time: then the
    outcome is None when the instant has passed, and nothing is cancelled.
    """

    attempts: tuple[int, ...]
    until: float


@dataclass(slots=True)
class Sleep:
    """Do nothing until an instant. Outcome: None."""

    until: float


@dataclass(slots=True)
class Emit:
    """Hand a chunk to the caller. Outcome: None, once the caller asks for more."""

    chunk: LLMChunk


@dataclass(slots=True)
class Abandon:
    """Close an attempt. Outcome: None."""

    attempt: int


Effect: TypeAlias = Open | Wait | Sleep | Emit | Abandon
