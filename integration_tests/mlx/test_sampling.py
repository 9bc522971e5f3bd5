"""Samplers and penalties, compared with their definitions in numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.each import each
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine_types import EngineError, Sampling

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

SIZE = 12
LOGITS = np.linspace(-3, 3, SIZE, dtype=np.float32)
PROMPT = [1, 2, 2, 11]
RESPONSE = [3, 3, 11, 0, 2, 3, 7, 7]


def penalised(sampling: Sampling, lengths: list[int]) -> list[Any]:
    """Return the logits after responses of these lengths, one after the other in one request."""
    import mlx.core as mx

    from unified_llm._backends.mlx.penalties import make_penalties

    (change,) = make_penalties(sampling, PROMPT)
    return [np.array(change(mx.array(RESPONSE[:length]), mx.array(LOGITS[None])))[0] for length in lengths]


def repeated(penalty: float, window: int) -> Callable[[list[int]], Any]:
    def expected(response: list[int]) -> Any:
        seen = sorted(set([*PROMPT, *response][-window:]))
        logits = LOGITS.copy()
        logits[seen] = np.where(logits[seen] < 0, logits[seen] * penalty, logits[seen] / penalty)
        return logits

    return expected


def counted(presence: float, frequency: float) -> Callable[[list[int]], Any]:
    def expected(response: list[int]) -> Any:
        counts = Counter(response)
        return LOGITS - [presence * (counts[token] > 0) + frequency * counts[token] for token in range(SIZE)]

    return expected


@each(
    ("sampling", "expected"),
    [
        (Sampling(repetition_penalty=1.5, repetition_context_size=0), repeated(1.5, 0)),
        (Sampling(repetition_penalty=1.5), repeated(1.5, 20)),
        (Sampling(repetition_penalty=0.5, repetition_context_size=3), repeated(0.5, 3)),
        (Sampling(repetition_penalty=2.0, repetition_context_size=6), repeated(2.0, 6)),
        (Sampling(presence_penalty=0.7), counted(0.7, 0)),
        (Sampling(frequency_penalty=-0.3), counted(0, -0.3)),
        (Sampling(presence_penalty=1.0, frequency_penalty=0.5), counted(1.0, 0.5)),
        (Sampling(logit_bias={0: 5.0, 11: -100.0}), lambda _: LOGITS + np.array([5, *[0] * 10, -100])),
    ],
)
def test_penalties_are_as_defined_at_each_length_also_where_a_draft_is_taken_back(
    sampling: Sampling, expected: Callable[[list[int]], Any]
) -> None:
    lengths = [*range(len(RESPONSE) + 1), 5, 6, 6, 8, 2, 3]
    for length, logits in zip(lengths, penalised(sampling, lengths), strict=True):
        np.testing.assert_allclose(logits, expected(RESPONSE[:length]), rtol=1e-5, err_msg=f"length {length}")


def drawn(sampling: Sampling, rows: int = 200) -> list[int]:
    """Return the tokens that two draws take for each row, from probabilities of 2^-1, 2^-2 ... at 0, 1 ..."""
    import mlx.core as mx

    from unified_llm._backends.mlx.sampling import make_sampler

    sampler = make_sampler(sampling)
    assert sampler is not None
    logprobs = mx.array(np.tile(-np.log(2.0) * np.arange(1, SIZE + 1, dtype=np.float32), (rows, 1)))
    first, second = np.array(sampler(logprobs)), np.array(sampler(logprobs))
    assert (first != second).any() or len({*first}) == 1, "each draw has a key of its own"
    return [int(token) for token in (*first, *second)]


@each(
    ("options", "tokens"),
    [
        ({"top_k": 3}, {0, 1, 2}),
        ({"top_p": 0.6}, {0, 1}),
        ({"top_p": 0.75}, {0, 1}),
        ({"min_p": 0.25}, {0, 1, 2}),
        ({"min_p": 1.0}, {0}),
        # Each step sees what the ones before have left: of 2/3 and 1/3, the first is enough.
        ({"top_k": 2, "top_p": 0.6}, {0}),
        ({"min_p": 0.5, "top_p": 0.9}, {0, 1}),
        # At a temperature of 0.5 the probabilities are 3/4, 3/16 ...
        ({"temperature": 0.5, "top_p": 0.7}, {0}),
        ({"temperature": 0.5, "min_p": 0.2}, {0, 1}),
    ],
)
def test_tokens_that_are_too_unlikely_are_not_drawn(options: dict[str, Any], tokens: set[int]) -> None:
    assert set(drawn(Sampling(**{"temperature": 1.0, "seed": 1, **options}))) == tokens


def test_a_number_of_tokens_beyond_the_vocabulary_means_all() -> None:
    everything = drawn(Sampling(temperature=5.0, seed=1))
    assert drawn(Sampling(temperature=5.0, seed=1, top_k=10**6)) == everything
    assert set(everything) == set(range(SIZE))


def test_a_temperature_that_is_next_to_nothing_takes_the_likeliest_token() -> None:
    from unified_llm._backends.mlx.sampling import make_sampler

    assert make_sampler(Sampling(temperature=1e-40, seed=1)) is None


def test_a_bias_of_a_token_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(EngineError, match=r"logit_bias has the token 999, and the tokens of the model are 0 to 11\."):
        penalised(Sampling(logit_bias={1: 5.0, 999: 5.0}), [0])


def test_the_temperature_changes_how_often_a_token_is_drawn() -> None:
    share = [drawn(Sampling(temperature=heat, seed=2)).count(0) / 400 for heat in (0.5, 1.0, 2.0)]
    assert np.allclose(share, [0.75, 0.5, 0.3], atol=0.08)


def test_a_seed_repeats_a_draw_and_requests_without_one_share_a_sampler() -> None:
    from unified_llm._backends.mlx.sampling import make_sampler

    seeded = Sampling(temperature=1.0, seed=-7)
    assert drawn(seeded) == drawn(seeded) != drawn(Sampling(temperature=1.0, seed=8))
    assert make_sampler(Sampling(temperature=0.7)) is make_sampler(Sampling(temperature=0.7, presence_penalty=1))
    assert make_sampler(Sampling(temperature=0.7, seed=1)) is not make_sampler(Sampling(temperature=0.7, seed=1))
    for greedy in (Sampling(), Sampling(seed=3, top_k=5), Sampling(temperature=1.0, top_p=0.0)):
        assert make_sampler(greedy) is None
