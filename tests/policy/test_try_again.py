"""A failure after which the same target may be asked again at once, in another form."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import A, B, C, target, trip
from tests.support.scripted_targets import Pause, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits

AGAIN, NO_MORE = Failure("invalid", try_again=True), Failure("invalid", try_again=False)


def test_the_target_is_asked_again_at_once_as_often_as_it_makes_sense(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [AGAIN, AGAIN, AGAIN, NO_MORE], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "invalid")] * 4 + [("beta/two", "ok")]
    assert harness.targets.slept == []
    assert [attempt.waited for attempt in result.trace.attempts] == [0.0] * 5


def test_where_it_makes_no_sense_the_rule_of_the_kind_does_not_count(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [replace(NO_MORE, kind="server")], "beta/two": [say("B")]})
    assert harness.call(A, B).text == "B"
    assert harness.targets.names == ["alpha/one", "beta/two"]
    harness = make_harness({"alpha/one": [NO_MORE]})
    assert harness.call(A).failed
    assert harness.targets.names == ["alpha/one"]


def test_it_spends_nothing_of_the_retry_budget(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [AGAIN, AGAIN, say("A")]})
    for _ in range(20):
        harness.targets.asked.clear()
        assert harness.call(A).text == "A"
    assert harness.known("alpha/one")["retry_budget"] == 10.0
    harness = make_harness({"alpha/one": [Failure("server", 503), AGAIN, say("A")]})
    assert harness.call(A).text == "A"
    assert harness.known("alpha/one")["retry_budget"] == pytest.approx(9.0)


def test_an_empty_budget_does_not_prevent_it(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [AGAIN, say("A")]})
    for _ in range(10):
        harness.health.spend_retry(A)
    assert harness.call(A).text == "A"


def test_six_attempts_are_the_most_and_each_target_gets_its_first(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [AGAIN], "beta/two": [AGAIN], "gamma/three": [AGAIN]})
    assert harness.call(A, B, C).failed
    assert harness.targets.names == ["alpha/one"] * 4 + ["beta/two", "gamma/three"]


@each(("limit", "times"), [(0, 1), (1, 2), (2, 3)])
def test_the_limit_of_the_user_holds(make_harness: MakeHarness, limit: int, times: int) -> None:
    limited = target("alpha/one", retry=RetryLimits(limit=limit))
    harness = make_harness({"alpha/one": [AGAIN], "beta/two": [say("B")]})
    assert harness.call(limited, B).text == "B"
    assert harness.targets.names == ["alpha/one"] * times + ["beta/two"]


def test_nothing_begins_at_the_deadline(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(9.99), AGAIN], say("A")]})
    assert harness.call(A, deadline=10.0).failed
    assert harness.targets.names == ["alpha/one"]


def test_a_breaker_that_has_opened_in_the_meantime_is_obeyed(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [AGAIN], "beta/two": [say("B")]})
    trip(harness, "alpha/one")
    harness.wait(60.0)  # half open: one probe
    assert harness.call(A, B).text == "B"


def test_a_failure_that_does_not_fail_over_may_be_tried_again_too(make_harness: MakeHarness) -> None:
    refused = Failure("filter", 400, try_again=True)
    harness = make_harness({"alpha/one": [refused, say("A")], "beta/two": [say("B")]})
    assert harness.call(A, B).text == "A"
    harness = make_harness({"alpha/one": [refused, replace(refused, try_again=None)], "beta/two": [say("B")]})
    assert harness.call(A, B).failed
    assert harness.targets.names == ["alpha/one"] * 2


def test_it_counts_nothing_at_the_breaker(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [AGAIN], "beta/two": [say("B")]})
    for _ in range(10):
        harness.call(A, B)
    assert (harness.known("alpha/one")["state"], harness.known("alpha/one")["consecutive_failures"]) == ("closed", 0)


def test_after_the_first_chunk_nothing_is_asked_again(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [["A ", AGAIN], say("A")], "beta/two": [say("B")]})
    result = harness.call(A, B, streaming=True)
    assert result.failed
    assert result.failed.committed
    assert harness.targets.names == ["alpha/one"]
