"""Codecs made of functions, and the table of formats.

A format has two functions for each kind of request: one encodes the request, one decodes the response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

from unified_llm._core.codec import AnyRequest, Codec, Decoder, Framing, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.redaction import quoted
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError, UnsupportedOperationError
from unified_llm.types.requests import LLMRequest

__all__ = ["FORMATS", "EncodeDecode", "FunctionCodec", "codec_for"]

# Each is a module or folder beside this one, with its codec in CODEC.
FORMATS: Final = (
    "anthropic", "openai_chat", "openai_responses", "azure", "azure_responses", "huggingface",
    "gemini", "ollama", "cohere",
)  # fmt: skip

EncodeDecode: TypeAlias = tuple[
    Callable[[Any, Target], WireRequest],
    Callable[[Any, object, Target], Done | Failure],
]
"""Encodes a request for a target; decodes the response, given the request, the parsed JSON and the target."""


def codec_for(name: str) -> Codec:
    """Return the codec of a format, imported when it is first needed.

    Args:
        name: One of ``FORMATS``.

    Raises:
        ConfigurationError: There is no format of that name.
    """
    if name not in FORMATS:
        raise ConfigurationError(f"There is no format {quoted(name)}; known are {', '.join(FORMATS)}.")
    codec: Codec = import_module(f"unified_llm._formats.{name}").CODEC
    return codec


class FunctionCodec:
    """The codec of one wire format, made of functions. It keeps no state of a request, so all clients share one.

    Args:
        by_request: The functions for each class of request.
        stream: Makes a decoder for one streamed answer.
        refusal: Reads a response that is no success, from its status and its body: in every format known so far that
            says whatever decides the kind, and the headers are left to the transport.
        framing: How streams are cut.
        at: The target at the address that the writers count from, where users may have given another.
    """

    __slots__ = ("_at", "_refusal", "_stream", "by_request", "framing")

    def __init__(
        self,
        by_request: Mapping[type[Any], EncodeDecode],
        *,
        stream: Callable[[LLMRequest, Target], Decoder],
        refusal: Callable[[int, bytes, Target], Failure],
        framing: Framing = "events",
        at: Callable[[Target], Target] = lambda target: target,
    ) -> None:
        self.by_request = by_request
        self.framing: Framing = framing
        self._stream, self._refusal, self._at = stream, refusal, at

    def _functions_for(self, request: AnyRequest) -> EncodeDecode | None:
        return next((functions for kind, functions in self.by_request.items() if isinstance(request, kind)), None)

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """The request as this target wants it.

        Raises:
            ValidationError: It holds a value that cannot be written (NaN, a lone surrogate, a set ...), or content
                that this format cannot carry. The message names the field, never its value.
            UnsupportedOperationError: This format, or the provider, has no such request.
        """
        functions = self._functions_for(request)
        if functions is None:
            raise UnsupportedOperationError(f"{target.name} has no such request.", provider=target.provider)
        return functions[0](request, self._at(target))

    def decode(self, request: AnyRequest, target: Target, body: object) -> Done | Failure:
        """The whole answer."""
        functions = self._functions_for(request)
        return Failure("malformed") if functions is None else functions[1](request, body, target)

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        return self._stream(request, target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers
        return self._refusal(status, body, target)
