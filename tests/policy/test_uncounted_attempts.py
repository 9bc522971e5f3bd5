"""Attempts that count for no limit: one that got no connection, and one whose kept connection was closed."""

from __future__ import annotations

from tests.policy.conftest import MakeHarness
from tests.support.policy_harness import DEAD, A, B, C, target, trip
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits

STALE, BROKEN = Failure("stale"), Failure("connection")
BUSY: Attempt = [Pause(5.0), Failure("pool")]
NO_RETRIES = RetryLimits(limit=0)


def test_a_stale_request_is_sent_again_at_once_and_both_attempts_are_listed(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [STALE, say("A")], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "stale"), ("alpha/one", "ok")]
    assert harness.targets.slept == []
    first, second = result.trace.attempts
    assert first.maybe_billed
    assert str(first) == "a kept connection was closed before any response"
    assert not second.retry


def test_sending_again_is_outside_the_users_limit_and_costs_nothing(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [STALE, say("A")]})
    for _ in range(10):
        harness.health.spend_retry(A)
    assert harness.call(target(retry=NO_RETRIES)).text == "A"
    assert harness.known("alpha/one")["consecutive_failures"] == 0


def test_a_request_is_sent_again_once(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [STALE], "beta/two": [say("B")]})
    result = harness.call(target(retry=NO_RETRIES), B)
    assert result.outcomes == [("alpha/one", "stale")] * 2 + [("beta/two", "ok")]


def test_a_request_that_is_sent_again_and_fails_is_retried_as_usual(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [STALE, DEAD, STALE, say("A")]})
    result = harness.call(target(retry=RetryLimits(limit=1)))
    assert [outcome for _, outcome in result.outcomes] == ["stale", "server", "stale", "ok"]


def test_a_probe_that_finds_a_stale_connection_probes_again(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [STALE, say("A")], "beta/two": [say("B")]})
    trip(harness, "alpha/one")
    harness.wait(60.0)
    assert harness.call(A, B).text == "A"
    assert harness.known("alpha/one")["state"] == "closed"


def test_a_stream_that_has_begun_is_never_sent_again(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [["A ", STALE], say("A")], "beta/two": [say("B")]})
    result = harness.call(A, B, streaming=True)
    assert result.failed
    assert result.failed.committed
    assert harness.targets.names == ["alpha/one"]


def test_a_call_that_gets_no_connection_fails_over(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BUSY], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "pool"), ("beta/two", "ok")]
    assert harness.targets.names == ["alpha/one", "beta/two"]


def test_where_nothing_else_is_left_a_connection_is_waited_for_until_the_deadline(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [*[BUSY] * 50, say("A")]})
    result = harness.call(target(retry=NO_RETRIES), deadline=300.0)
    assert result.text == "A"
    assert harness.targets.clock > 1250.0
    assert result.outcomes == [("alpha/one", "pool"), ("alpha/one", "ok")]
    assert result.trace.attempts[0].seconds > 250.0
    assert result.trace.attempt_count == 2


def test_the_wait_ends_with_the_deadline(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BUSY]})
    result = harness.call(A, deadline=60.0)
    assert result.failed
    assert result.outcomes[0] == ("alpha/one", "pool")
    assert 1055.0 < harness.targets.clock <= 1060.0


def test_a_busy_target_is_asked_again_once_the_others_have_failed(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BUSY, BUSY, BUSY, say("A")], "beta/two": [DEAD], "gamma/three": [DEAD]})
    result = harness.call(target("alpha/one", retry=NO_RETRIES), B, C)
    assert result.text == "A"
    assert {outcome for name, outcome in result.outcomes if name != "alpha/one"} == {"server"}


def test_of_two_busy_targets_the_first_that_has_a_connection_answers(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BUSY], "beta/two": [*[BUSY] * 20, say("B")]})
    result = harness.call(A, B)
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "pool"), ("beta/two", "pool"), ("beta/two", "ok")]
    assert result.trace.attempts[0].seconds > 90.0


def test_a_target_that_was_never_asked_is_asked_before_another_wait(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [BUSY], "beta/two": [say("B")]})
    trip(harness, "beta/two")
    assert harness.call(A, B).text == "B"
    assert harness.targets.names[-2:] == ["alpha/one", "beta/two"]


def test_waits_for_a_connection_leave_the_attempts_of_the_call_to_others(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [*[BUSY] * 9, DEAD], "beta/two": [*[BUSY] * 9, DEAD]})
    assert harness.call(A, B).failed
    assert harness.targets.names.count("alpha/one") + harness.targets.names.count("beta/two") > 20
    assert harness.known("alpha/one")["consecutive_failures"] <= 3
