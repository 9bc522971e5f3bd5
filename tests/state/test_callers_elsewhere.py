"""What one process reports is judged by each process, by the settings of its own callers."""

from __future__ import annotations

from dataclasses import replace

from tests.support.policy_harness import target
from tests.support.redis_in_memory import SimulatedProcess, advance
from unified_llm._core.target import BreakerConfig, Target, Timing

A = target("alpha/one", base_url="https://alpha", key="sk-CANARY-of-alpha")
DAY = BreakerConfig(failures=1, cooldown=86_400.0, cooldown_max=86_400.0)


def waiting(seconds: float) -> Target:
    return replace(A, timing=Timing(first_token=seconds, whole=seconds, fixed=True))


def time_out(process: SimulatedProcess, caller: Target, *, times: int) -> None:
    for _ in range(times):
        permit = process.health.force(caller, process.now)
        limit = caller.timing.whole
        process.health.record_outcome(caller, permit, ok=False, weight=2, limit=limit, now=process.now, draw=0.5)
    process.health.apply_outcomes()


def test_the_thresholds_of_a_client_elsewhere_do_not_keep_others_away(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    hasty = replace(A, breaker=DAY)
    one.record_outcomes(hasty, ok=False)
    assert not one.admits(hasty)
    advance(0.0, other)
    advance(1.0, one, other)
    assert other.admits(A)
    assert not other.admits(hasty)


def test_an_outage_elsewhere_holds_each_caller_for_its_own_cooldown(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    one.record_outcomes(replace(A, breaker=replace(DAY, failures=5)), ok=False, times=5)
    advance(1.0, one, other)
    assert not other.admits(A)
    advance(38.0, other)
    assert other.admits(A)
    assert not other.admits(replace(A, breaker=DAY))


def test_the_impatience_of_a_caller_elsewhere_opens_the_breaker_for_callers_as_impatient(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    time_out(one, waiting(0.05), times=3)
    advance(1.0, one, other)
    assert other.admits(A)
    assert other.admits(waiting(0.06))
    assert not other.admits(waiting(0.05))


def test_what_concerns_fewer_does_not_replace_what_was_published_for_more(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    time_out(one, waiting(60.0), times=3)
    time_out(one, waiting(0.05), times=9)
    advance(1.0, one, other)
    assert not other.admits(waiting(60.0))


def test_what_concerns_more_replaces_what_was_published_for_fewer(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    time_out(one, waiting(0.05), times=3)
    one.record_outcomes(A, ok=False, times=5)
    advance(1.0, one, other)
    assert not other.admits(A)


def test_a_half_of_failures_elsewhere_is_evidence_too(one: SimulatedProcess, other: SimulatedProcess) -> None:
    for _ in range(5):
        one.record_outcomes(A, ok=True)
        one.record_outcomes(A, ok=False)
    assert not one.admits(A)
    advance(1.0, one, other)
    assert not other.admits(A)
