"""Embedding of many texts: split into requests that fit, no text twice, all vectors of one length.

Pure: nothing here waits, so that sync and async callers share it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from unified_llm.exceptions import (
    AllTargetsFailedError,
    ContextOverflowError,
    GenerationError,
    LLMError,
    ValidationError,
)
from unified_llm.types.responses import EmbeddingResponse

Vector: TypeAlias = list[float]
Outcome: TypeAlias = EmbeddingResponse | LLMError
Parts: TypeAlias = Generator[Sequence[str], Outcome, list[Vector]]
"""Yields the texts of one request, is sent its outcome, and returns the vectors of all texts."""

# Statuses with which providers refuse a request of too many texts or tokens; most use 400.
_TOO_LARGE: Final = frozenset({400, 413, 422})


@dataclass(slots=True)
class Space:
    """The vectors of one model: all of one length.

    Attributes:
        length: The length that the user asked for, else that of the first vector.
    """

    length: int | None = None

    def check(self, vectors: Sequence[Vector]) -> None:
        """Store the length, and refuse another: it means another model, whose vectors do not mix with these.

        Raises:
            GenerationError: A vector has another length than those before.
        """
        for vector in vectors:
            if self.length is None:
                self.length = len(vector)
            if len(vector) != self.length:
                raise GenerationError(
                    f"A vector of {len(vector)} numbers came where {self.length} were expected; none is returned. "
                    "Every target of the chain must have the same model, set to the same dimensions."
                )


def parts(texts: Sequence[str], kept: dict[str, Vector], space: Space, most: int) -> Parts:
    """Request the vectors of texts; a request that is too large is halved, as long as it has more than one text.

    Args:
        texts: What to embed.
        most: The most texts in one request.
        kept: Vectors that are known already; new ones are added.
        space: The length of the vectors.

    Raises:
        LLMError: The error of a request that failed.
    """
    # Another thread may empty ``kept`` at any time, so it is read once.
    vectors = {text: vector for text in texts if (vector := kept.get(text)) is not None}
    missing = [text for text in dict.fromkeys(texts) if text not in vectors]
    waiting = [missing[start : start + most] for start in range(0, len(missing), most)][::-1]
    while waiting:
        part = waiting.pop()
        outcome = yield part
        if isinstance(outcome, LLMError):
            if len(part) == 1 or not _too_large(outcome):
                raise outcome
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
            continue
        space.check(outcome.vectors)
        new = dict(zip(part, outcome.vectors, strict=True))
        vectors |= new
        kept |= new
    return [vectors[text] for text in texts]


def _too_large(error: LLMError) -> bool:
    if isinstance(error, AllTargetsFailedError):
        return any(_too_large(inner) for inner in error.errors)
    if isinstance(error, ContextOverflowError):
        return True
    return isinstance(error, ValidationError) and error.status_code in _TOO_LARGE
