"""Codecs made of functions.

A format has two functions for each kind of request: one encodes the request, one decodes the response. Names of tools
are made to fit before the one and restored after the other (``tool_names``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from unified_llm._core.codec import AnyRequest, Decoder, Framing, MediaDecoder, StreamedMedia, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats import tool_names
from unified_llm._formats.any_model import ReadingRules, TextDecoder, read_whole, reading_rules, with_accepted_order
from unified_llm._formats.error_body import is_page
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.requests import LLMRequest

__all__ = ["EncodeDecode", "FunctionCodec", "FurtherRequests"]

EncodeDecode: TypeAlias = tuple[
    Callable[[Any, Target], WireRequest],
    Callable[[Any, object, Target], Done | Failure],
]
"""Encodes a request for a target; decodes the response, given the request, the parsed JSON and the target."""


# Statuses that are about the key, unless something else than the API answered: a firewall's challenge, a proxy's page
# (github.com/NousResearch/hermes-agent/issues/70566).
_WITH_COOLDOWN: Final = frozenset({401, 402, 403, 451})
_CHALLENGE: Final = "cf-mitigated"
_PAGE: Final = "a web page came back instead of an answer of the API"
_CHECK_PATH: Final = "check base_url=, the key, and whether a firewall or proxy blocks this machine"


@dataclass(frozen=True, slots=True)
class FurtherRequests:
    """Functions for requests that few programs make: media, and further endpoints.

    Attributes:
        by_request: The functions for each class of request.
        streams: Creates a decoder for the stream that answers a request.
    """

    by_request: Mapping[type[Any], EncodeDecode] = field(default_factory=dict[type[Any], EncodeDecode])
    streams: Mapping[type[Any], Callable[[Any, Target], MediaDecoder]] = field(
        default_factory=dict[type[Any], Callable[[Any, Target], MediaDecoder]]
    )


class FunctionCodec:
    """Codec of one wire format, made of functions. It keeps no state of a request, so all clients share one.

    Args:
        by_request: The functions for each class of request.
        stream: Creates a decoder for one streamed response.
        failure: Classifies an error response by its status and body, which decide the kind in every format known so
            far. The transport reads the headers; whether a page came instead of an error is found here.
        framing: How streams are split into events.
        adjust: Replaces the target's base URL by the one that the writers expect, where users may have given another.
        further: Returns the functions for further requests, which it imports with the first of them.
    """

    __slots__ = ("_adjust", "_failure", "_further", "_stream", "by_request", "framing")

    def __init__(
        self,
        by_request: Mapping[type[Any], EncodeDecode],
        *,
        stream: Callable[[LLMRequest, Target], Decoder],
        failure: Callable[[int, bytes, Target], Failure],
        framing: Framing = "events",
        adjust: Callable[[Target], Target] = lambda target: target,
        further: Callable[[], FurtherRequests] = FurtherRequests,
    ) -> None:
        self.by_request = by_request
        self.framing: Framing = framing
        self._stream, self._failure, self._adjust, self._further = stream, failure, adjust, further

    def _functions_for(self, request: AnyRequest) -> EncodeDecode | None:
        functions = self.by_request.get(type(request))
        return self._further().by_request.get(type(request)) if functions is None else functions

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """Encode the request for this target.

        Raises:
            ValidationError: The request contains a value that cannot be serialised (NaN, a lone surrogate, a set ...),
                or content that this format cannot represent. The message names the field, never its value.
            UnsupportedOperationError: This format, or the provider, has no such request.
        """
        functions = self._functions_for(request)
        if functions is None:
            raise UnsupportedOperationError(f"{target.name} has no such request.", provider=target.provider)
        if target.quirks.any_model:
            request = with_accepted_order(request, target)
        return functions[0](tool_names.fit_names(request, target.format), self._adjust(target))

    def decode(self, request: AnyRequest, target: Target, body: object) -> Done | Failure:
        """Decode a whole response."""
        functions = self._functions_for(request)
        if functions is None:
            return Failure("malformed")
        outcome = functions[1](request, body, target)
        if not isinstance(request, LLMRequest):
            return outcome
        if isinstance(outcome, Done) and target.quirks.any_model:
            outcome = read_whole(outcome, _rules(request, target))
        return tool_names.restore_names(outcome, tool_names.offered_names(request, target.format))

    def media_decoder(self, request: StreamedMedia, target: Target) -> MediaDecoder:
        """Return a decoder for one stream of media."""
        return self._further().streams[type(request)](request, target)

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:
        """Return a decoder for one streamed response."""
        decoder = self._stream(request, target)
        rules = _rules(request, target) if target.quirks.any_model else None
        if rules is not None:
            decoder = TextDecoder(decoder, rules)
        names = tool_names.offered_names(request, target.format)
        return tool_names.NameRestorer(decoder, names) if names else decoder

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """Classify an error response; the transport adds its ``headers`` and ``request_id``."""
        failure = self._failure(status, body, target)
        if status in _WITH_COOLDOWN and (is_page(body) or _CHALLENGE in headers):
            return replace(failure, about_key=False, reason=_PAGE, advice=_CHECK_PATH)
        return failure


def _rules(request: LLMRequest, target: Target) -> ReadingRules | None:
    """Return how to read the text of a response, in which a model uses the names of tools that it was sent."""
    sent = tool_names.fit_names(request, target.format)
    return reading_rules(sent, target) if isinstance(sent, LLMRequest) else None
