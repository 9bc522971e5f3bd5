"""Cohere's own format, version 2: typed events, plans before calls, citations, a ranking of documents.

``encode`` and ``messages`` write requests, ``decode`` reads whole answers, ``stream`` reads streamed ones, ``lists``
reads vectors, rankings and models, ``errors`` names failures. Written from the official SDK's types and the API's
description (github.com/cohere-ai/cohere-developer-experience: cohere-openapi.yaml). Its tokenizer counts the tokens of
a text and not those of a conversation, so nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm.asks import ModelRequest, RerankRequest
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.outcome import Done, Failure
from unified_llm.providers.codec import Ask, Decoder, WireRequest
from unified_llm.providers.cohere.decode import read_chat
from unified_llm.providers.cohere.encode import (
    write_chat,
    write_embeddings,
    write_info,
    write_models,
    write_ranking,
)
from unified_llm.providers.cohere.errors import read_failure
from unified_llm.providers.cohere.lists import read_embeddings, read_info, read_models, read_ranking
from unified_llm.providers.cohere.stream import ChatStream
from unified_llm.providers.writing import at_root
from unified_llm.target import Target
from unified_llm.types import EmbeddingRequest, LLMRequest, ModelsRequest

__all__ = ["CODEC", "Cohere"]


class Cohere:
    """The codec. It holds nothing, so one serves everybody."""

    __slots__ = ()
    framing: Final = "events"

    def encode(self, ask: Ask, target: Target) -> WireRequest:
        """The request, for an address that may end in the path of any of Cohere's APIs, or in none.

        Raises:
            ValidationError: It holds a value that cannot be written, or content that this format cannot carry. The
                message names the field, never its value.
            UnsupportedOperationError: This format has no such request.
        """
        server = at_root(target, "/compatibility/v1", "/v1", "/v2")
        match ask:
            case LLMRequest():
                return write_chat(ask, server)
            case EmbeddingRequest():
                return write_embeddings(ask, server)
            case RerankRequest():
                return write_ranking(ask, server)
            case ModelsRequest():
                return write_models(ask, server)
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
            case RerankRequest():
                return read_ranking(ask, body, target)
            case ModelsRequest():
                return read_models(body, target)
            case ModelRequest():
                return read_info(body, target)
            case _:
                return Failure("malformed")

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        del ask
        return ChatStream(target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers
        return read_failure(status, body, target)


CODEC = Cohere()
