"""The registry against a second implementation, with several kinds of callers and a clock that goes back."""

from __future__ import annotations

import pytest

from tests.support import breaker_model
from tests.support.thorough import THOROUGH

pytestmark = pytest.mark.thorough

RUNS, STEPS, PARTS = 100 if THOROUGH else 32, 200, 4


@pytest.mark.parametrize("part", range(PARTS))
def test_a_naive_implementation_judges_each_step_alike_and_never_sees_two_probes_at_once(part: int) -> None:
    runs = RUNS // PARTS
    breaker_model.compare(runs=runs, steps=STEPS, seed=part * runs)
