"""Calls that get random HTTP responses, in fake time; the attacks of ``integration_tests`` play many more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.random_responses import play_all
from tests.support.response_grammar import make

pytestmark = pytest.mark.thorough

SEEDS = Path(__file__).parents[2] / "fixtures" / "fuzz_seeds.txt"


def recorded_seeds() -> list[int]:
    """Return the seeds that once broke a promise."""
    lines = SEEDS.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def test_a_seed_makes_the_same_response_again() -> None:
    for seed in range(50):
        assert make(seed) == make(seed)


def test_half_of_the_responses_have_nothing_wrong_or_little() -> None:
    made = [make(seed) for seed in range(400)]
    assert 30 < sum(response.clean for response in made) < 300
    assert {response.format for response in made} == {
        "openai_chat", "anthropic", "gemini", "ollama", "cohere", "openai_responses",
    }  # fmt: skip


@pytest.mark.parametrize("seed", recorded_seeds())
def test_a_response_that_once_broke_a_promise_breaks_none(seed: int) -> None:
    assert play_all([seed]) == []


@pytest.mark.parametrize("first", [0, 1000, 2000, 3000])
def test_a_random_response_is_an_answer_or_an_error_and_the_next_call_gets_its_own(first: int) -> None:
    assert play_all(range(first, first + 40)) == []
