"""A server that is still loading its model (local 12): polled where nothing else is ready, and failed over else."""

from __future__ import annotations

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.policy_harness import DEAD, A, B, HedgeHarness, limited, target, trip
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits

LOADING = Failure("loading", 503)
BOTH = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])


def loading(times: int, *then: Attempt) -> list[Attempt]:
    return [*[LOADING] * times, *then]


@BOTH
@pytest.mark.parametrize("retry", [RetryLimits(), RetryLimits(limit=1), RetryLimits(limit=50, delay=10.0)])
def test_local_12_a_server_alone_is_polled_until_it_answers_as_one_attempt(
    make_harness: MakeHarness, retry: RetryLimits, *, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": loading(10, say("A"))})
    for _ in range(10):  # an empty retry budget does not matter
        harness.health.spend_retry(A)
    result = harness.call(target(retry=retry), streaming=streaming)
    assert result.text == "A"
    assert harness.targets.slept == [1.0, 2.0, *[5.0] * 8]
    assert result.outcomes == [("alpha/one", "loading"), ("alpha/one", "ok")]
    assert result.trace.attempt_count == 2
    first, last = result.trace.attempts
    assert first.waited + last.waited == pytest.approx(43.0)
    assert first.status == 503
    assert str(first) == "it is still loading the model, HTTP 503"
    row = harness.known("alpha/one")
    assert (row["state"], row["consecutive_failures"], row["retry_budget"]) == ("closed", 0, 0.0)


@BOTH
def test_it_is_polled_within_the_deadline(make_harness: MakeHarness, *, streaming: bool) -> None:
    harness = make_harness({"alpha/one": [LOADING]})
    result = harness.call(A, streaming=streaming, deadline=30.0)
    assert len(harness.targets.names) == 8
    assert 1023.0 < harness.targets.clock < 1030.0
    assert result.failed
    assert result.outcomes == [("alpha/one", "loading")]
    assert result.failed.failures == ((A, LOADING),)


@BOTH
def test_where_another_target_is_ready_it_answers_at_once(make_harness: MakeHarness, *, streaming: bool) -> None:
    harness = make_harness({"alpha/one": [LOADING], "beta/two": [say("B")]})
    result = harness.call(A, B, streaming=streaming)
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "loading"), ("beta/two", "ok")]
    assert harness.targets.slept == []
    assert harness.health.ready(A, harness.targets.clock)


def test_it_is_polled_once_the_others_have_failed_or_load_too(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": loading(3, say("A")), "beta/two": [Failure("auth", 401)]})
    assert harness.call(A, B).text == "A"
    assert harness.targets.names == ["alpha/one", "beta/two", *["alpha/one"] * 3]
    harness = make_harness({"alpha/one": [LOADING], "beta/two": loading(2, say("B"))})
    assert harness.call(A, B).text == "B"
    assert harness.targets.names.count("beta/two") == 3


def test_a_target_that_is_ready_again_takes_over_from_one_that_is_polled(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [LOADING], "beta/two": [limited(9.0), say("B")]})
    result = harness.call(A, B)
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "loading"), ("beta/two", "rate_limit"), ("beta/two", "ok")]
    harness = make_harness({"alpha/one": [LOADING], "beta/two": [say("B")]})
    trip(harness, "beta/two")
    assert harness.call(A, B).text == "B"  # when its breaker lets a probe through
    assert harness.targets.clock < 1100.0


def test_without_retries_it_is_not_polled(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [LOADING], "beta/two": [say("B")]})
    patient = target(retry=RetryLimits(limit=0))
    assert harness.call(patient).failed
    assert harness.targets.names == ["alpha/one"]
    forbidden = Failure("loading", 503, headers={"x-should-retry": "false"})
    harness = make_harness({"alpha/one": [forbidden]})
    assert harness.call(A).failed
    assert harness.targets.names == ["alpha/one"]


def test_it_is_polled_where_the_user_wants_no_failover(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": loading(4, say("A")), "beta/two": [say("B")]})
    assert harness.call(A, B, failover={"loading": False}).text == "A"


def test_a_breaker_that_opened_before_the_server_was_up_does_not_end_the_wait(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": loading(3, say("A"))})
    trip(harness, "alpha/one")
    assert harness.call(A).text == "A"
    assert harness.targets.slept == [1.0, 2.0, 5.0]


def test_a_delay_that_the_server_names_is_waited_for_up_to_a_minute(make_harness: MakeHarness) -> None:
    estimates: list[Attempt] = [Failure("loading", 503, retry_after=seconds) for seconds in (0.5, 20.0, 4000.0)]
    harness = make_harness({"alpha/one": [*estimates, say("A")]})
    assert harness.call(A).text == "A"
    assert harness.targets.slept == [1.0, 20.0, 60.0]


def test_other_failures_are_retried_as_usual_and_the_pauses_begin_again(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [LOADING, LOADING, DEAD, LOADING, say("A")]})
    result = harness.call(A)
    assert result.text == "A"
    assert [outcome for _, outcome in result.outcomes] == ["loading", "server", "ok"]
    assert harness.targets.slept[:2] == [1.0, 2.0]
    assert harness.targets.slept[-1] == 1.0


def test_a_hedged_call_waits_for_it_too() -> None:
    harness = HedgeHarness({"alpha/one": loading(2, [Pause(3.0), *say("A")])})
    result = harness.call(A)
    assert result.text == "A"
    assert harness.targets.slept == [1.0, 2.0]
