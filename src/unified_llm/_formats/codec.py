"""A codec made of functions: for each question that a format has, one that writes it and one that reads its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from unified_llm._core.codec import Ask, Decoder, Framing, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.types.requests import LLMRequest

__all__ = ["Format", "Question"]

Question: TypeAlias = tuple[Callable[[Any, Target], WireRequest], Callable[[Any, object, Target], Done | Failure]]
"""Writes the request, from what is asked and of whom; reads the answer, from that and the parsed JSON."""


class Format:
    """The codec of one wire format. It holds nothing of a request, so one serves everybody.

    Args:
        questions: What can be asked, by the class of the request.
        stream: Makes a decoder for one streamed answer.
        refusal: Reads a response that is no success, from its status and its body: in every format known so far that
            says whatever decides the kind, and the headers are left to the transport.
        framing: How streams are cut.
        at: The target at the address that the writers count from, where users may have given another.
    """

    __slots__ = ("_at", "_refusal", "_stream", "framing", "questions")

    def __init__(
        self,
        questions: Mapping[type[Any], Question],
        *,
        stream: Callable[[LLMRequest, Target], Decoder],
        refusal: Callable[[int, bytes, Target], Failure],
        framing: Framing = "events",
        at: Callable[[Target], Target] = lambda target: target,
    ) -> None:
        """Join the rooms of a format."""
        self.questions = questions
        self.framing: Framing = framing
        self._stream, self._refusal, self._at = stream, refusal, at

    def _question(self, ask: Ask) -> Question | None:
        return next((question for kind, question in self.questions.items() if isinstance(ask, kind)), None)

    def encode(self, ask: Ask, target: Target) -> WireRequest:
        """The request as this target wants it.

        Raises:
            ValidationError: It holds a value that cannot be written (NaN, a lone surrogate, a set ...), or content
                that this format cannot carry. The message names the field, never its value.
            UnsupportedOperationError: This format, or the provider, has no such request.
        """
        question = self._question(ask)
        if question is None:
            raise UnsupportedOperationError(f"{target.name} has no such request.", provider=target.provider)
        return question[0](ask, self._at(target))

    def decode(self, ask: Ask, target: Target, body: object) -> Done | Failure:
        """The whole answer."""
        question = self._question(ask)
        return Failure("malformed") if question is None else question[1](ask, body, target)

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:
        """A decoder for one streamed answer."""
        return self._stream(ask, target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:
        """What a response of that status says; its ``headers`` and ``request_id`` are left to the transport."""
        del headers
        return self._refusal(status, body, target)
