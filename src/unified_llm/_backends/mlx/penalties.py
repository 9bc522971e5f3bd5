"""Penalties for tokens that were written already, and biases for single tokens.

Only the engine thread may use this module. A penalty keeps on the device how often each token has occurred, and adds
one token a step, so that a step costs the same however long the response is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from unified_llm._backends.mlx.engine_types import EngineError, Sampling

if TYPE_CHECKING:
    import mlx.core as mx

Change: TypeAlias = "Callable[[mx.array, mx.array], mx.array]"
"""Takes the tokens of the response so far, and the logits of the next one as a row; returns changed logits."""


def make_penalties(sampling: Sampling, prompt_ids: Sequence[int]) -> list[Change]:
    """Return the changes of the logits that a request asks for; none where all options have their defaults."""
    changes: list[Change] = []
    if sampling.logit_bias:
        changes.append(_LogitBias(sampling))
    if sampling.repetition_penalty != 1:
        changes.append(_RepetitionPenalty(sampling, prompt_ids))
    if sampling.presence_penalty or sampling.frequency_penalty:
        changes.append(_ResponsePenalty(sampling))
    return changes


class _LogitBias:
    """Adds to the logits of single tokens."""

    def __init__(self, sampling: Sampling) -> None:
        self._bias = sampling.logit_bias
        self._row: mx.array | None = None  # made once the number of logits is known

    def __call__(self, response: mx.array, logits: mx.array) -> mx.array:
        del response
        if self._row is None:
            import mlx.core as mx

            size = logits.shape[-1]
            if (highest := max(self._bias)) >= size:  # MLX does not check indices
                message = f"logit_bias has the token {highest}, and the tokens of the model are 0 to {size - 1}."
                raise EngineError("bad_request", message)
            row = mx.zeros((size,), dtype=logits.dtype)
            self._row = row.at[mx.array(list(self._bias))].add(mx.array(list(self._bias.values())))
        return logits + self._row


class _TokenCounts:
    """How often each token is among the last ones.

    Args:
        before: The tokens before the response that count as well.
        window: The number of last tokens that count; 0 for all.
    """

    def __init__(self, before: Sequence[int] = (), window: int = 0) -> None:
        import mlx.core as mx

        self._window = window
        self._before = mx.array(list(before[-window:]), dtype=mx.int32) if before else mx.zeros((0,), dtype=mx.int32)
        self._counts: mx.array | None = None
        self._length = 0  # of the response that is counted

    def update(self, response: mx.array, size: int) -> mx.array:
        """Count the tokens of a response, which is the one of the last call and mostly one token more.

        A draft model's proposals are taken back: then the response is shorter, and is counted again.

        Args:
            response: Its tokens.
            size: The number of different tokens.
        """
        length, before = response.size, self._counts
        if before is not None and length == self._length + 1:
            counts = before.at[response[-1:]].add(1)
            if self._window and self._before.size + length > self._window:
                counts = counts.at[self._token_that_left(response)].subtract(1)
        elif before is not None and length == self._length:
            counts = before
        else:
            counts = self._count(response, size)
        self._counts, self._length = counts, length
        return counts

    def _token_that_left(self, response: mx.array) -> mx.array:
        """Return the token that the window had before its last one came."""
        start = response.size - self._window - 1  # counted from the beginning of the response
        if start >= 0:
            return response[start : start + 1]
        start += self._before.size
        return self._before[start : start + 1]

    def _count(self, response: mx.array, size: int) -> mx.array:
        import mlx.core as mx

        tokens = mx.concatenate([self._before, response.astype(mx.int32)])[-self._window :]
        counts = mx.zeros((size,), dtype=mx.int32)
        return counts.at[tokens].add(1) if tokens.size else counts


class _RepetitionPenalty:
    """Divides the logits of tokens in prompt and response (Keskar et al. 2019, arxiv.org/abs/1909.05858).

    As in transformers (RepetitionPenaltyLogitsProcessor), negative logits are multiplied.
    """

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int]) -> None:
        self._penalty = sampling.repetition_penalty
        self._counts = _TokenCounts(prompt_ids, sampling.repetition_context_size)

    def __call__(self, response: mx.array, logits: mx.array) -> mx.array:
        import mlx.core as mx

        is_seen = self._counts.update(response, logits.shape[-1]) > 0
        penalised = mx.where(logits < 0, logits * self._penalty, logits / self._penalty)
        return mx.where(is_seen, penalised, logits)


class _ResponsePenalty:
    """Subtracts from the logits of tokens in the response: once, and for each time.

    The definition of OpenAI (platform.openai.com/docs/api-reference/chat/create). mlx-lm's processors count the last 20
    tokens of prompt and response instead.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._presence, self._frequency = sampling.presence_penalty, sampling.frequency_penalty
        self._counts = _TokenCounts()

    def __call__(self, response: mx.array, logits: mx.array) -> mx.array:
        counts = self._counts.update(response, logits.shape[-1])
        penalty = self._presence * (counts > 0) + self._frequency * counts
        return logits - penalty.astype(logits.dtype)
