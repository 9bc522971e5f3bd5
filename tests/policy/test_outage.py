"""An outage of three minutes, as users live through it: the policy's defaults, held to bounds.

The bounds are some 20 % above what the simulation gives (``python -m benchmarks.outage`` prints that), so that a change
which makes an outage worse for people, or for the provider that is down, fails here.
"""

from __future__ import annotations

import pytest

from tests.support.outage_simulation import DEFAULT_BREAKER, FALLBACK, NO_BREAKER, PRIMARY, Mode, Outage, simulate
from unified_llm._core.target import BreakerConfig

pytestmark = pytest.mark.thorough

# How the primary fails, and calls a second: seconds to the first chunk (half of the calls, 99 % of them), and requests
# to the primary for each call. Calls that are rare learn little from one another, so they fare worst.
BOUNDS: dict[tuple[Mode, float], tuple[float, float, float]] = {
    ("refuse", 0.05): (1.4, 4.0, 0.9),
    ("refuse", 1.0): (1.1, 3.2, 0.08),
    ("refuse", 10.0): (1.1, 3.2, 0.02),
    ("hang", 0.05): (32.0, 35.0, 0.7),
    ("hang", 1.0): (1.2, 34.0, 0.2),
    ("hang", 10.0): (1.2, 34.0, 0.23),
    ("brown-out", 0.05): (2.1, 7.0, 1.6),
    ("brown-out", 1.0): (1.2, 4.8, 0.34),
    ("brown-out", 10.0): (1.1, 3.2, 0.04),
}
# Rare calls need more runs until there are enough of them.
SEEDS = {0.05: range(40), 1.0: range(4), 10.0: range(1)}


@pytest.mark.parametrize(("mode", "rate"), BOUNDS)
def test_every_call_is_answered_soon_and_a_dead_primary_is_skipped(mode: Mode, rate: float) -> None:
    traffic = simulate(Outage(mode, rate), *SEEDS[rate])
    outage = traffic.during
    half, nearly_all, asked = BOUNDS[mode, rate]
    assert len(outage.calls) > 300
    assert traffic.answered == 1.0
    assert outage.waited(0.5) < half
    assert outage.waited(0.99) < nearly_all
    assert outage.waited(1.0) < 40.0
    assert outage.asked(PRIMARY) < asked
    assert outage.asked(FALLBACK) < 1.05


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", ["refuse", "hang", "brown-out"])
def test_a_primary_that_is_well_again_is_found_within_its_cooldown(mode: Mode, seed: int) -> None:
    traffic = simulate(Outage(mode, rate=1.0, after=320.0), seed)
    assert traffic.opened[PRIMARY] == 1 or mode == "brown-out"
    # Pauses of 30, 60, 120 and 240 s, drawn up to a fifth longer.
    assert traffic.recovered < 1.2 * 240.0
    later = [call for call in traffic.calls if call.began > traffic.outage.ends + traffic.recovered + 10.0]
    assert sum(call.served == PRIMARY for call in later) / len(later) > 0.9


def test_without_the_breaker_every_call_would_wait_for_a_primary_that_hangs() -> None:
    outage = simulate(Outage("hang", rate=1.0, breaker=NO_BREAKER), 1).during
    assert outage.answered == 1.0
    assert outage.waited(0.5) > 20.0
    assert outage.asked(PRIMARY) == 1.0


@pytest.mark.parametrize(("flaky", "most"), [(0.05, 0.0), (0.1, 0.4), (0.2, 1.5)])
def test_random_failures_seldom_open_the_breaker_of_a_healthy_target(flaky: float, most: float) -> None:
    """In 15 minutes of one call a second."""
    seeds = range(6)
    traffic = simulate(Outage("healthy", rate=1.0, begins=0.0, lasts=900.0, after=0.0, flaky=flaky), *seeds)
    assert traffic.opened.get(PRIMARY, 0) / len(seeds) <= most
    assert traffic.answered > 0.99
    assert traffic.asked(PRIMARY) < 1.0 + 1.2 * flaky


@pytest.mark.parametrize("breaker", [DEFAULT_BREAKER, NO_BREAKER], ids=["breaker", "no breaker"])
def test_retries_do_not_multiply_the_load_on_the_only_target(breaker: BreakerConfig) -> None:
    outage = simulate(Outage("refuse", rate=1.0, chain=[PRIMARY], breaker=breaker), 1, 2, 3).during
    assert outage.answered == 0.0
    assert 1.0 < outage.asked(PRIMARY) < 1.1


def test_a_seed_gives_the_same_traffic_again() -> None:
    first, again, another = (simulate(Outage("brown-out", rate=1.0), seed) for seed in (3, 3, 4))
    assert first.calls == again.calls
    assert first.calls != another.calls
