"""The client of each batch, which sends all requests about it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from unified_llm._client.client import LLMClient
from unified_llm._core.batch_service import ServiceRequest
from unified_llm._core.target import Target
from unified_llm.batch._services.journal import Part


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to send, by the client of its batch."""

    client: LLMClient
    request: ServiceRequest


Step: TypeAlias = Ask | float
"""A request to send, whose response or ``LLMError`` comes back; or an instant until which to sleep."""
Steps: TypeAlias = Generator[Step, Any, Any]


class Clients:
    """The clients of the batches of a run."""

    def __init__(self) -> None:
        self._by_number: dict[int, LLMClient] = {}

    def put(self, part: Part, client: LLMClient) -> None:
        """Keep the client of a batch: that of its requests."""
        self._by_number[part.number] = client

    def has(self, part: Part) -> bool:
        """Return whether the client of a batch is known: one of its requests was read."""
        return part.number in self._by_number

    def ask(self, part: Part, request: ServiceRequest) -> Ask:
        """Return a request about a batch."""
        return Ask(self._by_number[part.number], request)

    def target(self, part: Part) -> Target:
        """Return the target of a batch."""
        return target_of(self._by_number[part.number], part.model)


def target_of(client: LLMClient, model: str | None) -> Target:
    """Return the target that a request for a model goes to first."""
    return client.targets_of_call(model, client.options)[0]
