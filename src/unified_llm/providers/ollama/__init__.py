"""Ollama's own format: one JSON value on each line, options in a field of their own, no choice of a tool.

``encode`` and ``messages`` write requests, ``decode`` reads whole answers, ``stream`` reads streamed ones, ``errors``
names failures. Written from the types and handlers of its server (github.com/ollama/ollama: api/types.go,
server/routes.go). Nothing here decides what a model can do: the server says so in ``/api/show``, the table by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm.asks import ModelRequest
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.outcome import Done, Failure
from unified_llm.providers.codec import Ask, Decoder, WireRequest
from unified_llm.providers.ollama.decode import read_chat, read_embeddings, read_info, read_models
from unified_llm.providers.ollama.encode import write_chat, write_embeddings, write_info, write_models
from unified_llm.providers.ollama.errors import read_failure
from unified_llm.providers.ollama.stream import ChatStream
from unified_llm.providers.writing import at_root
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

__all__ = ["CODEC", "Ollama"]


class Ollama:
    """The codec. It holds nothing, so one serves everybody."""

    __slots__ = ()
    framing: Final = "lines"

    def encode(self, ask: Ask, target: Target) -> WireRequest:
        """The request, for an address that may end in the path of either of Ollama's two APIs, or in none.

        Raises:
            ValidationError: It holds a value that cannot be written, or content that this format cannot carry. The
                message names the field, never its value.
            UnsupportedOperationError: This format has no such request.
        """
        server = at_root(target, "/v1", "/api")
        match ask:
            case LLMRequest():
                return write_chat(ask, server)
            case EmbeddingRequest():
                return write_embeddings(ask, server)
            case ModelsRequest():
                return write_models(server)
            case ModelRequest():
                return write_info(server)
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
                return read_info(body, target)
            case _:
                return Failure("malformed")

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        del ask  # a line says itself whether it is of a chat or of a text
        return ChatStream(target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers
        return read_failure(status, body, target)


CODEC = Ollama()
