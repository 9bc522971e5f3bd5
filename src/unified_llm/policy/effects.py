"""What the policy asks of its driver, and what it is told in return.

The policy is a generator: it yields these and is sent outcomes, as an httpx ``auth_flow`` yields requests and is sent
responses. Every effect names its attempt by number. Instants are those of the driver's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from unified_llm.target import Target


@dataclass(slots=True)
class Open:
    """Start an attempt on a target. Outcome: None, or a ``Failure``."""

    attempt: int
    target: Target
    until: float


@dataclass(slots=True)
class Wait:
    """Wait for the next event of any of these attempts. Outcome: ``(attempt, event)``."""

    attempts: tuple[int, ...]
    until: float


@dataclass(slots=True)
class Sleep:
    """Do nothing until an instant. Outcome: None."""

    until: float


@dataclass(slots=True)
class Emit:
    """Hand something to the caller. Outcome: None, once the caller asks for more."""

    value: Any


@dataclass(slots=True)
class Abandon:
    """Close an attempt. Outcome: None."""

    attempt: int


Effect: TypeAlias = Open | Wait | Sleep | Emit | Abandon
