"""An explicit ``max_retries``: so many more requests of this call, beside the cap, the retry budget and the breaker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import DEAD, A, B, HedgeHarness, PolicyHarness, limited, target, trip
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import RetryLimits, Target, Timing
from unified_llm._policy.target_health import Permit

NAME = "alpha/one"


def insistent(retries: int, name: str = NAME, **fields: Any) -> Target:
    """Return a target with an explicit number of retries, made without a wait unless a server asks for one."""
    return target(name, retry=RetryLimits(limit=retries, delay=0.0), **fields)


def asked(harness: PolicyHarness, name: str = NAME) -> int:
    return harness.targets.names.count(name)


# How many requests


@each("retries", [0, 1, 5, 8, 40])
def test_each_retry_is_made_alone_and_beside_another_target(make_harness: MakeHarness, retries: int) -> None:
    harness = make_harness({NAME: [DEAD]})
    assert harness.call(insistent(retries)).failed
    assert asked(harness) == retries + 1
    harness = make_harness({NAME: [DEAD], "beta/two": [say("B")]})
    assert harness.call(insistent(retries), B).text == "B"
    assert harness.targets.names == [NAME] * (retries + 1) + ["beta/two"]


def test_retries_end_with_the_first_response(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [*[DEAD] * 7, say("A")], "beta/two": [say("B")]})
    assert harness.call(insistent(9), B, streaming=True).text == "A"
    assert asked(harness) == 8
    assert harness.known(NAME)["state"] == "closed", "the response closes the breaker that the failures opened"


def test_other_targets_keep_the_six_attempts_of_a_call(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD], "beta/two": [DEAD], "gamma/three": [DEAD]})
    harness.call(insistent(20), B, insistent(7, "gamma/three"))
    assert harness.targets.names == [NAME] * 21 + ["beta/two"] * 2 + ["gamma/three"] * 8


def test_each_of_many_targets_is_asked_however_many_retries_one_has(make_harness: MakeHarness) -> None:
    names = [f"provider{number}/model" for number in range(8)]
    harness = make_harness({name: [DEAD] for name in names})
    harness.call(insistent(12, names[0]), *(target(name) for name in names[1:]))
    assert harness.targets.names == [names[0]] * 13 + names[1:]


REFUSED = ("auth", "permission", "quota", "bad_request", "unsupported", "context", "filter", "model_not_found", "setup")


@each("kind", REFUSED)
def test_a_failure_that_is_not_retried_is_not_retried_by_a_number_either(
    make_harness: MakeHarness, kind: FailureKind
) -> None:
    harness = make_harness({NAME: [Failure(kind, 400)]})
    assert harness.call(insistent(9)).failed
    assert asked(harness) == 1


@each("word", ["false", "true"])
def test_a_server_that_says_whether_to_retry_is_obeyed(make_harness: MakeHarness, word: str) -> None:
    harness = make_harness({NAME: [replace(DEAD, headers={"x-should-retry": word})]})
    harness.call(insistent(7))
    assert asked(harness) == (8 if word == "true" else 1)


def test_requests_in_another_form_are_as_many_as_the_number(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [Failure("invalid", try_again=True)], "beta/two": [say("B")]})
    assert harness.call(insistent(8), B).text == "B"
    assert harness.targets.names == [NAME] * 9 + ["beta/two"]


def test_where_a_failure_does_not_fail_over_the_target_is_retried_as_often(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD], "beta/two": [say("B")]})
    assert harness.call(insistent(8), B, failover={"server": False}).failed
    assert harness.targets.names == [NAME] * 9


# The retry budget and the circuit breaker


def test_a_retry_takes_nothing_from_the_budget_and_needs_none(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD]})
    harness.call(insistent(3))
    assert harness.known(NAME)["retry_budget"] == 10.0
    for _ in range(10):
        harness.health.spend_retry(A)
    harness.targets.asked.clear()
    harness.call(insistent(3))
    assert asked(harness) == 4
    assert harness.known(NAME)["retry_budget"] == 0.0


def test_the_failures_keep_other_calls_away(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD], "beta/two": [say("B")]})
    harness.call(insistent(6))
    assert harness.changes == [(NAME, "closed", "open")]
    harness.targets.asked.clear()
    for other in (A, insistent(6)):
        assert harness.call(other, B).text == "B"
    assert harness.targets.names == ["beta/two"] * 2, "an explicit number of retries is none of first attempts"


def test_a_lone_target_with_an_open_breaker_gets_all_of_its_requests(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD]})
    trip(harness, NAME)
    harness.call(insistent(4))
    assert asked(harness) == 5


def test_the_probe_of_another_call_stays_the_only_one(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD]})
    trip(harness, NAME)
    harness.wait(60.0)
    probe = harness.health.admit(A, harness.targets.clock)
    assert isinstance(probe, Permit)
    assert probe.probe
    harness.call(insistent(4))
    assert asked(harness) == 5
    assert not harness.health.ready(A, harness.targets.clock), "the probe is still in progress"
    harness.health.record_outcome(A, probe, ok=True, weight=0, now=harness.targets.clock, draw=0.5)
    assert harness.health.ready(A, harness.targets.clock)


def test_a_retry_may_be_the_probe(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [*[DEAD] * 5, say("A")]})
    patient = target(retry=RetryLimits(limit=9, delay=200.0, delay_max=200.0))
    harness.targets.draw = 1.0
    assert harness.call(patient).text == "A"
    assert harness.targets.slept == [50.0] + [60.0] * 4, "no wait is longer than a minute"
    assert harness.known(NAME)["state"] == "closed"
    assert harness.changes == [(NAME, "closed", "open"), (NAME, "half_open", "closed")]


# Waits


@each(("seconds", "requests"), [(3.0, 4), (60.0, 4), (61.0, 1)])
def test_a_retry_after_is_the_least_wait_up_to_a_minute(
    make_harness: MakeHarness, seconds: float, requests: int
) -> None:
    harness = make_harness({NAME: [limited(seconds)]})
    harness.targets.draw = 0.0
    harness.call(insistent(3))
    assert asked(harness) == requests
    assert harness.targets.slept == pytest.approx([seconds] * (requests - 1))


@each("failure", [limited(), Failure("timeout"), Failure("empty")])
def test_others_come_before_a_retry_that_helps_least_and_then_it_is_made(
    make_harness: MakeHarness, failure: Failure
) -> None:
    harness = make_harness({NAME: [failure], "beta/two": [DEAD]})
    harness.targets.draw = 0.0
    assert harness.call(insistent(3), insistent(0, "beta/two")).failed
    assert harness.targets.names == [NAME, "beta/two"] + [NAME] * 3
    harness = make_harness({NAME: [failure], "beta/two": [say("B")]})
    assert harness.call(insistent(3), B).text == "B"
    assert harness.targets.names == [NAME, "beta/two"]


@each(("seconds", "answers"), [(30.0, True), (61.0, False)])
def test_a_cooldown_that_another_call_started_is_waited_for_up_to_a_minute(
    make_harness: MakeHarness, seconds: float, *, answers: bool
) -> None:
    harness = make_harness({NAME: [DEAD, say("A")]})
    harness.targets.draw = 0.0
    now = harness.targets.clock
    harness.health.start_cooldown(A, "rate_limit", now + seconds, "its rate limit is used up", wait=False, now=now)
    assert (harness.call(insistent(3)).text == "A") is answers
    assert sum(harness.targets.slept) == pytest.approx(30.0 if answers else 0.0, abs=0.1)


def test_a_backoff_that_does_not_fit_into_the_deadline_is_not_begun(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD]})
    harness.targets.draw = 1.0
    result = harness.call(target(retry=RetryLimits(limit=500)), deadline=60.0)
    assert result.failed
    assert not result.failed.expired
    assert 5 < asked(harness) < 12
    assert harness.targets.clock < 1060.0


@each("pause", [0.0, 2.0])
def test_retries_leave_a_fallback_its_share_of_the_time(make_harness: MakeHarness, pause: float) -> None:
    slow: Attempt = [Pause(pause), DEAD]
    harness = make_harness({NAME: [slow], "beta/two": [[Pause(12.0), *say("B")]]})
    harness.targets.draw = 1.0
    result = harness.call(target(retry=RetryLimits(limit=500)), B, deadline=30.0)
    assert result.text == "B"
    assert asked(harness) > 3
    assert result.outcomes[-1] == ("beta/two", "ok")


def test_once_the_fallback_has_failed_the_retries_have_the_rest_of_the_time(make_harness: MakeHarness) -> None:
    harness = make_harness({NAME: [DEAD], "beta/two": [DEAD]})
    harness.targets.draw = 1.0
    harness.call(target(retry=RetryLimits(limit=500)), insistent(0, "beta/two"), deadline=60.0)
    names = harness.targets.names
    assert 0 < names.index("beta/two") < len(names) - 1
    assert names[-1] == NAME


def test_in_a_hedged_call_both_targets_get_their_retries() -> None:
    slow: Attempt = [Pause(3.0), DEAD]
    harness = HedgeHarness({NAME: [slow, DEAD], "beta/two": [[Pause(5.0), DEAD], DEAD]})
    timing = Timing(first_token=60.0, fixed=True)
    result = harness.call(insistent(7, timing=timing), insistent(7, "beta/two", timing=timing), streaming=False)
    assert result.failed
    assert (asked(harness), asked(harness, "beta/two")) == (8, 8)
