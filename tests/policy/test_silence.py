"""Targets that are silent: a connection that is never made, and how the time of a call is shared."""

from __future__ import annotations

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import A, B, C, target
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Timing

SILENT: Attempt = [Pause(5.0), Failure("timeout", unsent=True)]  # as after the limit of a step of making a connection
ANSWER = say("B")


def test_a_connection_that_is_never_made_is_not_tried_again_while_another_target_is_ready(
    make_harness: MakeHarness,
) -> None:
    harness = make_harness({"alpha/one": [SILENT], "beta/two": [ANSWER]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "timeout"), ("beta/two", "ok")]
    assert harness.targets.clock < 1005.1
    assert not any(attempt.maybe_billed for attempt in result.trace.attempts)


def test_alone_it_is_tried_again(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [SILENT, say("A")]})
    assert harness.call(A).outcomes == [("alpha/one", "timeout"), ("alpha/one", "ok")]


@each("deadline", [3.0, 5.0, 8.0, 10.0])
@each("streaming", [False, True])
def test_the_next_target_is_asked_within_any_deadline(
    make_harness: MakeHarness, deadline: float, *, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [[Pause()]], "gamma/three": [ANSWER]})
    result = harness.call(A, B, C, deadline=deadline, streaming=streaming)
    assert result.text == "B"
    assert [attempt.seconds for attempt in result.trace.attempts[:2]] == pytest.approx([deadline / 3] * 2)


def test_the_time_of_a_call_is_shared_with_the_targets_that_are_ready_and_untried(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [Failure("server", 503)], "gamma/three": [ANSWER]})
    for _ in range(5):
        harness.call(B)  # its breaker opens
    result = harness.call(A, B, C, deadline=8.0)
    assert result.outcomes == [("alpha/one", "timeout"), ("beta/two", "skipped"), ("gamma/three", "ok")]
    assert result.trace.attempts[0].seconds == pytest.approx(4.0)


def test_where_nothing_else_is_ready_a_target_has_all_the_time(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(7.0), *say("A")]], "beta/two": [Failure("server", 503)]})
    for _ in range(5):
        harness.call(B)
    assert harness.call(A, B, deadline=8.0).text == "A"


def test_a_limit_of_its_own_that_is_shorter_than_the_share_stays(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [ANSWER]})
    short = target(timing=Timing(first_token=2.0, whole=2.0, fixed=True))
    assert harness.call(short, B, deadline=8.0).trace.attempts[0].seconds == pytest.approx(2.0)


def test_an_attempt_that_only_its_share_has_cut_short_counts_for_nobody(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [ANSWER]})
    for _ in range(9):
        harness.call(A, B, deadline=4.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 0


@pytest.mark.parametrize("seconds", [5.0, 1.5])
def test_silence_on_connecting_opens_the_breaker_for_everybody(make_harness: MakeHarness, seconds: float) -> None:
    silent: Attempt = [Pause(seconds), Failure("timeout", unsent=True)]
    harness = make_harness({"alpha/one": [silent], "beta/two": [ANSWER]})
    for _ in range(3):
        harness.call(A, B)
    patient = target(timing=Timing(first_token=300.0, whole=300.0))
    assert harness.call(patient, B).outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]


def test_but_not_where_the_caller_has_hardly_waited(make_harness: MakeHarness) -> None:
    hasty: Attempt = [Pause(0.05), Failure("timeout", unsent=True)]
    harness = make_harness({"alpha/one": [hasty], "beta/two": [ANSWER]})
    for _ in range(9):
        assert harness.call(A, B).outcomes == [("alpha/one", "timeout"), ("beta/two", "ok")]
