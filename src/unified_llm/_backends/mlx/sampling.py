"""How a token is chosen: the sampler and the logits processors of one request.

Only the engine thread may use this module. The batch and the serial path use the same functions, so that a request has
the same answer on both::

    logits --> processors --> log softmax --> sampler --> token
               logit bias        |            temperature, min-p, top-k, top-p, draw
               penalties         |
               constraint        +--> log probabilities of the response

The order of the sampler's steps is that of vLLM (temperature, min-p, top-k, top-p), whose names of options are used
too; mlx-lm applies the temperature last, which makes top-p and min-p mean something else at each temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from unified_llm._backends.mlx.constraints import ConstrainedTokens
from unified_llm._backends.mlx.engine_types import Prompt, Sampling
from unified_llm._backends.mlx.penalties import Change, make_penalties

if TYPE_CHECKING:
    import mlx.core as mx

    from unified_llm._backends.mlx.loading import LoadedModel

# Divided by less, log probabilities are infinite, and every token as likely as any other. vLLM has the same bound.
_LEAST_TEMPERATURE: Final = 1e-5

Sampler: TypeAlias = "Callable[[mx.array], mx.array]"
"""Takes log probabilities, one row for each request, and returns a token for each."""
Processor: TypeAlias = "Callable[[mx.array, mx.array], mx.array]"
"""Takes the tokens of prompt and response so far, and the logits of the next one as a row; returns changed logits."""


def make_sampler(sampling: Sampling) -> Sampler | None:
    """Return the function that draws a token; None for the likeliest one, which is the default of mlx-lm.

    Requests without a seed that have the same options get the same function, so that a batch of them is one draw.
    """
    if sampling.temperature < _LEAST_TEMPERATURE or sampling.top_p <= 0:
        return None
    choice = _Choice(sampling.temperature, sampling.min_p, sampling.top_k, sampling.top_p)
    return _shared_sampler(choice) if sampling.seed is None else _seeded_sampler(choice, sampling.seed)


def make_processors(prompt: Prompt, loaded: LoadedModel, prompt_ids: Sequence[int]) -> list[Processor]:
    """Return the functions that change a request's logits, in order; none for a request without such options.

    Raises:
        EngineError: An option does not fit the model, or the constraint cannot be compiled.
    """
    changes = make_penalties(prompt.sampling, prompt_ids)
    if prompt.constraint is not None:
        changes.append(ConstrainedTokens(prompt.constraint, loaded.grammars))
    return [_on_responses(changes)] if changes else []


def _on_responses(changes: Sequence[Change]) -> Processor:
    """Return a processor that makes changes which look at the response alone.

    mlx-lm passes the tokens of the prompt as well: all of them in a batch, one with a draft model.
    """
    prompt_size: int | None = None

    def process(tokens: mx.array, logits: mx.array) -> mx.array:
        nonlocal prompt_size
        if prompt_size is None:
            prompt_size = tokens.size  # the first call is for the first token of the response
        response = tokens[prompt_size:]
        for change in changes:
            logits = change(response, logits)
        return logits

    return process


class _Choice(NamedTuple):
    """Which tokens may be drawn, and how likely."""

    temperature: float
    min_p: float
    top_k: int
    top_p: float

    def apply(self, logprobs: mx.array) -> mx.array:
        """Divide by the temperature, and rule out tokens that are too unlikely."""
        import mlx.core as mx
        from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

        logprobs = logprobs / self.temperature
        if self.min_p > 0:
            logprobs = apply_min_p(logprobs, self.min_p)
        if 0 < self.top_k < logprobs.shape[-1]:
            logprobs = apply_top_k(logprobs, self.top_k)
        if self.top_p < 1:
            # Their sum has to be 1: older releases of mlx-lm do not scale.
            logprobs = apply_top_p(logprobs - mx.logsumexp(logprobs, axis=-1, keepdims=True), self.top_p)
        return logprobs


@lru_cache(maxsize=64)
def _shared_sampler(choice: _Choice) -> Sampler:
    import mlx.core as mx

    return lambda logprobs: mx.random.categorical(choice.apply(logprobs))


def _seeded_sampler(choice: _Choice, seed: int) -> Sampler:
    import mlx.core as mx

    # Each request draws with its own key: MLX's global seed would couple it to the others in the batch.
    key = mx.random.key(seed % 2**63)

    def draw(logprobs: mx.array) -> mx.array:
        nonlocal key
        key, step_key = mx.random.split(key)
        return mx.random.categorical(choice.apply(logprobs), key=step_key)

    return draw
