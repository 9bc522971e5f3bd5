"""How a batch of texts becomes vectors: in parts that fit, nothing asked for twice, all of one length.

Pure: nothing here waits or asks anybody, so that synchronous and asynchronous callers do the same.
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
"""Yields texts to ask for, is sent what came of it, and returns the vectors of all."""

# A batch that holds too many texts or tokens is refused by many names, most of them a plain 400.
_TOO_LARGE: Final = frozenset({400, 413, 422})


@dataclass(slots=True)
class Space:
    """The vectors of one model: all of one length.

    Attributes:
        length: What the user asked for, else that of the first vector.
    """

    length: int | None = None

    def check(self, vectors: Sequence[Vector]) -> None:
        """Remember the length, and refuse another: it means another model, whose vectors do not mix with these.

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
    """Ask for texts; for the halves of what is too large, as long as it is more than one text.

    Args:
        texts: What to embed.
        most: How many texts a request can have.
        kept: Vectors that are known already; those that are found are added.
        space: What the vectors must be like.

    Raises:
        LLMError: What came of a part that could not be had.
    """
    # Another thread may empty ``kept`` at any time, so it is looked into once.
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
        found = dict(zip(part, outcome.vectors, strict=True))
        vectors |= found
        kept |= found
    return [vectors[text] for text in texts]


def _too_large(error: LLMError) -> bool:
    if isinstance(error, AllTargetsFailedError):
        return any(_too_large(each) for each in error.errors)
    if isinstance(error, ContextOverflowError):
        return True
    return isinstance(error, ValidationError) and error.status_code in _TOO_LARGE
