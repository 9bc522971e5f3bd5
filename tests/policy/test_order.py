"""Which target is tried, how often, and how soon again."""

from __future__ import annotations

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.policy_harness import DEAD, A, B, limited, target, trip
from tests.support.scripted_targets import say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import BreakerConfig, RetryLimits

# Order and retries


def test_the_first_target_that_answers_is_the_last_that_is_asked(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [say("A")], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.text == "A"
    assert harness.targets.names == ["alpha/one"]
    assert result.trace.served is A


def test_targets_are_asked_in_the_users_order_whatever_happened_before(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD, DEAD, say("A")], "beta/two": [say("B")]})
    assert harness.call(A, B).text == "B"
    assert harness.call(A, B).text == "A"


def test_a_transient_error_is_retried_once_while_another_target_is_ready_and_twice_on_the_last(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [DEAD]})
    result = harness.call(A, B)
    assert harness.targets.names == ["alpha/one"] * 2 + ["beta/two"] * 3
    assert result.failed
    assert [each.name for each, _ in result.failed.failures] == ["alpha/one", "beta/two"]
    assert not result.failed.expired


def test_no_retries_are_made_where_the_user_wants_none(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [DEAD]})
    harness.call(target(retry=RetryLimits(limit=0)), target("beta/two", retry=RetryLimits(limit=0)))
    assert harness.targets.names == ["alpha/one", "beta/two"]
    assert harness.targets.slept == []


def test_the_users_number_of_retries_holds_beside_others_as_well_as_alone(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [DEAD]})
    harness.call(target(retry=RetryLimits(limit=3)), target("beta/two", retry=RetryLimits(limit=1)))
    assert harness.targets.names == ["alpha/one"] * 4 + ["beta/two"] * 2


def test_a_call_makes_at_most_six_attempts(make_harness: MakeHarness) -> None:
    names = [f"provider{number}/model" for number in range(4)]
    harness = make_harness({key: [DEAD] for key in names})
    harness.call(*(target(name) for name in names))
    assert harness.targets.names == [names[0]] * 2 + [names[1]] * 2 + names[2:]


def test_every_one_of_many_targets_is_asked_once(make_harness: MakeHarness) -> None:
    names = [f"provider{number}/model" for number in range(9)]
    harness = make_harness({key: [DEAD] for key in names})
    harness.call(*(target(name) for name in names))
    assert harness.targets.names == names


def test_a_retry_that_was_put_off_does_not_exceed_the_most_attempts(make_harness: MakeHarness) -> None:
    names = [f"provider{number}/model" for number in range(5)]
    harness = make_harness({names[0]: [limited(3.0)], **{key: [DEAD] for key in names[1:]}})
    harness.call(*(target(name) for name in names))
    assert len(harness.targets.asked) == 6
    assert set(harness.targets.names) == set(names)


# Backoff


def test_the_backoff_of_a_transient_error_is_short_and_grows(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD]})
    harness.call(A)
    assert harness.targets.slept == pytest.approx([0.125, 0.25])


def test_the_backoff_of_throttling_is_four_times_as_long(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited()]})
    harness.targets.draw = 1.0
    harness.call(target(retry=RetryLimits(delay=2.0, delay_max=3.0)))
    assert harness.targets.slept == pytest.approx([2.0, 3.0])


def test_the_backoff_follows_the_users_settings(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD]})
    harness.targets.draw = 1.0
    harness.call(target(retry=RetryLimits(limit=4, delay=4.0, factor=3.0, delay_max=8.0)))
    assert harness.targets.slept == pytest.approx([1.0, 3.0, 8.0, 8.0])


@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_no_delay_means_no_waiting(make_harness: MakeHarness, draw: float) -> None:
    harness = make_harness({"alpha/one": [DEAD, say("A")]})
    harness.targets.draw = draw
    assert harness.call(target(retry=RetryLimits(delay=0.0))).text == "A"
    assert sum(harness.targets.slept) == 0.0


def test_the_trace_records_the_wait_before_each_attempt(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD, DEAD, say("A")]})
    result = harness.call(A)
    assert [attempt.waited for attempt in result.trace.attempts] == pytest.approx([0.0, 0.125, 0.25])


# The retry budget


def test_retries_stop_when_a_targets_budget_is_spent_and_failing_over_goes_on(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD], "beta/two": [say("B")]})
    lenient = target(breaker=BreakerConfig(failures=1000, window=0.001))
    for _ in range(10):
        harness.call(lenient, B)
        harness.wait(1.0)
    harness.targets.asked.clear()
    assert harness.call(lenient, B).text == "B"
    assert harness.targets.names == ["alpha/one", "beta/two"]
    assert harness.known("alpha/one")["retry_budget"] == 0.0
    assert harness.known("beta/two")["retry_budget"] == 10.0


def test_where_nothing_reached_the_provider_a_retry_is_made_without_any_budget(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("connect")], "beta/two": [say("B")]})
    for _ in range(10):
        harness.health.spend_retry(A)
    assert harness.call(A, B).text == "B"
    assert harness.targets.names == ["alpha/one", "alpha/one", "beta/two"]


def test_answers_at_the_first_try_refill_the_budget_and_others_do_not(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD, say("A"), say("A"), say("A")]})
    harness.call(A)
    assert harness.known("alpha/one")["retry_budget"] == 9.0
    harness.call(A)
    harness.call(A, streaming=True)
    assert harness.known("alpha/one")["retry_budget"] == 9.2


def test_a_retry_that_was_never_made_costs_nothing(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [limited(2.0)], "beta/two": [say("B")]})
    for _ in range(3):
        assert harness.call(A, B).text == "B"
        harness.wait(5.0)
    assert harness.known("alpha/one")["retry_budget"] == 10.0


def test_nothing_is_waited_or_paid_for_a_target_whose_breaker_has_opened(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [DEAD]})
    trip(harness, "alpha/one")
    before = harness.known("alpha/one")["retry_budget"]
    for _ in range(20):
        harness.call(A)
    assert harness.targets.names == ["alpha/one"] * 20
    assert harness.targets.slept == []
    assert harness.known("alpha/one")["retry_budget"] == before
