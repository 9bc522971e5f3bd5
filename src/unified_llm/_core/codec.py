"""What a wire format must offer: pure functions from requests to bytes and from bytes to answers.

A codec does no I/O, reads no clock, and never raises for what a provider sends: it names the kind of the failure,
since only it knows the format. The transport drives it; the policy never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)
from unified_llm.types.responses import LLMChunk

AnyRequest: TypeAlias = LLMRequest | EmbeddingRequest | ModelsRequest | ModelRequest | CountRequest | RerankRequest
"""What can be asked of a target. What it lacks is never asked: ``capabilities`` sees to that, by the table."""

Framing: TypeAlias = Literal["events", "lines"]
"""How a stream is cut: server-sent events, or one JSON value on each line."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it goes on the wire. ``headers`` hold the key, so they are in no repr."""

    method: Literal["GET", "POST"]
    url: str
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Decoder(Protocol):
    """Turns the events of one stream into chunks. Used once."""

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Chunks of this event; ``Done`` once, when the provider's own terminal event was seen; nothing after it."""
        ...

    def finish(self) -> Done | Failure:
        """The bytes ended without a terminal event having been fed: what that means."""
        ...


class Codec(Protocol):
    """One wire format."""

    @property
    def framing(self) -> Framing:
        """How its streams are cut; a line comes to the decoder as the data of an event."""
        ...

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """The request as this target wants it.

        Raises:
            ValidationError: It holds a value that cannot be written (NaN, a lone surrogate, a set ...).
            UnsupportedOperationError: This format has no such request.
        """
        ...

    def decode(self, request: AnyRequest, target: Target, body: Any) -> Done | Failure:
        """The whole answer, from the parsed JSON of a successful response.

        Its value is an ``LLMResponse``, an ``EmbeddingResponse``, a ``(models, cursor)`` pair, a ``ModelInfo``, a
        number of tokens, or a ``RerankResponse``, by what was asked.
        """
        ...

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status (not 2xx) says. ``headers`` have names in lower case; ``body`` is bounded."""
        ...
