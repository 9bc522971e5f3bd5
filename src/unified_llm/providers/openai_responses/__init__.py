"""OpenAI's Responses format, which its newest models speak alone, and several other providers and servers speak too.

``encode`` and ``items`` write requests, ``decode`` reads whole answers, ``stream`` reads streamed ones, ``sealed``
keeps reasoning that only its author can read. Nothing is left with the provider: every request carries the whole
conversation (``store`` is false), and reasoning comes and goes encrypted. What is no answer (embeddings, the list of
models) is the same in both of OpenAI's formats, and so are errors.
"""

from __future__ import annotations

from unified_llm.asks import CountRequest
from unified_llm.outcome import Done, Failure
from unified_llm.providers.codec import Ask, Decoder, WireRequest
from unified_llm.providers.openai_chat import OpenAIChat
from unified_llm.providers.openai_responses.decode import read_count, read_response
from unified_llm.providers.openai_responses.encode import write_count, write_response
from unified_llm.providers.openai_responses.stream import ResponseStream
from unified_llm.target import Target
from unified_llm.types import LLMRequest

__all__ = ["CODEC", "OpenAIResponses"]


class OpenAIResponses(OpenAIChat):
    """The codec. It holds nothing, so one serves everybody."""

    __slots__ = ()

    def encode(self, ask: Ask, target: Target) -> WireRequest:
        """The request as this target wants it.

        Raises:
            ValidationError: It holds a value that cannot be written, or content that this format cannot carry.
            UnsupportedOperationError: This format has no such request.
        """
        match ask:
            case LLMRequest():
                return write_response(ask, target)
            case CountRequest():
                return write_count(ask, target)
            case _:
                return super().encode(ask, target)

    def decode(self, ask: Ask, target: Target, body: object) -> Done | Failure:
        """The whole answer."""
        match ask:
            case LLMRequest():
                return read_response(body, target)
            case CountRequest():
                return read_count(body, target)
            case _:
                return super().decode(ask, target, body)

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        del ask  # whatever was asked for comes in events of its own
        return ResponseStream(target)


CODEC = OpenAIResponses()
