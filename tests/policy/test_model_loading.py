"""Models that have to be loaded before a target gets a request: who waits for them, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.policy_harness import DEAD, A, B, C, HedgeHarness, PolicyHarness, limited, target, trip
from tests.support.scripted_targets import Attempt, Pause, say
from tests.support.slow_models import SlowModels
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target, Timing

BOTH = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
WARM = replace(B, standby="warm")
SCRIPTS: Mapping[str, Sequence[Attempt]] = {"alpha/one": [DEAD], "beta/two": [say("B")], "gamma/three": [say("C")]}
BEING_LOADED, NOT_LOADED = "its model is being loaded", "its model is not loaded"


def with_timeout(of: Target, seconds: float) -> Target:
    return replace(of, timing=Timing(first_token=seconds, whole=seconds, fixed=True))


def harness_with(make_harness: MakeHarness, scripts: Mapping[str, Sequence[Attempt]], seconds: float) -> PolicyHarness:
    """Return a harness in which the model of the second target takes so long to load."""
    harness = make_harness(scripts)
    harness.targets.models = SlowModels(harness.targets, {"beta/two": seconds})
    return harness


def skipped(harness: PolicyHarness, *targets: Target) -> dict[str, str | None]:
    """Make a call; return the reasons of the targets that it skipped."""
    attempts = harness.call(*targets).trace.attempts
    return {attempt.target: attempt.reason for attempt in attempts if attempt.outcome == "skipped"}


# A target alone


@BOTH
def test_the_timeout_of_an_attempt_begins_once_its_model_is_loaded(
    make_harness: MakeHarness, *, streaming: bool
) -> None:
    harness = harness_with(make_harness, {"beta/two": [[Pause(4.0), *say("B")]]}, 10.0)
    result = harness.call(with_timeout(B, 5.0), streaming=streaming)
    assert result.text == "B"
    (attempt,) = result.trace.attempts
    assert (attempt.outcome, attempt.waited) == ("ok", 10.0)
    assert attempt.seconds == pytest.approx(4.01)
    assert harness.targets.models.waits == [("beta/two", 10.0)]
    again = harness.call(with_timeout(B, 5.0), streaming=streaming)
    assert again.trace.attempts[0].waited == 0.0
    assert len(harness.targets.models.waits) == 1


@BOTH
def test_a_call_waits_for_a_model_within_its_deadline(make_harness: MakeHarness, *, streaming: bool) -> None:
    harness = harness_with(make_harness, SCRIPTS, 10.0)
    result = harness.call(B, streaming=streaming, deadline=8.0)
    assert result.failed
    assert result.failed.expired
    assert harness.targets.clock == 1008.0
    assert harness.targets.asked == []
    (attempt,) = result.trace.attempts
    assert (attempt.target, attempt.outcome, attempt.seconds) == ("beta/two", "loading", 8.0)
    ((failed, failure),) = result.failed.failures
    assert (failed, failure.kind) == (B, "loading")
    row = harness.health.snapshot(harness.targets.clock, [B])[0]
    assert (row["state"], row["calls"], row["failures"]) == ("closed", 0, 0)


def test_a_model_that_cannot_be_loaded_fails_in_the_attempt(make_harness: MakeHarness) -> None:
    harness = harness_with(make_harness, {"beta/two": [Failure("unsupported")], "gamma/three": [say("C")]}, 10.0)
    harness.targets.models.broken.add("beta/two")
    result = harness.call(B, C)
    assert result.outcomes == [("beta/two", "unsupported"), ("gamma/three", "ok")]
    assert harness.targets.models.waits == [("beta/two", 0.0)]


# In its turn, without standby


@BOTH
def test_a_target_is_waited_for_in_its_turn(make_harness: MakeHarness, *, streaming: bool) -> None:
    harness = harness_with(make_harness, SCRIPTS, 100.0)
    local = replace(B, timing=replace(B.timing, cold=300.0))
    result = harness.call(A, local, C, streaming=streaming)
    assert result.text == "B"
    assert result.trace.attempts[-1].waited == 100.0


def test_it_is_waited_for_as_long_as_an_attempt_may_take_while_another_is_ready(make_harness: MakeHarness) -> None:
    harness = harness_with(make_harness, SCRIPTS, 100.0)
    result = harness.call(with_timeout(B, 5.0), C)
    assert result.outcomes == [("beta/two", "skipped"), ("gamma/three", "ok")]
    assert result.trace.attempts[0].reason == BEING_LOADED
    assert result.trace.attempts[1].waited == 5.0
    assert harness.targets.clock == pytest.approx(1005.01)
    assert harness.health.snapshot(harness.targets.clock, [B])[0]["failures"] == 0
    # Where the other one fails as well, the call comes back to it.
    harness.targets.scripts = {**SCRIPTS, "gamma/three": [Failure("model_not_found", 404)]}
    result = harness.call(with_timeout(B, 5.0), C)
    assert result.text == "B"
    assert [attempt.target for attempt in result.trace.attempts] == ["beta/two", "gamma/three", "beta/two"]
    assert harness.targets.clock == pytest.approx(1100.01)


def test_the_wait_leaves_the_others_their_share_of_the_deadline(make_harness: MakeHarness) -> None:
    harness = harness_with(make_harness, SCRIPTS, 100.0)
    local = replace(B, timing=replace(B.timing, cold=300.0))
    assert harness.call(local, C, deadline=8.0).text == "C"
    assert harness.targets.clock == pytest.approx(1004.01)


# On standby


@BOTH
def test_no_call_waits_for_a_model_on_standby_while_another_target_is_ready(
    make_harness: MakeHarness, *, streaming: bool
) -> None:
    harness = harness_with(make_harness, SCRIPTS, 10.0)
    result = harness.call(A, WARM, C, streaming=streaming)
    assert result.text == "C"
    assert result.outcomes[-2:] == [("beta/two", "skipped"), ("gamma/three", "ok")]
    assert result.trace.attempts[-2].reason == NOT_LOADED
    harness.targets.models.begin(B)
    assert skipped(harness, A, WARM, C) == {"beta/two": BEING_LOADED}
    assert harness.targets.models.waits == []
    harness.wait(10.0)
    assert harness.call(A, WARM, C, streaming=streaming).text == "B"


@BOTH
def test_a_call_that_has_no_other_target_waits_for_it(make_harness: MakeHarness, *, streaming: bool) -> None:
    harness = harness_with(make_harness, SCRIPTS, 10.0)
    result = harness.call(A, with_timeout(WARM, 5.0), streaming=streaming)
    assert result.text == "B"
    assert "skipped" not in dict(result.outcomes).values()
    assert harness.targets.models.waits == [("beta/two", 10.0)]
    assert not harness.call(A, WARM, streaming=streaming).failed


def test_it_waits_until_another_target_is_ready_again(make_harness: MakeHarness) -> None:
    harness = harness_with(make_harness, {**SCRIPTS, "alpha/one": [limited(3.0), say("A")]}, 10.0)
    result = harness.call(A, WARM)
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "skipped"), ("alpha/one", "ok")]
    assert result.trace.attempts[-1].waited == pytest.approx(3.15)


def test_where_the_others_are_in_trouble_it_is_waited_for_and_they_are_not_asked(make_harness: MakeHarness) -> None:
    harness = harness_with(make_harness, {**SCRIPTS, "gamma/three": [DEAD]}, 10.0)
    trip(harness, "alpha/one", "gamma/three")
    harness.targets.models.waits.clear()
    result = harness.call(A, WARM, C)
    assert result.text == "B"
    assert harness.targets.names == ["beta/two"]
    assert harness.targets.models.waits == [("beta/two", 10.0)]


def test_a_probe_goes_to_the_primary_while_the_model_is_still_being_loaded(make_harness: MakeHarness) -> None:
    harness = harness_with(make_harness, {**SCRIPTS, "alpha/one": [say("A")]}, 100.0)
    trip(harness, "alpha/one")
    result = harness.call(A, WARM)
    assert result.text == "A"
    assert 20.0 <= result.trace.attempts[-1].waited <= 40.0


# Hedging, cancellation


def test_no_hedge_goes_to_a_model_that_is_not_loaded() -> None:
    harness = HedgeHarness({"alpha/one": [[Pause(9.0), *say("A")]], "beta/two": [say("B")], "gamma/three": [say("C")]})
    harness.targets.models = SlowModels(harness.targets, {"beta/two": 10.0})
    assert harness.call(A, B).outcomes == [("alpha/one", "ok")]
    assert harness.call(A, B, C).outcomes == [("alpha/one", "cancelled"), ("gamma/three", "ok")]


def test_a_hedged_call_waits_for_a_model_as_any_other() -> None:
    harness = HedgeHarness({"beta/two": [say("B")], "gamma/three": [say("C")]})
    harness.targets.models = SlowModels(harness.targets, {"beta/two": 3.0})
    assert harness.call(B, C).outcomes == [("beta/two", "ok")]


def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    harness = HedgeHarness({"beta/two": [say("B")]}, after=None)
    models = harness.targets.models = SlowModels(harness.targets, {"beta/two": 3.0})

    async def main() -> None:
        call = harness.prepare(B)
        task = asyncio.current_task()
        assert task
        models.on_wait = task.cancel
        driver = harness.adrive(call)
        with pytest.raises(asyncio.CancelledError):
            await driver.advance()
        task.uncancel()
        await driver.close()

    harness.targets.run(main)
    assert harness.targets.open == 0
    assert harness.is_free(B)
    models.on_wait = lambda: None
    assert harness.call(target("beta/two")).text == "B"
