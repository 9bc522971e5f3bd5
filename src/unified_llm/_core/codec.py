"""Protocols of a wire format: pure functions from requests to bytes and from bytes to responses.

A codec does no I/O, reads no clock, and never raises for what a provider sends, but for ``OversizedResponseError``: it
names the kind of the failure, since only it knows the format. The HTTP backend calls it; the policy does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types.requests import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)
from unified_llm.types.responses import LLMChunk

if TYPE_CHECKING:
    from unified_llm._core.batch_service import ServiceRequest
    from unified_llm.types.media import ImageChunk, TranscriptionChunk
    from unified_llm.types.media_requests import (
        ImageRequest,
        SpeechRequest,
        TranscriptionRequest,
        VideoContentRequest,
        VideoJobRequest,
        VideoRequest,
    )
    from unified_llm.types.raw import RawChunk, RawRequest

    MediaRequest: TypeAlias = (
        ImageRequest | SpeechRequest | TranscriptionRequest | VideoRequest | VideoJobRequest | VideoContentRequest
    )
    """A request for media, or for one step of a video's job."""

    AnyRequest: TypeAlias = (
        LLMRequest
        | EmbeddingRequest
        | ModelsRequest
        | ModelRequest
        | CountRequest
        | RerankRequest
        | MediaRequest
        | RawRequest
        | ServiceRequest
    )
    """Any request to a target. ``capabilities`` skips targets that cannot serve one, by the provider table."""

    StreamedMedia: TypeAlias = ImageRequest | SpeechRequest | TranscriptionRequest | RawRequest
    """A request other than one for a chat whose response may come as a stream, which its field ``stream`` asks for."""

    MediaChunk: TypeAlias = bytes | ImageChunk | TranscriptionChunk | RawChunk
    """A chunk of a stream of media."""

    Chunk: TypeAlias = LLMChunk | MediaChunk
    """A chunk of any stream."""
else:  # media are imported with the first request for one
    MediaRequest = AnyRequest = StreamedMedia = MediaChunk = Chunk = Any

Returns: TypeAlias = Literal["json", "text", "bytes"]
"""Form of a response's body, where its status is 2xx and it is no stream of events."""

UNWRITABLE: Final = (ValidationError, UnsupportedOperationError)
"""Errors that a codec raises for a request that its format cannot carry."""

Framing: TypeAlias = Literal["events", "lines"]
"""Framing of the events of a stream: server-sent events, or one JSON value on each line."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """An encoded request. ``headers`` hold the key, so they are in no repr."""

    method: Literal["GET", "POST", "DELETE"]
    url: str
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    returns: Returns = "json"


class Decoder(Protocol):
    """Decodes the events of one stream into chunks. Used once.

    Each event is decoded in time in proportion to its size, however many came before.
    """

    @property
    def kept(self) -> int:
        """Bytes that are kept until the end of the stream and were in no chunk: opaque state, calls without a name."""
        ...

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Decode one event: chunks; ``Done`` once, for the provider's own terminal event; nothing after it."""
        ...

    def finish(self) -> Done | Failure:
        """Judge a stream that ended without a terminal event."""
        ...


class MediaDecoder(Protocol):
    """Decodes the events of one stream of media; as ``Decoder``."""

    def feed(self, event: ServerSentEvent) -> Sequence[MediaChunk | Done | Failure]:
        """Decode one event."""
        ...

    def finish(self) -> Done | Failure:
        """Judge a stream that ended without a terminal event."""
        ...


class Codec(Protocol):
    """One wire format."""

    @property
    def framing(self) -> Framing:
        """The framing of its streams; a line is given to the decoder as the data of an event."""
        ...

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """Encode a request for a target.

        Raises:
            ValidationError: It holds a value that cannot be written (NaN, a lone surrogate, a set ...).
            UnsupportedOperationError: This format has no such request.
        """
        ...

    def decode(self, request: AnyRequest, target: Target, body: Any) -> Done | Failure:
        """Decode a successful response: its parsed JSON, or its text or bytes where ``WireRequest.returns`` says so.

        Its value is an ``LLMResponse``, an ``EmbeddingResponse``, a ``(models, cursor)`` pair, a ``ModelInfo``, a
        number of tokens, a ``RerankResponse``, an ``ImageResponse`` ..., by the kind of request. At the end of a
        streamed body of bytes, ``body`` is empty.
        """
        ...

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:
        """Make a decoder for one streamed response."""
        ...

    def media_decoder(self, request: StreamedMedia, target: Target) -> MediaDecoder:
        """Make a decoder for one stream of media."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """Classify a response whose status is not 2xx. ``headers`` have names in lower case; ``body`` is bounded."""
        ...


def wants_stream(request: AnyRequest) -> bool:
    """Return whether a request asks for a stream."""
    return bool(getattr(request, "stream", False))
