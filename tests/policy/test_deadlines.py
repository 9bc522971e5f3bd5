"""Limits of attempts and of calls, in seconds."""

from __future__ import annotations

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import A, B, limited, target
from tests.support.scripted_targets import Pause, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits, Timing


@pytest.mark.case(50)
def test_a_deadline_that_has_passed_asks_nobody(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")]})
    result = harness.call(A, deadline=0.0)
    assert result.failed
    assert result.failed.expired
    assert result.failed.failures == ()
    assert harness.targets.asked == []


def test_a_target_that_hangs_is_left_when_its_time_is_over_and_the_next_is_asked(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.text == "B"
    assert result.trace.attempts[0].seconds == pytest.approx(60.0)


def test_the_last_target_has_all_the_time_that_is_left(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(200.0), *say("A")]]})
    assert harness.call(A).text == "A"


def test_a_timeout_of_the_users_holds_for_the_last_target_too(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(200.0), *say("A")]]})
    result = harness.call(target(timing=Timing(whole=5.0, fixed=True), retry=RetryLimits(limit=0)))
    assert result.outcomes == [("alpha/one", "timeout")]
    assert result.trace.attempts[0].seconds == pytest.approx(5.0)


def test_no_call_lasts_longer_than_its_deadline(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [[Pause()]]})
    began = harness.targets.clock
    result = harness.call(A, B, deadline=70.0)
    assert result.failed
    assert result.failed.expired
    assert harness.targets.clock - began == pytest.approx(70.0)


def test_a_deadline_shorter_than_the_targets_own_limit_says_nothing_of_its_health(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]]})
    for _ in range(5):
        harness.call(A, deadline=2.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 0


def test_a_target_that_had_exactly_its_own_limit_and_hung_is_ill(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]]})
    harness.call(A, streaming=True, deadline=30.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 2


def test_a_target_that_hangs_to_the_end_of_a_long_deadline_is_ill(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]]})
    harness.call(A, deadline=120.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 1


@each(
    ("streaming", "reasoning", "fixed", "weight"),
    [
        (True, False, False, 2),
        (True, True, False, 1),
        (False, False, False, 1),
        (False, True, False, 1),
        (True, True, True, 2),
        (False, False, True, 2),
    ],
)
def test_a_default_limit_that_may_be_too_short_for_a_long_answer_counts_once(
    make_harness: MakeHarness, *, streaming: bool, reasoning: bool, fixed: bool, weight: int
) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    slow = target(reasoning=reasoning, timing=Timing(fixed=fixed))
    assert harness.call(slow, B, streaming=streaming).text == "B"
    assert harness.known("alpha/one")["consecutive_failures"] == weight


def test_a_timeout_that_a_target_reports_of_itself_counts_before_any_limit_of_ours(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(3.0), Failure("timeout")]], "beta/two": [say("B")]})
    harness.call(A, B)
    assert harness.known("alpha/one")["consecutive_failures"] == 2


def test_a_backoff_that_does_not_fit_is_not_begun(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(30.0)], "beta/two": [limited(30.0)]})
    result = harness.call(A, B, deadline=20.0)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "rate_limit")]
    assert harness.targets.slept == []


def test_a_lone_target_whose_cooldown_lasts_beyond_the_deadline_is_asked_at_once(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(50.0), say("A")]})
    harness.call(A, deadline=10.0)
    assert harness.call(A, deadline=10.0).text == "A"
    assert harness.targets.slept == []


def test_a_call_without_a_deadline_waits_for_the_last_target_for_ever(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(1e7), *say("A")]]})
    assert harness.call(A, deadline=float("inf")).text == "A"
