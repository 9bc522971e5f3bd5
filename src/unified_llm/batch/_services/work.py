"""What a run of batches needs of its caller: the requests, and places for what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from unified_llm._client.client import LLMClient
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse

AnyResponse: TypeAlias = LLMResponse | EmbeddingResponse


class ServiceLine(Protocol):
    """One request of the input that could be read."""

    @property
    def position(self) -> int:
        """Its position in the input, from 0."""
        ...

    @property
    def key(self) -> str:
        """What names it: its ``custom_id``, or its position."""
        ...

    @property
    def fingerprint(self) -> str:
        """The digest of what determines its response."""
        ...

    @property
    def client(self) -> LLMClient:
        """The client that would send it as a call."""
        ...

    @property
    def request(self) -> LLMRequest | EmbeddingRequest:
        """The request."""
        ...


class Work(Protocol):
    """The input and the output of a run."""

    def lines(self, start: int = 0) -> Iterable[ServiceLine]:
        """Read the input, in order, from a position on; lines that are no request are left out."""
        ...

    def is_finished(self, line: ServiceLine) -> bool:
        """Return whether a request was answered."""
        ...

    def store(self, line: ServiceLine, response: AnyResponse) -> None:
        """Keep a response.

        Raises:
            GenerationError: It cannot be written as JSON.
            ConfigurationError: Nothing can be written: the disk is full.
        """
        ...

    def flush(self) -> None:
        """Write what was kept through to the disk."""
        ...

    def store_late(self, line: ServiceLine, response: AnyResponse) -> None:
        """Keep a response that came after the request was answered by a call; one that is kept already is left out."""
        ...
