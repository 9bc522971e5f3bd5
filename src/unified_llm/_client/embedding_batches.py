"""Embedding of many texts: split into requests that fit, no text twice, all vectors of one length.

``split`` decides; ``run`` and ``arun`` send what it yields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final, TypeAlias

from unified_llm.exceptions import (
    AllTargetsFailedError,
    ContextOverflowError,
    GenerationError,
    LLMError,
    ValidationError,
)
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.requests import EmbeddingRequest
from unified_llm.types.responses import EmbeddingResponse

Vector: TypeAlias = list[float]
Batches: TypeAlias = Generator[EmbeddingRequest, EmbeddingResponse, EmbeddingResponse]
"""Yields requests, is sent the response or thrown the error of each, and returns the response to all texts."""

# Statuses with which providers refuse a request of too many texts or tokens; most use 400.
_TOO_LARGE: Final = frozenset({400, 413, 422})


@dataclass(slots=True)
class VectorSpace:
    """The vectors of one model: all of one length.

    Attributes:
        length: The length that the user asked for, else that of the first vector.
    """

    length: int | None = None

    def check(self, response: EmbeddingResponse, attempts: Sequence[Attempt]) -> None:
        """Store the length, and refuse another: it means another model, whose vectors do not mix with these.

        Args:
            response: The vectors, and who sent them.
            attempts: Those of the call so far, for the error.

        Raises:
            GenerationError: A vector has another length than those before.
        """
        for vector in response.vectors:
            if self.length is None:
                self.length = len(vector)
            if len(vector) != self.length:
                raise GenerationError(
                    f"A vector of {len(vector)} numbers came where {self.length} were expected; none is returned. "
                    "Every target of the chain must have the same model, set to the same dimensions.",
                    provider=response.provider,
                    model=response.model,
                    attempts=attempts,
                )


@dataclass(frozen=True, slots=True)
class FinishedVectors:
    """Vectors that an adapter keeps from one call to the next, which need not be requested again after a failure.

    Attributes:
        space: The length of all vectors.
        by_text: The vectors; each call adds its own.
    """

    space: VectorSpace = field(default_factory=VectorSpace)
    by_text: dict[str, Vector] = field(default_factory=dict[str, Vector], repr=False)


def split(request: EmbeddingRequest, max_texts: int, finished: FinishedVectors) -> Batches:
    """Split a request; a part that is refused as too large is halved, as long as it has more than one text.

    Args:
        request: All texts; equal ones share a vector.
        max_texts: The most texts in one request.
        finished: Vectors that are known already, and the length of all; new vectors are added.

    Raises:
        LLMError: The error of a part, with the attempts of the whole call.
    """
    # Another thread may empty ``by_text`` at any time, so it is read once.
    vectors = {text: vector for text in request.texts if (vector := finished.by_text.get(text)) is not None}
    missing = [text for text in dict.fromkeys(request.texts) if text not in vectors]
    waiting = [missing[start : start + max_texts] for start in range(0, len(missing), max_texts)][::-1]
    attempts: list[Attempt] = []
    response, usage = EmbeddingResponse([]), None
    while waiting:
        part = waiting.pop()
        try:
            response = yield request if len(part) == len(request.texts) else replace(request, texts=tuple(part))
        except LLMError as error:
            attempts += error.attempts
            if len(part) == 1 or not _too_large(error):
                error.attempts = tuple(attempts)
                raise
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
            continue
        attempts += response.attempts
        usage = _sum_usage(usage, response.usage)
        finished.space.check(response, attempts)
        new = dict(zip(part, response.vectors, strict=True))
        vectors |= new
        finished.by_text.update(new)
    return replace(response, vectors=[vectors[text] for text in request.texts], usage=usage, attempts=tuple(attempts))


def run(batches: Batches, send: Callable[[EmbeddingRequest], EmbeddingResponse]) -> EmbeddingResponse:
    """Send the requests of ``batches``, and return the response to all texts."""
    try:
        request = next(batches)
        while True:
            try:
                response = send(request)
            except LLMError as error:
                request = batches.throw(error)
            else:
                request = batches.send(response)
    except StopIteration as end:
        whole: EmbeddingResponse = end.value
        return whole


async def arun(batches: Batches, send: Callable[[EmbeddingRequest], Awaitable[EmbeddingResponse]]) -> EmbeddingResponse:
    """Do the same as ``run``, for async callers."""
    try:
        request = next(batches)
        while True:
            try:
                response = await send(request)
            except LLMError as error:
                request = batches.throw(error)
            else:
                request = batches.send(response)
    except StopIteration as end:
        whole: EmbeddingResponse = end.value
        return whole


def _sum_usage(usage: Usage | None, more: Usage | None) -> Usage | None:
    if usage is None or more is None:
        return usage or more
    return Usage(*(getattr(usage, name.name) + getattr(more, name.name) for name in fields(Usage)))


def _too_large(error: LLMError) -> bool:
    if isinstance(error, AllTargetsFailedError):
        return any(_too_large(inner) for inner in error.errors)
    if isinstance(error, ContextOverflowError):
        return True
    return isinstance(error, ValidationError) and error.status_code in _TOO_LARGE
