"""What a call records: the order of its attempts and of the targets it skipped, and why a breaker changed."""

from __future__ import annotations

import pytest

from tests.support.policy_harness import DEAD, A, B, C, HedgeHarness, PolicyHarness, limited, target, trip
from tests.support.scripted_targets import Attempt, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import BreakerConfig, RetryLimits
from unified_llm._policy.health import Health
from unified_llm._policy.health_changes import BreakerChange, HealthChange, LastFailure
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened
from unified_llm._policy.trace import Trace

X, Y, Z = target("x/one"), target("y/two"), target("z/three")
NO_RETRY = Failure("model_not_found", 404)


def records(trace: Trace) -> list[tuple[str, str, str | None]]:
    return [(attempt.target, attempt.outcome, attempt.reason) for attempt in trace.attempts]


# Targets that cannot serve a request


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_target_that_cannot_serve_the_request_is_recorded_where_the_call_passes_it(mode: str) -> None:
    harness = PolicyHarness(
        {A.name: [NO_RETRY], B.name: [NO_RETRY], C.name: [say("C")]}, "sync" if mode == "sync" else "async"
    )
    result = harness.call(A, B, C, incapable={1: [(X, "no tools"), (Y, "no images")], 2: [(Z, "no audio")]})
    assert records(result.trace) == [
        (A.name, "model_not_found", None),
        (X.name, "skipped", "no tools"),
        (Y.name, "skipped", "no images"),
        (B.name, "model_not_found", None),
        (Z.name, "skipped", "no audio"),
        (C.name, "ok", None),
    ]


def test_one_at_the_start_is_recorded_first_and_one_that_no_attempt_reached_last() -> None:
    harness = PolicyHarness({A.name: [say("A")]})
    result = harness.call(A, B, incapable={0: [(X, "no tools")], 1: [(Y, "no tools")], 2: [(Z, "no tools")]})
    assert [name for name, _, _ in records(result.trace)] == [X.name, A.name, Y.name, Z.name]


def test_each_is_recorded_once_however_often_the_call_passes_it() -> None:
    harness = PolicyHarness({A.name: [DEAD], B.name: [limited(1.0), DEAD]})
    result = harness.call(A, B, incapable={0: [(X, "no tools")], 1: [(Y, "no tools")]})
    assert len(harness.targets.asked) > 3
    assert [name for name, outcome, _ in records(result.trace) if outcome == "skipped"] == [X.name, Y.name]


def test_one_before_a_target_that_is_left_out_is_recorded_before_it() -> None:
    harness = PolicyHarness({A.name: [NO_RETRY], B.name: [say("never")], C.name: [say("C")]})
    trip(harness, B.name)
    result = harness.call(A, B, C, incapable={1: [(X, "no tools")], 2: [(Y, "no tools")]})
    assert records(result.trace) == [
        (A.name, "model_not_found", None),
        (X.name, "skipped", "no tools"),
        (B.name, "skipped", "circuit breaker open"),
        (Y.name, "skipped", "no tools"),
        (C.name, "ok", None),
    ]


def test_a_hedged_call_records_them_too() -> None:
    harness = HedgeHarness({A.name: [say("A")]})
    result = harness.call(A, B, incapable={0: [(X, "no tools")]})
    assert [name for name, _, _ in records(result.trace)] == [X.name, A.name]


# Fields of an attempt


def test_an_attempt_says_for_how_long_its_server_asked_not_to_be_called() -> None:
    harness = PolicyHarness({A.name: [limited(7.0)], B.name: [say("B")]})
    first, second = harness.call(A, B).trace.attempts
    assert (first.retry_after, second.retry_after) == (7.0, None)
    assert str(first) == "rate limited for 7 s, HTTP 429"


# Changes of a breaker


def test_a_breaker_that_opens_says_after_what_and_until_when() -> None:
    harness = PolicyHarness({A.name: [DEAD]})
    while not harness.breaker_changes:
        harness.call(A)
        harness.health.apply_outcomes()
    cause = LastFailure("server", 503, "HTTP 503", harness.targets.clock)
    assert harness.breaker_changes == [BreakerChange(A.name, "closed", "open", 5, cause=cause, probe_in=30.0)]


def test_a_breaker_opened_by_timeouts_counts_each_once() -> None:
    harness = PolicyHarness({A.name: [Failure("timeout")]})
    while not harness.breaker_changes:
        harness.call(target(A.name, retry=RetryLimits(0)))
        harness.health.apply_outcomes()
    assert [(change.failures, change.within) for change in harness.breaker_changes] == [(3, None)]


def test_a_breaker_opened_by_its_rate_of_failures_says_within_what_time() -> None:
    attempts: list[Attempt] = [DEAD, say("A")]
    harness = PolicyHarness({A.name: attempts * 10})
    while not harness.breaker_changes:
        harness.call(target(A.name, retry=RetryLimits(0)))
        harness.health.apply_outcomes()
    assert [(change.failures, change.within) for change in harness.breaker_changes] == [(6, 60.0)]


def test_a_breaker_that_closes_has_no_cause_and_no_probe() -> None:
    harness = PolicyHarness({A.name: [say("A")]})
    trip(harness, A.name)
    harness.wait(60.0)
    harness.call(A)
    harness.health.apply_outcomes()
    assert harness.breaker_changes[-1] == BreakerChange(A.name, "half_open", "closed")


def test_a_probe_that_fails_is_a_change_with_its_own_cause_and_twice_the_cooldown() -> None:
    harness = PolicyHarness({A.name: [Failure("timeout")]})
    trip(harness, A.name)
    harness.wait(60.0)
    harness.call(A)
    harness.health.apply_outcomes()
    change = harness.breaker_changes[-1]
    assert (change.before, change.after) == ("half_open", "open")
    assert change.probe_in == pytest.approx(60.0)
    assert change.cause
    assert change.cause.sentence.startswith("timed out after")


def test_a_probe_may_be_due_in_less_than_a_second() -> None:
    quick = target(A.name, breaker=BreakerConfig(failures=1, cooldown=0.5))
    harness = PolicyHarness({A.name: [DEAD]})
    harness.call(quick)
    harness.health.apply_outcomes()
    assert harness.breaker_changes[0].probe_in == pytest.approx(0.5)


def test_a_change_learned_from_another_process_says_so() -> None:
    changes: list[HealthChange] = []
    health = Health(changes.append)
    seen = LastFailure("server", 503, "HTTP 503", 99.0, elsewhere=True)
    health.apply_update(BreakerOpened(A.health_key, 100.0, 130.0, A.name, 1, 5, None, seen), 100.0, 0.0)
    health.apply_update(BreakerClosed(A.health_key, 160.0), 110.0, 0.0)
    assert changes == [
        BreakerChange(A.name, "closed", "open", cause=seen, probe_in=30.0, elsewhere=True),
        BreakerChange(A.name, "open", "closed", elsewhere=True),
    ]
