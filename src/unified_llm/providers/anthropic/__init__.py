"""Anthropic's Messages format, which its own API and many local servers speak.

``encode``, ``messages``, ``parts``, ``thinking`` and ``schemas`` write requests, ``decode`` reads whole answers,
``stream`` reads streamed ones, ``models`` reads what is said of models, ``sealed`` keeps what only the author of an
answer can read, ``errors`` names failures. Nothing in here asks which provider it is talking to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.outcome import Done, Failure
from unified_llm.providers.anthropic.decode import read_chat, read_count
from unified_llm.providers.anthropic.encode import write_chat, write_count, write_model, write_models
from unified_llm.providers.anthropic.errors import read_failure
from unified_llm.providers.anthropic.models import read_model, read_models
from unified_llm.providers.anthropic.stream import MessageStream
from unified_llm.providers.codec import Ask, Decoder, WireRequest
from unified_llm.target import Target
from unified_llm.types import LLMRequest, ModelsRequest

__all__ = ["CODEC", "AnthropicMessages"]


class AnthropicMessages:
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
            case CountRequest():
                return write_count(ask.chat, target)
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
            case CountRequest():
                return read_count(body, target)
            case ModelsRequest():
                return read_models(body, target)
            case ModelRequest():
                return read_model(body, target)
            case _:
                return Failure("malformed")

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        del ask  # a stream says what it is
        return MessageStream(target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers  # this format says in the body whatever decides the kind
        return read_failure(status, body, target)


CODEC = AnthropicMessages()
