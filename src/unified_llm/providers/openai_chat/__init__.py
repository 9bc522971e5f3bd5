"""OpenAI's chat-completions format, which most providers and local servers speak.

The codec joins three rooms: ``encode``, ``messages`` and ``turns`` write requests, ``decode`` and ``stream`` read
answers, whole and in pieces, ``details`` what comes with them, ``catalogue`` lists of models; ``openai_errors`` names
failures. Where a provider differs, its row of the table says so in a quirk; nothing in here asks which provider it is
talking to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm.asks import ModelRequest
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.outcome import Done, Failure
from unified_llm.providers.codec import Ask, Decoder, WireRequest
from unified_llm.providers.openai_chat.catalogue import read_model, read_models
from unified_llm.providers.openai_chat.decode import read_chat, read_embeddings
from unified_llm.providers.openai_chat.encode import write_chat, write_embeddings, write_model, write_models
from unified_llm.providers.openai_chat.stream import ChatStream
from unified_llm.providers.openai_errors import read_failure
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

__all__ = ["CODEC", "OpenAIChat"]


class OpenAIChat:
    """The codec. It holds nothing, so one serves everybody."""

    __slots__ = ()
    framing: Final = "events"

    def encode(self, ask: Ask, target: Target) -> WireRequest:
        """The request as this target wants it.

        Raises:
            ValidationError: It holds a value that cannot be written (NaN, a lone surrogate, a set ...), or content
                that this format cannot carry. The message names the field, never its value.
            UnsupportedOperationError: This format, or the provider, has no such request.
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
            case _:
                return Failure("malformed")

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        return ChatStream(ask, target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers  # this format says in the body whatever decides the kind
        return read_failure(status, body, target)


CODEC = OpenAIChat()
