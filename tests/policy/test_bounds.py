"""The registry is bounded, whatever names users make up, and keeps what holds requests back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.lines import count_lines
from tests.support.policy_harness import target
from unified_llm._core.target import BreakerConfig, Target
from unified_llm._policy.health import Health

pytestmark = pytest.mark.thorough

MANY = 100_000
MOST = 4096
A = target("alpha/one", base_url="https://alpha", key="sk-1")


def made_up(number: int, **fields: Any) -> Target:
    return target(f"made-up/{number}", **fields)


def fail(health: Health, where: Target, now: float = 0.0) -> None:
    for _ in range(where.breaker.failures):
        health.record_outcome(where, health.force(where, now), ok=False, weight=1, now=now, draw=0.5)
    assert not health.ready(where, now)


def test_open_breakers_outlast_a_hundred_thousand_made_up_models_at_constant_cost() -> None:
    health = Health()
    dead = [target(f"dead/{number}") for number in range(100)]
    for each in dead:
        fail(health, each)
    table = health._targets
    for number in range(MOST):
        table.use(number, "made up")
    first = count_lines(lambda: [table.use(number, "made up") for number in range(MOST, MOST + 500)])
    for number in range(MOST + 500, MANY):
        table.use(number, "made up")
    last = count_lines(lambda: [table.use(number, "made up") for number in range(MANY, MANY + 500)])
    assert not any(health.ready(each, 29.0) for each in dead)
    assert len(health.snapshot(2.0)) == MOST
    assert last < 1.5 * first < 500 * 100


def test_of_closed_targets_the_least_recently_used_one_is_forgotten_first() -> None:
    health = Health()
    for number in range(5):
        assert health.ready(A, 0.0)
        health.record_outcome(A, health.force(A, 0.0), ok=False, weight=1, now=0.0, draw=0.5)
        for other in range(MOST - 1):
            health._targets.use((number, other), "made up")
    assert not health.ready(A, 0.0), "five failures are remembered"
    health._targets.use("one more", "made up")
    assert not health.ready(A, 1.0), "an open breaker is not forgotten"


def test_a_closed_target_that_is_used_no_more_is_forgotten() -> None:
    health = Health()
    health.record_outcome(A, health.force(A, 0.0), ok=False, weight=4, now=0.0, draw=0.5)
    for other in range(MOST):
        health._targets.use(other, "made up")
    health.record_outcome(A, health.force(A, 1.0), ok=False, weight=4, now=1.0, draw=0.5)
    assert health.ready(A, 1.0)


def test_a_flood_of_dead_targets_leaves_the_others_their_health() -> None:
    health, hasty = Health(), BreakerConfig(failures=1)
    health.record_outcome(A, health.force(A, 0.0), ok=False, weight=4, now=0.0, draw=0.5)
    for number in range(MOST + 500):
        fail(health, made_up(number, breaker=hasty), now=1.0 + number / 1000)
        if number % 500 == 0:
            health.ready(A, 1.0)
    rows = health.snapshot(10.0)
    assert len(rows) <= MOST
    assert sum(row["state"] == "open" for row in rows) == MOST * 3 // 4
    health.record_outcome(A, health.force(A, 10.0), ok=False, weight=1, now=10.0, draw=0.5)
    assert not health.ready(A, 10.0)


def test_of_open_breakers_the_one_whose_cooldown_ends_first_is_forgotten_first() -> None:
    health, long = Health(), BreakerConfig(failures=1, cooldown=3000.0, cooldown_max=3000.0)
    short = target("alpha/short", breaker=BreakerConfig(failures=1, cooldown=1.0))
    fail(health, short)
    for number in range(MOST * 3 // 4):
        fail(health, made_up(number, breaker=long))
    assert "alpha/short" not in {row["target"] for row in health.snapshot(0.0)}


def test_a_breaker_that_closes_makes_room_as_any_closed_one() -> None:
    health = Health()
    fail(health, A)
    health.record_outcome(A, health.force(A, 1.0), ok=True, weight=0, now=1.0, draw=0.5)
    health.apply_outcomes()
    for number in range(MOST + 1):
        health._targets.use(number, "made up")
    names = {row["target"] for row in health.snapshot(1.0)}
    assert "alpha/one" not in names


def test_running_cooldowns_outlast_a_hundred_thousand_short_ones_at_constant_cost() -> None:
    health = Health()
    health.start_cooldown(A, "api_key", 300.0, "its API key was refused (auth)", wait=False, now=0.0)

    def start(numbers: range) -> None:
        for number in numbers:
            health._cooldowns.start(("made up", number), 1.0 + number / MANY, "rate limited", wait=True, now=0.0)

    start(range(MOST))
    first = count_lines(lambda: start(range(MOST, MOST + 500)))
    start(range(MOST + 500, MANY))
    last = count_lines(lambda: start(range(MANY, MANY + 500)))
    assert len(health._cooldowns) == MOST
    assert not health.ready(A, 299.0)
    assert last < 1.5 * first < 500 * 100


def test_a_hundred_thousand_refused_keys_hold_no_more_than_four_thousand_places() -> None:
    health = Health()
    for number in range(MANY):
        health._cooldowns.start(("alpha", number), 300.0 + number, "its quota is used up", wait=False, now=number)
    assert len(health._cooldowns) == MOST
