"""What a hostile answer is, and how it is tried: in how many ways, with which bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from integration_tests.attacks.servers import Peer

Kind = Callable[[Peer], None]


def anything(outcome: Any) -> bool:
    """Accept any outcome: what is measured is time and memory."""
    return outcome is not None


@dataclass(frozen=True)
class HostileAnswer:
    """One hostile answer.

    Attributes:
        title: What the server sends.
        script: The server.
        streamed: It is read as a stream, too.
        only_streamed: It is read as a stream alone.
        deadline: Seconds of the call's deadline.
        limit: Seconds that it may take where that is less than the deadline.
        memory: Megabytes that the process may grow by.
        idle: It takes nearly no time of the processor, so it may run beside others.
        asks: What is asked for.
        model: The target.
        holds: Whether the outcome (a response, an ``LLMError``) is right.
    """

    title: str
    script: Kind
    streamed: bool = False
    only_streamed: bool = False
    deadline: float = 0.5
    limit: float | None = None
    memory: int = 100
    idle: bool = False
    asks: Literal["chat", "vectors", "models"] = "chat"
    model: str = "openai-compatible/m"
    holds: Callable[[Any], bool] = anything
