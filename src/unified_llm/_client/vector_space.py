"""The length of the vectors of one model: vectors of two lengths never mix.

The length is, the first that there is: ``dimensions`` of the call or of the primary; the length that the primary sent;
the length in the table of models; the length that a fallback sent before the primary did. Only the last may turn out to
be wrong: then the fallback is another model, or set to other dimensions.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import Final

from unified_llm._core.features import Feature
from unified_llm._core.outcome import Failure
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._lib.fork_safe import make_lock
from unified_llm.exceptions import ConfigurationError

_log = logging.getLogger("unified_llm")

_SAME_MODEL: Final = (
    "vectors of two models do not mix. Give it the same model; or, where two names mean the same model, declare the "
    "same space= for both targets"
)
_ADVICE: Final = "every target of the chain must have the same model, set to the same dimensions"


def space_of(target: Target) -> str:
    """Return the name of the space that a target's vectors are in: the declared one, else the model's own name."""
    return target.space or target.model.rpartition("/")[2].lower()


def is_embedding_model(target: Target) -> bool:
    """Return whether a model is known, by its profile or its name, to make vectors and nothing else."""
    return makes_vectors_only(target.model, target.features, target.vector_length)


def makes_vectors_only(model: str, features: frozenset[Feature], vector_length: int | None) -> bool:
    """Return the same for a model that is no target."""
    named = "streaming" not in features or vector_length is not None or "embed" in model.lower()
    return named and "embeddings" in features


def check_fallbacks(targets: Sequence[Target]) -> None:
    """Refuse a chain for embeddings with a fallback that can never replace the primary.

    Raises:
        ConfigurationError: Another model, without a space that both declare, or one that makes no vectors.
    """
    if problem := find_unusable(targets):
        raise ConfigurationError(problem)


def find_unusable(targets: Sequence[Target]) -> str | None:
    """Say which fallbacks of a chain can never replace its primary for embeddings; None if all can."""
    primary = targets[0]
    if "embeddings" not in primary.features:  # every call says so
        return None
    unable = [target.name for target in targets if "embeddings" not in target.features]
    if unable:
        return f"{', '.join(unable)} cannot replace {primary.name}: a chat model makes no embeddings."
    others = [target.name for target in targets if space_of(target) != space_of(primary)]
    return f"{', '.join(others)} cannot replace {primary.name}: {_SAME_MODEL}." if others else None


class VectorSpace:
    """Length of the vectors that a client hands out for one model, over all its calls.

    Args:
        primary: The first target of the chain.
        dimensions: The length that the user asked for, if any.
    """

    def __init__(self, primary: Target, dimensions: int | None) -> None:
        self._lock = make_lock()
        self._primary = primary
        self._fixed = dimensions is not None
        self._length = dimensions or primary.vector_length
        self._source: Target | None = None  # the target that the length is taken from
        self._dropped: set[Hashable] = set()

    @property
    def length(self) -> int | None:
        """The length of all vectors; None before the first."""
        return self._length

    def without_dropped(self, targets: Sequence[Target]) -> Sequence[Target]:
        """Return the targets without those whose vectors turned out to be of another length than the primary's."""
        return [target for target in targets if target.health_key not in self._dropped] if self._dropped else targets

    def check(self, target: Target, vectors: Sequence[Sequence[float]]) -> Failure | None:
        """Check the vectors that a target sent. Return a failure if they do not mix with those before.

        A fallback that answers before the length is certain is trusted, with one warning. If the primary's vectors
        differ from it later, the fallback is dropped, with an error in the log.
        """
        with self._lock:
            return next((failure for vector in vectors if (failure := self._check(target, len(vector)))), None)

    def _check(self, target: Target, length: int) -> Failure | None:
        is_primary = target.health_key == self._primary.health_key
        if length != self._length and is_primary and not self._fixed and not self._is_primarys():
            if self._source is not None:
                self._drop(self._source, target, length)
            self._length = None
        if self._length is None:
            self._length = length
            if not is_primary:
                self._trust(target, length)
        if length == self._length:
            self._source = target if is_primary else self._source
            return None
        return self._mismatch(length)

    def _is_primarys(self) -> bool:
        return self._source is not None and self._source.health_key == self._primary.health_key

    def _trust(self, fallback: Target, length: int) -> None:
        self._source = fallback
        warn_once(
            ("trusted", fallback.name, self._primary.name, length),
            "%s: it is the first to send vectors, before %s, so their length of %d is taken for that of the model; "
            "pass dimensions= to be certain",
            fallback.name,
            self._primary.name,
            length,
            target=fallback.name,
        )

    def _drop(self, fallback: Target, primary: Target, length: int) -> None:
        text = f"its vectors have {self._length} numbers, and those of {primary.name} have {length}"
        self._dropped.add(fallback.health_key)
        _log.error(
            "%s: %s, so they do not mix: it gets no more texts to embed from this client. Embed again what it has "
            "embedded, and give every target the same model, set to the same dimensions",
            fallback.name,
            text,
            extra={"target": fallback.name},
        )

    def _mismatch(self, length: int) -> Failure:
        like = f", as from {self._source.name}" if self._source is not None else ""
        reason = f"A vector of {length} numbers came where {self._length} were expected{like}; none is returned"
        return Failure("malformed", reason=reason, advice=_ADVICE)
