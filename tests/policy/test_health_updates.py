"""A health registry and the updates that it publishes, or applies from other processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from tests.support.each import each
from tests.support.policy_harness import target
from unified_llm._core.target import BreakerConfig, Target
from unified_llm._policy.cooldowns import Refusal
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, HealthChange
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._policy.target_health import Permit, TargetHealth

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


def record_outcomes(
    health: Health, target: Target, *, ok: bool, now: float = 0.0, times: int = 1, shared: bool = True
) -> None:
    for _ in range(times):
        permit = health.force(target, now)
        health.record_outcome(target, permit, ok=ok, weight=1, now=now, draw=0.5, shared=shared)
    health.ready(target, now)


def opened(until: float, trips: int = 1, *, since: float = 0.0, failures: int = 5) -> BreakerOpened:
    return BreakerOpened(A.health_key, since, until, A.name, trips, failures)


def append_to(changes: Changes) -> Callable[[HealthChange], None]:
    def append(change: HealthChange) -> None:
        assert isinstance(change, BreakerChange)
        changes.append((change.target, change.before, change.after))

    return append


def test_a_target_that_was_never_asked_here_is_skipped_when_other_processes_found_it_dead() -> None:
    changes: Changes = []
    health = Health(append_to(changes))
    health.apply_update(opened(30.0), 0.0, 0.0)
    assert health.admit(A, 1.0) == Refusal(30.0, "circuit breaker open", wait=False)
    assert health.snapshot(1.0)[0]["target"] == "alpha/one"
    assert changes == [("alpha/one", "closed", "open")]
    assert isinstance(health.admit(A, 30.0), Permit)


@each(("draw", "until"), [(0.0, 40.0), (0.5, 43.0), (1.0, 46.0)])
def test_whoever_learned_of_an_outage_probes_up_to_a_fifth_later(draw: float, until: float) -> None:
    health = Health()
    health.apply_update(opened(40.0, since=10.0), 10.0, draw)
    refusal = health.admit(A, 11.0)
    assert isinstance(refusal, Refusal)
    assert refusal.until == pytest.approx(until)


def reported(health: TargetHealth, until: float, trips: int, **fields: Any) -> tuple[float | None, int]:
    """Apply a report at the instant 0; return until when a default caller waits, and its trips."""
    health.apply_opened(opened(until, trips, **fields), 0.0, 0.0)
    breaker = health.find_breaker(SETTINGS, 30.0) or health.add_breaker(SETTINGS, 30.0)
    return breaker.open_until, breaker.trips


def test_the_longer_pause_stays() -> None:
    health = TargetHealth(A.name)
    assert reported(health, 60.0, 2) == (60.0, 2)
    assert reported(health, 30.0, 9) == (60.0, 2)
    assert reported(health, 60.0, 9) == (60.0, 2)
    assert reported(health, 65.0, 2) == (65.0, 2)
    assert reported(health, 110.0, 3) == (110.0, 3)


def test_the_next_cooldown_is_as_long_as_where_it_was_learned_from() -> None:
    health = TargetHealth(A.name)
    assert reported(health, 60.0, 2) == (60.0, 2)
    breaker = health.find_breaker(SETTINGS, 30.0)
    assert breaker
    probe = health.admit(breaker, 60.0)
    assert probe
    health.record_outcome(probe, ok=False, weight=1, limit=None, now=60.0, draw=0.5)
    assert breaker.open_until == pytest.approx(60.0 + 120.0)


@each(
    ("until", "trips", "judged"),
    [
        (30.0, 1, (30.0, 1)),
        (24.0, 1, (24.0, 1)),
        (36.0, 1, (36.0, 1)),
        (86_400.0, 1, (36.0, 1)),
        (86_400.0, 900, (360.0, 10)),
        (0.5, 1, (24.0, 1)),
        (1.0, 12, (24.0, 1)),
        (240.0, 4, (240.0, 4)),
        (300.0, 7, (300.0, 5)),
    ],
)
def test_a_cooldown_that_was_learned_of_is_as_long_as_that_of_the_own_settings(
    until: float, trips: int, judged: tuple[float, int]
) -> None:
    assert reported(TargetHealth(A.name), until, trips) == judged


def test_fewer_failures_elsewhere_than_the_own_threshold_open_nothing_but_count() -> None:
    health = TargetHealth(A.name)
    assert reported(health, 30.0, 1, failures=1) == (None, 0)
    assert reported(health, 30.0, 1, failures=4) == (None, 0)
    breaker = health.find_breaker(SETTINGS, 30.0)
    assert breaker
    health.record_outcome(health.force(breaker, 1.0), ok=False, weight=1, limit=None, now=1.0, draw=0.5)
    assert breaker.state(1.0) == "open"


def test_a_timeout_elsewhere_concerns_callers_who_wait_no_longer() -> None:
    health = TargetHealth(A.name)
    update = replace(opened(30.0), limit=10.0)
    health.apply_opened(update, 0.0, 0.0)
    patient, equal, hasty = (health.add_breaker(SETTINGS, limit) for limit in (10.1, 10.0, 0.5))
    assert [breaker.state(0.0) for breaker in (patient, equal, hasty)] == ["closed", "open", "open"]


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
    health.record_outcome(A, before, ok=True, weight=0, now=1.0, draw=0.5)
    assert not health.ready(A, 2.0)
    probe = health.admit(A, 31.0)
    health.apply_update(opened(90.0, trips=2, since=31.0), 31.0, 0.0)
    assert isinstance(probe, Permit)
    health.record_outcome(A, probe, ok=False, weight=1, now=32.0, draw=0.5)
    assert health.snapshot(33.0)[0]["retry_in"] == 57.0
    again = health.admit(A, 90.0)
    assert isinstance(again, Permit)
    assert again.probe


def test_what_was_settled_before_comes_before_what_is_learned() -> None:
    health = Health()
    for _ in range(5):
        health.record_outcome(A, health.force(A, 0.0), ok=False, weight=1, now=0.0, draw=0.5)
    health.apply_update(BreakerClosed(A.health_key, 60.0), 1.0, 0.0)
    assert health.ready(A, 1.0)


def test_a_target_that_answered_others_is_asked_again_and_its_past_is_forgotten() -> None:
    changes: Changes = []
    health = Health(append_to(changes))
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
    health.start_cooldown(A, "api_key", 50.0, "its own", wait=True, now=0.0)
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
    health.start_cooldown(B, "rate_limit", 90.0, "rate limited", wait=True, now=0.0)
    health.start_cooldown(B, "rate_limit", 80.0, "rate limited", wait=True, now=0.0)
    health.apply_update(BreakerOpened(B.health_key, 100.0, 200.0, B.name, 1, 5), 100.0, 0.0)
    health.apply_update(CooldownStarted(B.limit_key, 300.0, "rate limited", wait=True), 100.0, 0.0)
    health.apply_update(BreakerClosed(B.health_key, 160.0), 100.0, 0.0)
    assert publisher.updates == [
        opened(30.0),
        opened(90.0, trips=2, since=30.0),
        BreakerClosed(A.health_key, 160.0),
        CooldownStarted(B.limit_key, 90.0, "rate limited", wait=True),
    ]


def test_what_is_wrong_with_this_process_opens_its_own_breaker_and_is_not_published() -> None:
    health, publisher = Health(), RecordingPublisher()
    health.set_publisher(publisher)
    record_outcomes(health, A, ok=False, times=4)
    record_outcomes(health, A, ok=False, shared=False)  # without it, the target has not failed often enough
    assert health.admit(A, 1.0) == Refusal(30.0, "circuit breaker open", wait=False)
    record_outcomes(health, A, ok=False, now=30.0)  # nor is the next cooldown one of the target
    assert isinstance(health.admit(A, 31.0), Refusal)
    assert publisher.updates == []
    record_outcomes(health, A, ok=True, now=100.0)
    assert publisher.updates == [BreakerClosed(A.health_key, 160.0)]
    record_outcomes(health, A, ok=False, now=200.0, times=5)
    assert publisher.updates[1:] == [opened(230.0, since=200.0)]


def test_a_probe_that_fails_by_itself_is_not_published() -> None:
    health, publisher = Health(), RecordingPublisher()
    health.set_publisher(publisher)
    record_outcomes(health, A, ok=False, times=5)
    record_outcomes(health, A, ok=False, now=30.0, shared=False)
    assert isinstance(health.admit(A, 31.0), Refusal)
    assert publisher.updates == [opened(30.0)]


def test_the_last_outcomes_are_published_without_another_call() -> None:
    changes: Changes = []
    health = Health(append_to(changes))
    publisher = RecordingPublisher()
    health.set_publisher(publisher)
    for _ in range(5):
        health.record_outcome(A, health.force(A, 0.0), ok=False, weight=1, now=0.0, draw=0.5)
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
    health.start_cooldown(A, "rate_limit", 90.0, "rate limited", wait=True, now=0.0)
    assert (publisher.woken, publisher.updates) == (1, [])
