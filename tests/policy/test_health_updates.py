"""A health registry and the updates that it publishes, or applies from other processes."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from tests.support.policy_harness import target
from unified_llm._core.target import BreakerConfig, Target
from unified_llm._policy.breaker import CircuitBreaker, Permit
from unified_llm._policy.health import Health, Refusal
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate

A, B = target("alpha/one", base_url="https://alpha"), target("beta/two", base_url="https://beta")
SETTINGS = BreakerConfig()
Changes: TypeAlias = list[tuple[str, str, str]]


class RecordingPublisher:
    """Publisher that records updates."""

    def __init__(self) -> None:
        self.updates: list[HealthUpdate] = []
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def publish(self, update: HealthUpdate) -> None:
        self.updates.append(update)


def record_outcomes(health: Health, target: Target, *, ok: bool, now: float = 0.0, times: int = 1) -> None:
    for _ in range(times):
        health.record_outcome(target, health.force(target, now), ok=ok, weight=1, first_try=True, now=now, draw=0.5)
    health.ready(target, now)


def opened(until: float, trips: int = 1) -> BreakerOpened:
    return BreakerOpened(A.health_key, until, A.name, trips)


def test_a_target_that_was_never_asked_here_is_skipped_when_other_processes_found_it_dead() -> None:
    changes: Changes = []
    health = Health(lambda change: changes.append((change.target, change.before, change.after)))
    health.apply_update(opened(30.0), 0.0, 0.0)
    assert health.admit(A, 1.0) == Refusal(30.0, "breaker open", wait=False)
    assert health.snapshot(1.0)[0]["target"] == "alpha/one"
    assert changes == [("alpha/one", "closed", "open")]
    assert isinstance(health.admit(A, 30.0), Permit)


@pytest.mark.parametrize(("draw", "until"), [(0.0, 40.0), (0.5, 43.0), (1.0, 46.0)])
def test_whoever_learned_of_an_outage_probes_up_to_a_fifth_later(draw: float, until: float) -> None:
    health = Health()
    health.apply_update(opened(40.0), 10.0, draw)
    refusal = health.admit(A, 11.0)
    assert isinstance(refusal, Refusal)
    assert refusal.until == pytest.approx(until)


def test_the_longer_pause_stays() -> None:
    breaker = CircuitBreaker()
    breaker.apply_remote_open(40.0, 2)
    breaker.apply_remote_open(30.0, 9)
    assert (breaker.open_until, breaker.trips) == (40.0, 2)
    breaker.apply_remote_open(40.0, 9)
    assert breaker.trips == 2
    breaker.apply_remote_open(41.0, 1)
    assert (breaker.open_until, breaker.trips) == (41.0, 2)
    breaker.apply_remote_open(42.0, 3)
    assert breaker.trips == 3


def test_the_next_cooldown_is_as_long_as_where_it_was_learned_from() -> None:
    breaker = CircuitBreaker()
    breaker.apply_remote_open(40.0, 2)
    probe = breaker.admit(40.0)
    assert probe
    breaker.record_outcome(probe, ok=False, weight=1, now=40.0, settings=SETTINGS, draw=0.5)
    assert breaker.open_until == pytest.approx(40.0 + 120.0)


def test_earlier_outages_do_not_count_for_one_that_is_learned_of() -> None:
    health = Health()
    health.apply_update(opened(30.0, 5), 0.0, 0.0)
    record_outcomes(health, A, ok=True)
    health.apply_update(opened(30.0, 1), 0.0, 0.0)
    record_outcomes(health, A, ok=False, now=30.0)
    assert health.snapshot(30.0)[0]["retry_in"] == 60.0


def test_what_was_under_way_when_an_outage_was_learned_of_moves_nothing() -> None:
    health = Health()
    before = health.admit(A, 0.0)
    assert isinstance(before, Permit)
    health.apply_update(opened(30.0), 0.0, 0.0)
    health.record_outcome(A, before, ok=True, weight=0, first_try=True, now=1.0, draw=0.5)
    assert not health.ready(A, 2.0)
    probe = health.admit(A, 31.0)
    health.apply_update(opened(90.0), 31.0, 0.0)
    assert isinstance(probe, Permit)
    health.record_outcome(A, probe, ok=False, weight=1, first_try=True, now=32.0, draw=0.5)
    assert health.snapshot(33.0)[0]["retry_in"] == 57.0
    again = health.admit(A, 90.0)
    assert isinstance(again, Permit)
    assert again.probe


def test_what_was_settled_before_comes_before_what_is_learned() -> None:
    health = Health()
    for _ in range(5):
        health.record_outcome(A, health.force(A, 0.0), ok=False, weight=1, first_try=True, now=0.0, draw=0.5)
    health.apply_update(BreakerClosed(A.health_key, 60.0), 1.0, 0.0)
    assert health.ready(A, 1.0)


def test_a_target_that_answered_others_is_asked_again_and_its_past_is_forgotten() -> None:
    changes: Changes = []
    health = Health(lambda change: changes.append((change.target, change.before, change.after)))
    record_outcomes(health, A, ok=False, times=5)
    health.apply_update(BreakerClosed(A.health_key, 60.0), 1.0, 0.0)
    assert changes == [("alpha/one", "closed", "open"), ("alpha/one", "open", "closed")]
    record_outcomes(health, A, ok=False, times=4, now=2.0)
    assert health.ready(A, 2.0)


def test_that_a_target_answered_others_does_not_forgive_what_a_closed_breaker_counts() -> None:
    health = Health()
    record_outcomes(health, A, ok=False, times=4)
    health.apply_update(BreakerClosed(A.health_key, 60.0), 1.0, 0.0)
    record_outcomes(health, A, ok=False, now=2.0)
    assert not health.ready(A, 2.0)


def test_a_success_elsewhere_of_a_target_that_is_not_known_here_changes_nothing() -> None:
    health = Health()
    health.apply_update(BreakerClosed(A.health_key, 60.0), 0.0, 0.0)
    assert health.snapshot(0.0) == []


def test_of_two_cooldowns_of_one_key_the_longer_stays() -> None:
    health = Health()
    health.start_cooldown(A.credentials_key, 50.0, "its own", wait=True)
    health.apply_update(CooldownStarted(A.credentials_key, 40.0, "learned", wait=False), 0.0, 0.0)
    assert health.admit(A, 1.0) == Refusal(50.0, "its own", wait=True)
    health.apply_update(CooldownStarted(A.credentials_key, 60.0, "learned", wait=False), 0.0, 0.0)
    assert health.admit(A, 1.0) == Refusal(60.0, "learned", wait=False)


def test_what_happens_here_is_published_in_order_and_what_comes_from_others_is_not() -> None:
    health, publisher = Health(), RecordingPublisher()
    health.set_publisher(publisher)
    record_outcomes(health, A, ok=False, times=5)
    record_outcomes(health, A, ok=False, now=30.0)
    record_outcomes(health, A, ok=True, now=100.0)
    health.start_cooldown(B.limit_key, 90.0, "rate limited", wait=True)
    health.start_cooldown(B.limit_key, 80.0, "rate limited", wait=True)
    health.apply_update(BreakerOpened(B.health_key, 200.0, B.name, 1), 100.0, 0.0)
    health.apply_update(CooldownStarted(B.limit_key, 300.0, "rate limited", wait=True), 100.0, 0.0)
    health.apply_update(BreakerClosed(B.health_key, 160.0), 100.0, 0.0)
    assert publisher.updates == [
        opened(30.0),
        opened(90.0, trips=2),
        BreakerClosed(A.health_key, 160.0),
        CooldownStarted(B.limit_key, 90.0, "rate limited", wait=True),
    ]


def test_the_last_outcomes_are_published_without_another_call() -> None:
    changes: Changes = []
    health = Health(lambda change: changes.append((change.target, change.before, change.after)))
    publisher = RecordingPublisher()
    health.set_publisher(publisher)
    for _ in range(5):
        health.record_outcome(A, health.force(A, 0.0), ok=False, weight=1, first_try=True, now=0.0, draw=0.5)
    assert publisher.updates == []
    health.apply_outcomes()
    assert publisher.updates == [opened(30.0)]
    assert changes == [("alpha/one", "closed", "open")]


def test_a_publisher_is_woken_by_calls_and_gets_nothing_once_it_is_removed() -> None:
    health, publisher = Health(), RecordingPublisher()
    health.set_publisher(publisher)
    health.admit(A, 0.0)
    assert publisher.woken == 1
    health.set_publisher(None)
    record_outcomes(health, A, ok=False, times=5)
    health.admit(A, 0.0)
    health.start_cooldown(A.limit_key, 90.0, "rate limited", wait=True)
    assert (publisher.woken, publisher.updates) == (1, [])
