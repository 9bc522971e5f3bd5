"""The registry: what all clients of a process share."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests.support.policy_harness import target
from unified_llm._core.target import BreakerConfig, Target
from unified_llm._policy.cooldowns import Refusal
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, HealthChange
from unified_llm._policy.target_health import Permit
from unified_llm._state import process_health

A, B = target("alpha/one"), target("beta/two")


def fail(health: Health, where: Target, times: int = 5, now: float = 0.0) -> None:
    for _ in range(times):
        health.record_outcome(where, health.force(where, now), ok=False, weight=1, now=now, draw=0.5)


def test_a_target_that_was_never_seen_may_be_asked() -> None:
    health = Health()
    assert health.ready(A, 0.0)
    assert isinstance(health.admit(A, 0.0), Permit)


def test_targets_with_the_same_place_and_model_share_their_health_and_others_do_not() -> None:
    health = Health()
    fail(health, target(key="sk-1"))
    assert not health.ready(target(key="sk-2"), 1.0)
    assert health.ready(target(base_url="https://west"), 1.0)
    assert health.ready(target("alpha/two"), 1.0)


def test_models_of_a_framework_have_their_health_by_object() -> None:
    health, one, other = Health(), SimpleNamespace(number=1), SimpleNamespace(number=2)
    fail(health, target(instance=one))
    assert not health.ready(target(instance=one), 1.0)
    assert health.ready(target(instance=other), 1.0)


def test_a_refusal_says_until_when_and_why() -> None:
    health = Health()
    fail(health, A)
    assert health.admit(A, 1.0) == Refusal(30.0, "circuit breaker open", wait=False)
    probe = health.admit(A, 31.0)
    assert isinstance(probe, Permit)
    assert health.admit(A, 31.0) == Refusal(31.0, "circuit breaker half-open, its probe is in progress", wait=False)


def test_of_two_cooldowns_the_longer_stays() -> None:
    health = Health()
    health.start_cooldown(A, "target", 50.0, "long", wait=True, now=0.0)
    health.start_cooldown(A, "target", 20.0, "short", wait=False, now=0.0)
    assert health.admit(A, 10.0) == Refusal(50.0, "long", wait=True)
    health.start_cooldown(A, "target", 60.0, "longer", wait=False, now=0.0)
    assert health.admit(A, 10.0) == Refusal(60.0, "longer", wait=False)


def test_a_cooldown_ends_at_its_instant() -> None:
    health = Health()
    health.start_cooldown(A, "rate_limit", 50.0, "rate limited", wait=True, now=0.0)
    assert not health.ready(A, 49.9)
    assert health.ready(A, 50.0)
    assert len(health._cooldowns) == 0


def test_a_cooldown_does_not_take_the_probe() -> None:
    health = Health()
    fail(health, A)
    health.start_cooldown(A, "rate_limit", 50.0, "rate limited", wait=True, now=0.0)
    assert isinstance(health.admit(A, 40.0), Refusal)
    permit = health.admit(A, 51.0)
    assert isinstance(permit, Permit)
    assert permit.probe


def test_a_snapshot_is_a_list_of_plain_dicts() -> None:
    health = Health()
    fail(health, A, times=2)
    fail(health, B, times=5)
    health.spend_retry(A)
    place = {"target": "alpha/one", "provider": "alpha", "model": "one", "host": None}
    breaker = {"state": "closed", "consecutive_failures": 2, "probe_in": None, "retry_in": 0.0, "reason": ""}
    counts = {"calls": 2, "failures": 2, "refused": 0, "retry_budget": 9.0}
    closed_one = place | breaker | counts | {"cooldowns": [], "rate_limit": None, "last_failure": None}
    open_one = closed_one | {"target": "beta/two", "provider": "beta", "model": "two", "calls": 5, "failures": 5}
    open_one |= {"state": "open", "consecutive_failures": 5, "retry_in": 20.0, "probe_in": 20.0, "retry_budget": 10.0}
    open_one |= {"reason": "circuit breaker open"}
    assert health.snapshot(10.0) == [open_one, closed_one]
    half_open = open_one | {"state": "half_open", "retry_in": 0.0, "probe_in": 0.0, "reason": ""}
    assert health.snapshot(40.0)[0] == half_open
    assert isinstance(health.admit(B, 40.0), Permit)
    probing = half_open | {"reason": "circuit breaker half-open, its probe is in progress"}
    assert health.snapshot(40.0)[0] == half_open, "the permit of its probe is lost"
    permit = health.admit(B, 40.0)
    assert health.snapshot(40.0)[0] == probing
    del permit


def test_a_retry_needs_a_token_unless_it_is_free_and_a_breaker_that_is_not_open_by_then() -> None:
    health = Health()
    for _ in range(10):
        assert health.may_retry(A, 0.0, free=False)
        health.spend_retry(A)
    assert not health.may_retry(A, 0.0, free=False)
    assert health.may_retry(A, 0.0, free=True)
    health.spend_retry(A)
    assert health.snapshot(0.0)[0]["retry_budget"] == 0.0
    fail(health, A)
    assert not health.may_retry(A, 29.0, free=True)
    assert health.may_retry(A, 30.0, free=True)


def test_the_budget_is_never_more_than_full() -> None:
    health = Health()
    for _ in range(50):
        health.record_outcome(A, health.force(A, 0.0), ok=True, weight=0, now=0.0, draw=0.5)
    assert health.snapshot(0.0)[0]["retry_budget"] == 10.0


def test_an_outcome_of_a_target_that_was_forgotten_is_dropped() -> None:
    health = Health()
    permit = health.force(A, 0.0)
    health.reset()
    health.record_outcome(A, permit, ok=False, weight=9, now=0.0, draw=0.5)
    assert health.snapshot(0.0) == []


def test_what_is_known_of_others_is_not_lost_with_the_outcome_of_a_target_that_was_forgotten() -> None:
    health = Health()
    gone = health.force(A, 0.0)
    health.reset()
    kept = health.force(B, 0.0)
    health.record_outcome(A, gone, ok=False, weight=1, now=0.0, draw=0.5)
    health.record_outcome(B, kept, ok=False, weight=1, now=0.0, draw=0.5)
    assert [(row["target"], row["consecutive_failures"]) for row in health.snapshot(0.0)] == [("beta/two", 1)]


def test_a_snapshot_rounds_to_milliseconds() -> None:
    health = Health()
    fail(health, A)
    assert health.snapshot(0.12345)[0]["retry_in"] == 29.877


def test_a_reset_forgets_outcomes_breakers_budgets_and_cooldowns() -> None:
    health = Health()
    fail(health, A)
    health.start_cooldown(B, "rate_limit", 50.0, "rate limited", wait=True, now=0.0)
    health.reset()
    assert health.snapshot(0.0) == []
    assert health.ready(A, 1.0)
    assert health.ready(B, 1.0)


def test_changes_of_state_are_reported_without_the_lock() -> None:
    changes: list[tuple[str, str, str]] = []

    def on_change(change: HealthChange) -> None:
        with ThreadPoolExecutor(1) as pool:  # another thread gets the lock, or this never ends
            pool.submit(health.snapshot, 0.0).result(60)
        assert isinstance(change, BreakerChange)
        changes.append((change.target, change.before, change.after))

    health = Health(on_change)
    fail(health, A)
    health.snapshot(1.0)
    permit = health.admit(A, 31.0)
    assert isinstance(permit, Permit)
    health.record_outcome(A, permit, ok=True, weight=0, now=32.0, draw=0.5)
    assert health.ready(A, 33.0)
    assert changes == [("alpha/one", "closed", "open"), ("alpha/one", "half_open", "closed")]


def test_a_callback_in_the_garbage_collector_of_the_thread_that_holds_the_lock_can_look_at_it() -> None:
    health = Health()
    with health._lock:
        done = threading.Thread(target=lambda: None)
        done.start()
        assert health.snapshot(0.0) == []
        done.join()


@pytest.mark.case(47)
def test_of_a_hundred_callers_at_once_one_probes() -> None:
    health = Health()
    fail(health, A)
    gate = threading.Barrier(20)

    def ask(_: int) -> list[Permit | Refusal]:
        gate.wait()
        return [health.admit(A, 40.0) for _ in range(5)]

    with ThreadPoolExecutor(20) as pool:
        answers = [answer for answers in pool.map(ask, range(20)) for answer in answers]
    assert sum(isinstance(answer, Permit) for answer in answers) == 1


def test_many_threads_leave_the_registry_sound() -> None:
    health = Health()
    settings = BreakerConfig(failures=3, cooldown=0.001, cooldown_max=0.002)
    shared = target(breaker=settings)

    def work(seed: int) -> None:
        for step in range(150):
            permit = health.admit(shared, step * 0.001)
            if isinstance(permit, Permit):
                ok = (True, False, None)[(seed + step) % 3]
                health.record_outcome(shared, permit, ok=ok, weight=1, now=step * 0.001, draw=0.5)
            health.spend_retry(shared)
            health.snapshot(step * 0.001)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert 0.0 <= health.snapshot(1e6)[0]["retry_budget"] <= 10.0
    assert health.ready(shared, 1e6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_can_use_the_registry_although_a_thread_of_the_parent_held_its_lock() -> None:
    held, release = threading.Event(), threading.Event()

    def take_lock() -> None:
        with process_health.HEALTH._lock:
            held.set()
            release.wait(60)

    fail(process_health.HEALTH, A)
    thread = threading.Thread(target=take_lock)
    thread.start()
    held.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer interpreters warn of forks beside threads: that is what is tried here
        child = os.fork()
    if child == 0:
        os._exit(0 if [row["state"] for row in process_health.health_snapshot()] == ["half_open"] else 1)
    release.set()
    thread.join()
    assert ended(child) == 0


def ended(child: int) -> int:
    """The exit status of a child that may hang."""
    for _ in range(500):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1
