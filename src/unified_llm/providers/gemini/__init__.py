"""Google's own format for Gemini: ``generateContent`` and what stands beside it.

Requests are written by ``encode``, with ``contents`` for the conversation, ``media`` for what is no text, ``schema``
for JSON schemas and ``thinking`` for what depends on a model's generation. Whole answers are read by ``decode``,
streamed ones by ``stream``, both through ``candidate``; ``grounding`` reads citations, ``sealing`` keeps what Gemini
wants back, ``errors`` names failures. Vertex AI speaks a dialect of this that is not meant here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.outcome import Done, Failure
from unified_llm.providers.codec import Ask, Decoder, WireRequest
from unified_llm.providers.gemini.decode import read_chat, read_count, read_embeddings, read_model, read_models
from unified_llm.providers.gemini.encode import write_chat, write_count, write_embeddings, write_model, write_models
from unified_llm.providers.gemini.errors import read_failure
from unified_llm.providers.gemini.stream import ChatStream
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

__all__ = ["CODEC", "Gemini"]


class Gemini:
    """The codec. It holds nothing, so one serves everybody."""

    __slots__ = ()
    framing: Final = "events"

    def encode(self, ask: Ask, target: Target) -> WireRequest:
        """The request as this target wants it.

        Raises:
            ValidationError: It holds a value that cannot be written (NaN, a lone surrogate, a set ...), or content
                that this format cannot carry. The message names the field, never its value.
            UnsupportedOperationError: This format has no such request.
        """
        match ask:
            case LLMRequest():
                return write_chat(ask, target)
            case EmbeddingRequest():
                return write_embeddings(ask, target)
            case ModelsRequest():
                return write_models(ask, target)
            case ModelRequest():
                return write_model(target)
            case CountRequest():
                return write_count(ask, target)
            case _:
                raise UnsupportedOperationError(f"{target.name} has no such request.", provider=target.provider)

    def decode(self, ask: Ask, target: Target, body: object) -> Done | Failure:
        """The whole answer."""
        match ask:
            case LLMRequest():
                return read_chat(body, target)
            case EmbeddingRequest():
                return read_embeddings(ask, body, target)
            case ModelsRequest():
                return read_models(body, target)
            case ModelRequest():
                return read_model(body, target)
            case CountRequest():
                return read_count(body)
            case _:
                return Failure("malformed")

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        del ask  # an event says what it holds, whatever was asked
        return ChatStream(target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers, target  # this format says in the body whatever decides the kind
        return read_failure(status, body)


CODEC = Gemini()
