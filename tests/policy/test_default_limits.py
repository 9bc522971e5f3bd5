"""Default limits of an attempt: they depend on whether another target is ready, and on when a model responded last."""

from __future__ import annotations

import math

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import A, B, C, PolicyHarness, target
from tests.support.scripted_targets import Attempt, Pause, say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits, Target, Timing

ONCE = RetryLimits(limit=0)
USUAL = Timing()
REASONING = Timing(first_token=60.0, last_first_token=180.0, whole=180.0)
HARD = Timing(first_token=300.0, last_first_token=300.0, whole=math.inf)
LOCAL = Timing(first_token=60.0, last_first_token=300.0, whole=180.0, cold=300.0)


def seconds(harness: PolicyHarness, *targets: Target, streaming: bool, deadline: float = 600.0) -> float:
    """Return how long the first target, which hangs, was waited for."""
    first = harness.call(*targets, streaming=streaming, deadline=deadline).trace.attempts[0]
    assert (first.target, first.outcome) == ("alpha/one", "timeout")
    return first.seconds


@each(
    ("timing", "streaming", "with_another", "alone"),
    [
        (USUAL, True, 20.0, 30.0),
        (USUAL, False, 60.0, 600.0),
        (REASONING, True, 60.0, 180.0),
        (REASONING, False, 180.0, 600.0),
        (HARD, True, 300.0, 300.0),
        (HARD, False, 540.0, 600.0),  # what is left of the deadline, without the time of the other
        (LOCAL, True, 300.0, 300.0),
        (LOCAL, False, 300.0, 600.0),
        (Timing(first_token=7.0, whole=9.0, fixed=True), True, 7.0, 7.0),
        (Timing(first_token=7.0, whole=9.0, fixed=True, cold=300.0), False, 9.0, 9.0),
        (Timing(whole=50.0, streams=False), True, 50.0, 600.0),
    ],
)
def test_a_target_has_less_time_while_another_is_ready(
    make_harness: MakeHarness, timing: Timing, with_another: float, alone: float, *, streaming: bool
) -> None:
    scripts: dict[str, list[Attempt]] = {"alpha/one": [[Pause()]], "beta/two": [say("B")]}
    hanging = target(timing=timing, retry=ONCE)
    assert seconds(make_harness(scripts), hanging, B, streaming=streaming) == pytest.approx(with_another)
    assert seconds(make_harness(scripts), hanging, streaming=streaming) == pytest.approx(alone)


def test_another_that_is_not_ready_takes_no_time_away(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [Failure("server", 503)]})
    for _ in range(5):
        harness.call(B)  # its breaker opens
    harness.wait(1.0)
    assert seconds(harness, A, B, streaming=True) == pytest.approx(30.0)


def test_a_last_resort_is_another_target_too(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    assert seconds(harness, A, target("beta/two", last_resort=True), streaming=True) == pytest.approx(20.0)


def test_each_target_but_the_last_has_the_shorter_limit(make_harness: MakeHarness) -> None:
    harness = make_harness({name: [[Pause()]] for name in ("alpha/one", "beta/two", "gamma/three")})
    for streaming, expected in [(True, [20.0, 20.0, 30.0]), (False, [60.0, 60.0, 480.0])]:
        harness.health.reset()
        attempts = harness.call(A, B, C, streaming=streaming).trace.attempts
        assert [attempt.seconds for attempt in attempts[:3]] == pytest.approx(expected)


# Local models


@each(("later", "expected"), [(299.0, (60.0, 180.0)), (301.0, (300.0, 300.0))])
def test_a_local_model_that_responded_within_five_minutes_has_less_time(
    make_harness: MakeHarness, later: float, expected: tuple[float, float]
) -> None:
    for streaming, limit in zip([True, False], expected, strict=True):
        harness = make_harness({"alpha/one": [say("A"), [Pause()]], "beta/two": [say("B")]})
        local = target(timing=LOCAL, retry=ONCE)
        assert harness.call(local, B, streaming=streaming).text == "A"
        harness.wait(later)
        assert seconds(harness, local, B, streaming=streaming) == pytest.approx(limit)


def test_it_has_responded_until_the_end_of_a_stream(make_harness: MakeHarness) -> None:
    long = [step for _ in range(10) for step in ("a", Pause(50.0))]
    harness = make_harness({"alpha/one": [[*long, *say("A")], [Pause()]], "beta/two": [say("B")]})
    local = target(timing=LOCAL, retry=ONCE)
    harness.call(local, B, streaming=True)
    harness.wait(10.0)
    assert seconds(harness, local, B, streaming=True) == pytest.approx(60.0)


def test_a_failure_and_a_list_of_models_do_not_show_that_it_is_loaded(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [Failure("server", 500), say("list"), [Pause()]], "beta/two": [say("B")]})
    local = target(timing=LOCAL, retry=ONCE)
    harness.call(local, B)
    with harness.targets.running():
        call = harness.prepare(local)
        call.runs_model = False
        harness.drive(call).advance()
    assert seconds(harness, local, B, streaming=False) == pytest.approx(300.0)


def test_what_one_model_of_a_server_does_shows_nothing_of_another(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/two": [say("A")], "alpha/one": [[Pause()]], "beta/two": [say("B")]})
    harness.call(target("alpha/two", timing=LOCAL))
    assert seconds(harness, target(timing=LOCAL, retry=ONCE), B, streaming=True) == pytest.approx(300.0)


# The deadline


@each(
    ("deadline", "expected"),
    [(600.0, 300.0), (400.0, 280.0), (330.0, 210.0), (150.0, 50.0)],
)
def test_the_time_left_for_others_is_what_they_may_take(
    make_harness: MakeHarness, deadline: float, expected: float
) -> None:
    """A third of 400 s is more than the 60 s that the second and the third target may take."""
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")], "gamma/three": [say("C")]})
    local = target(timing=LOCAL, retry=ONCE)
    assert seconds(harness, local, B, C, streaming=False, deadline=deadline) == pytest.approx(expected)


def test_no_deadline_leaves_a_target_that_thinks_hard_all_the_time_it_takes(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(5000.0), *say("A")]], "beta/two": [say("B")]})
    assert harness.call(target(timing=HARD), B, deadline=math.inf).text == "A"


# The breaker


@each(
    ("timing", "reasoning", "streaming", "weight"),
    [
        (USUAL, False, True, 2),
        (USUAL, False, False, 1),
        (REASONING, True, True, 1),
        (REASONING, True, False, 1),
        (HARD, True, True, 1),
        (HARD, True, False, 1),
        (LOCAL, False, False, 1),
        (Timing(whole=50.0, streams=False), False, True, 1),
    ],
)
def test_a_default_limit_that_may_be_too_short_weighs_one(
    make_harness: MakeHarness, timing: Timing, weight: int, *, reasoning: bool, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": [[Pause()]], "beta/two": [say("B")]})
    hanging = target(timing=timing, reasoning=reasoning, retry=ONCE)
    harness.call(hanging, B, streaming=streaming)
    assert harness.known("alpha/one")["consecutive_failures"] == weight


def test_a_response_on_the_last_target_closes_the_breaker_of_the_same_caller(make_harness: MakeHarness) -> None:
    slow = [Pause(100.0), *say("A")]
    harness = make_harness({"alpha/one": [*[Failure("server", 503)] * 5, slow]})
    local = target(timing=LOCAL, retry=ONCE)
    for _ in range(5):
        harness.call(local, streaming=True)
    assert harness.known("alpha/one")["state"] == "open"
    harness.wait(60.0)
    assert harness.call(local, streaming=True).text == "A"
    assert harness.known("alpha/one")["state"] == "closed"
