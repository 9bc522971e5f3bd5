"""Embedding of many texts: split into requests that fit, no text twice, all vectors of one length.

A list that a target refuses, for its size or for one of its texts, is sent to the same target in halves, as long as a
part has more than one text. What it refuses alone goes to the next target, with the other such texts::

    [a b c d] ---> primary: refused          [c] ---> fallback: answered
    [a b]     ---> primary: answered
    [c d]     ---> primary: refused
    [c]       ---> primary: refused, kept for the fallback
    [d]       ---> primary: answered

The requests of a split are no retries: each is a call of its own, with its own limits, under the deadline of all.
``Embedding`` decides; ``run`` and ``arun`` send what it yields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from unified_llm._client.errors import FailedCall, from_call_failed
from unified_llm._client.vector_space import VectorSpace
from unified_llm._core.target import Target
from unified_llm._core.usage_sums import add_usage
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.failure_rules import is_of_size_or_input
from unified_llm.exceptions import LLMError
from unified_llm.types.records import Attempt, Usage
from unified_llm.types.requests import EmbeddingRequest
from unified_llm.types.responses import EmbeddingResponse

Vector: TypeAlias = list[float]

# So many parts in a row that fail, none inside another, mean that the target refuses the texts for another reason.
_MOST_FAILED: Final = 4


@dataclass(frozen=True, slots=True)
class Part:
    """A request for some of the texts.

    Attributes:
        request: The request.
        chain: The targets that get it; None for all of the client's.
    """

    request: EmbeddingRequest
    chain: tuple[Target, ...] | None = None


@dataclass(frozen=True, slots=True)
class PartResult:
    """Outcome of one part of a list of texts.

    Attributes:
        attempts: The attempts that were made.
        failed: Why there is no usable response; None if there is one.
        response: The response.
        target: The target that answered or refused; None where every target of the chain failed.
        rest: The targets to try next.
        may_split: The target may accept the texts in parts.
    """

    attempts: Sequence[Attempt]
    failed: CallFailed | None = None
    response: EmbeddingResponse = field(default_factory=lambda: EmbeddingResponse([]))
    target: Target | None = None
    rest: tuple[Target, ...] = ()
    may_split: bool = False


Batches: TypeAlias = Generator[Part, PartResult, EmbeddingResponse]
"""Yields parts, is sent the result of each, and returns the response to all texts."""


@dataclass(frozen=True, slots=True)
class FinishedVectors:
    """Vectors that an adapter keeps from one call to the next, which need not be requested again after a failure.

    Attributes:
        by_text: The vectors; each call adds its own.
    """

    by_text: dict[str, Vector] = field(default_factory=dict[str, Vector], repr=False)


class PartialVectors(dict[int, Vector]):
    """The vectors so far of a call that failed, by the index of their text.

    Args:
        vectors: The vectors.
        response: What else is known of them: model, provider, tokens, attempts.
    """

    def __init__(self, vectors: Mapping[int, Vector], response: EmbeddingResponse | None = None) -> None:
        super().__init__(vectors)
        self.response = response or EmbeddingResponse([])


@dataclass(frozen=True, slots=True)
class _Unserved:
    """Texts that no target embedded.

    Attributes:
        texts: The texts.
        failed: The failures of the first of them.
        alone: The first was refused by itself.
    """

    texts: Sequence[str] = field(repr=False)
    failed: CallFailed
    alone: bool = False


class Embedding:
    """The embedding of one list.

    Args:
        request: All texts; equal ones share a vector.
        max_texts: The most texts in one request.
        space: The length of all vectors.
        finished: Vectors that are known already; new ones are added.
        chain: The targets of the client, for the error where none of them embeds a text.
        deadline: Seconds of the whole call, for the error after they have passed.
    """

    def __init__(
        self,
        request: EmbeddingRequest,
        max_texts: int,
        space: VectorSpace,
        finished: FinishedVectors,
        *,
        chain: Sequence[Target],
        deadline: float | None,
    ) -> None:
        self._request, self._max_texts, self._space = request, max_texts, space
        self._finished, self._chain, self._deadline = finished, chain, deadline
        self._vectors: dict[str, Vector] = {}
        self._attempts: list[Attempt] = []
        self._usage: Usage | None = None
        self._last = EmbeddingResponse([])

    def batches(self) -> Batches:
        """Yield the requests, and return the response to all texts.

        Raises:
            LLMError: No target embedded a text. ``.position`` is its index, where it was refused by itself, and
                ``.partial`` has the vectors of the others so far.
        """
        known = self._finished.by_text
        # Another thread may empty ``by_text`` at any time, so it is read once.
        self._vectors = {text: vector for text in self._request.texts if (vector := known.get(text)) is not None}
        while missing := self._missing():
            for start in range(0, len(missing), self._max_texts):
                unserved = yield from self._embed(missing[start : start + self._max_texts], None)
                if unserved is not None:
                    raise self._error(unserved)
        vectors = [self._vectors[text] for text in self._request.texts]
        return replace(self._last, vectors=vectors, usage=self._usage, attempts=tuple(self._attempts))

    def _missing(self) -> list[str]:
        """Return the texts without a vector of the right length, each once; all of them as a program wrote them."""
        texts = self._request.texts
        if self._request.original is not None and not self._vectors and len(texts) <= self._max_texts:
            return [*texts]
        length = self._space.length
        have = {text for text, vector in self._vectors.items() if length is None or len(vector) == length}
        return [text for text in dict.fromkeys(self._request.texts) if text not in have]

    def _send(self, texts: Sequence[str], chain: tuple[Target, ...] | None) -> Generator[Part, PartResult, PartResult]:
        whole = len(texts) == len(self._request.texts)
        request = self._request if whole else replace(self._request, texts=tuple(texts), original=None)
        result = yield Part(request, chain)
        self._attempts += result.attempts
        if result.failed is not None or result.target is None:
            return result
        failure = self._space.check(result.target, result.response.vectors)
        if failure is not None:
            return replace(result, failed=CallFailed(((result.target, failure),)))
        self._last, self._usage = result.response, add_usage(self._usage, result.response.usage)
        new = dict(zip(texts, result.response.vectors, strict=True))
        self._vectors |= new
        self._finished.by_text.update(new)
        return result

    def _embed(
        self, texts: Sequence[str], chain: tuple[Target, ...] | None
    ) -> Generator[Part, PartResult, _Unserved | None]:
        """Embed texts at the first target that does; return those that none did."""
        result = yield from self._send(texts, chain)
        if result.failed is None:
            return None
        left = _Unserved(texts, result.failed, alone=len(texts) == 1 and _refuse_input(result.failed))
        if result.may_split and result.target is not None:
            left = yield from self._split(texts, result.target, result.failed)
        if not left.texts or not result.rest:
            return left if left.texts else None
        more = yield from self._embed(left.texts, result.rest)
        if more is None:
            return None
        failures = (*left.failed.failures, *more.failed.failures)
        not_retried = {**left.failed.not_retried, **more.failed.not_retried}
        failed = replace(more.failed, failures=failures, not_retried=not_retried)
        return replace(more, failed=failed, alone=left.alone or more.alone)

    def _split(
        self, texts: Sequence[str], target: Target, failed: CallFailed
    ) -> Generator[Part, PartResult, _Unserved]:
        """Embed texts in parts at the target that refused them together; return those that it did not embed."""
        left = _Unserved((), failed)
        failed_parts: list[Sequence[str]] = [texts]
        waiting = _halves(texts)
        while waiting:
            part = waiting.pop()
            result = yield from self._send(part, (target,))
            if result.failed is None:
                failed_parts.clear()
                continue
            # Of parts inside one another the smallest counts.
            failed_parts = [*(other for other in failed_parts if part[0] not in other), part]
            refused = _refuse_input(result.failed)
            ends = not refused or len(failed_parts) >= _MOST_FAILED
            if len(part) > 1 and not ends:
                waiting += _halves(part)
                continue
            if not left.texts:
                left = _Unserved((), result.failed, alone=refused and len(part) == 1)
            rest = [text for other in reversed(waiting) for text in other] if ends else []
            left = replace(left, texts=(*left.texts, *part, *rest))
            if ends:
                break
        return left

    def _error(self, unserved: _Unserved) -> LLMError:
        call = FailedCall(self._attempts, self._chain, same_model=True, deadline=self._deadline)
        error = from_call_failed(unserved.failed, call)
        texts = self._request.texts
        vectors = {position: self._vectors[text] for position, text in enumerate(texts) if text in self._vectors}
        error.partial = PartialVectors(vectors, replace(self._last, usage=self._usage, attempts=error.attempts))
        if unserved.alone:
            error.position = texts.index(unserved.texts[0])
        return error


def run(batches: Batches, send: Callable[[Part], PartResult]) -> EmbeddingResponse:
    """Send the parts of ``batches``, and return the response to all texts."""
    try:
        part = next(batches)
        while True:
            part = batches.send(send(part))
    except StopIteration as end:
        whole: EmbeddingResponse = end.value
        return whole


async def arun(batches: Batches, send: Callable[[Part], Awaitable[PartResult]]) -> EmbeddingResponse:
    """Do the same as ``run``, for async callers."""
    try:
        part = next(batches)
        while True:
            part = batches.send(await send(part))
    except StopIteration as end:
        whole: EmbeddingResponse = end.value
        return whole


def _halves(texts: Sequence[str]) -> list[Sequence[str]]:
    """Return both halves, the first one last."""
    half = len(texts) // 2
    return [texts[half:], texts[:half]]


def _refuse_input(failed: CallFailed) -> bool:
    """Return whether every target that was asked refused the request for its size or for what it contains."""
    return bool(failed.failures) and all(is_of_size_or_input(failure) for _, failure in failed.failures)
