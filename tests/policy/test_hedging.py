"""A slow target and its hedge: which target it goes to, which attempt wins, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.support.each import each
from tests.support.policy_harness import DEAD, A, B, C, HedgeHarness, limited, prepared, target
from tests.support.scripted_targets import Attempt, Pause, Step, say
from unified_llm._backends.objects.finalize import finish_without_loop
from unified_llm._client.drivers import AsyncDriver
from unified_llm._core import runtime
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target, Timing
from unified_llm._policy.budgets import CALLS_PER_HEDGE, HedgeBudget
from unified_llm._policy.call_state import CallState
from unified_llm.exceptions import ValidationError

BAD = Failure("bad_request", 400)
BLOCKED = Failure("filter", 400)


def slow(seconds: float, *steps: Step) -> list[Step]:
    """An attempt without an event for a while."""
    return [Pause(seconds), *(steps or say("A took its time"))]


# Which attempt wins


@pytest.mark.parametrize("streaming", [True, False])
def test_a_hedge_that_answers_first_wins_and_the_slow_attempt_is_closed(*, streaming: bool) -> None:
    harness = HedgeHarness({"alpha/one": [slow(20.0)], "beta/two": [say("B was fast")]})
    result = harness.call(A, B, streaming=streaming)
    assert result.text == "B was fast"
    assert result.outcomes == [("alpha/one", "cancelled"), ("beta/two", "ok")]
    lost, won = result.trace.attempts
    assert (lost.reason, lost.maybe_billed, lost.status) == ("hedged", True, None)
    assert lost.seconds == pytest.approx(2.01)
    assert (won.reason, won.maybe_billed) == (None, False)
    assert won.seconds == pytest.approx(0.01)
    assert (lost.first_token, won.first_token) == (None, pytest.approx(0.01) if streaming else None)
    assert result.trace.served == B
    assert harness.targets.clock == pytest.approx(1002.01)


@pytest.mark.parametrize("streaming", [True, False])
def test_the_first_target_can_still_win_against_its_hedge(*, streaming: bool) -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0)], "beta/two": [slow(9.0)]})
    result = harness.call(A, B, streaming=streaming)
    assert result.text == "A took its time"
    assert result.outcomes == [("alpha/one", "ok"), ("beta/two", "cancelled")]
    assert [(attempt.reason, attempt.maybe_billed) for attempt in result.trace.attempts] == [
        (None, False),
        ("hedged", True),
    ]
    assert result.trace.attempts[0].seconds == pytest.approx(3.01)


def test_a_target_that_answers_in_time_is_not_hedged() -> None:
    harness = HedgeHarness({"alpha/one": [slow(1.9)], "beta/two": [say("B")]})
    assert harness.call(A, B).outcomes == [("alpha/one", "ok")]
    assert harness.targets.names == ["alpha/one"]


def test_a_stream_is_hedged_until_its_first_chunk_only() -> None:
    harness = HedgeHarness({"alpha/one": [["A ", Pause(20.0), *say("goes on")]], "beta/two": [say("B")]})
    result = harness.call(A, B)
    assert result.text == "A goes on"
    assert harness.targets.names == ["alpha/one"]


def test_opening_counts_as_waiting() -> None:
    harness = HedgeHarness({"alpha/one": [say("A")], "beta/two": [say("B")]}, after=0.005)
    result = harness.call(A, B)
    assert harness.targets.names == ["alpha/one", "beta/two"]
    assert result.outcomes == [("alpha/one", "ok"), ("beta/two", "cancelled")]


def test_a_stream_of_the_winner_that_breaks_is_not_replayed() -> None:
    harness = HedgeHarness(
        {"alpha/one": [slow(20.0)], "beta/two": [["B ", Failure("connection")]], "gamma/three": [say("C")]}
    )
    result = harness.call(A, B, C)
    assert result.text == "B "
    assert result.failed
    assert result.failed.committed
    assert result.outcomes == [("alpha/one", "cancelled"), ("beta/two", "connection")]


# Which target the hedge goes to


def test_a_hedge_goes_to_another_provider_first() -> None:
    sibling = target("alpha/two")
    harness = HedgeHarness({"alpha/one": [slow(20.0)], "alpha/two": [say("sibling")], "beta/two": [say("B")]})
    assert harness.call(A, sibling, B).text == "B"
    harness = HedgeHarness({"alpha/one": [slow(20.0)], "alpha/two": [say("sibling")]})
    assert harness.call(A, sibling).text == "sibling"


def test_a_hedge_goes_neither_to_a_last_resort_nor_to_the_same_deployment() -> None:
    harness = HedgeHarness({"alpha/one": [slow(15.0)], "beta/two": [say("B")]})
    result = harness.call(A, A, replace(B, last_resort=True))
    assert result.text == "A took its time"
    assert harness.targets.names == ["alpha/one"]


def test_a_candidate_whose_breaker_is_open_or_whose_cooldown_runs_is_skipped() -> None:
    harness = HedgeHarness({"alpha/one": [slow(20.0)], "beta/two": [say("B")], "gamma/three": [say("C")]})
    harness.health.start_cooldown(B, "rate_limit", 1e6, "rate limited", wait=True, now=harness.targets.clock)
    assert harness.call(A, B, C).text == "C"


def test_a_hedge_goes_to_no_target_that_was_asked_before_or_is_excluded() -> None:
    busy = Failure("conflict", 409, retry_after=50.0)
    harness = HedgeHarness({"alpha/one": [busy, say("A")], "beta/two": [slow(20.0)]})
    assert harness.call(A, B).outcomes == [("alpha/one", "conflict"), ("beta/two", "ok")]
    small, large, other = (replace(each, context_window=size) for each, size in ((A, 8), (B, 32), (C, 4)))
    harness = HedgeHarness({"alpha/one": [Failure("context")], "beta/two": [slow(20.0)], "gamma/three": [say("C")]})
    assert harness.call(small, large, other).outcomes == [
        ("alpha/one", "context"),
        ("gamma/three", "skipped"),
        ("beta/two", "ok"),
    ]


def test_where_nobody_is_ready_the_first_target_is_waited_for_and_the_budget_kept() -> None:
    harness = HedgeHarness({"alpha/one": [slow(20.0)], "beta/two": [say("B")]})
    harness.health.start_cooldown(B, "rate_limit", 1019.0, "rate limited", wait=True, now=harness.targets.clock)
    assert harness.call(A, B).text == "A took its time"
    assert harness.call(A, B).text == "B"
    assert harness.targets.names == ["alpha/one", "alpha/one", "beta/two"]


def test_a_lone_target_is_asked_as_if_nobody_hedged() -> None:
    harness = HedgeHarness({"alpha/one": [slow(20.0)]})
    assert harness.call(A).outcomes == [("alpha/one", "ok")]


def test_a_call_is_hedged_once() -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0, DEAD)], "beta/two": [slow(3.0, DEAD)], "gamma/three": [slow(9.0)]})
    harness.budget.give_back()
    result = harness.call(A, B, C, streaming=False)
    assert [name for name, _ in result.outcomes][:2] == ["alpha/one", "beta/two"]
    assert all(outcome != "cancelled" for _, outcome in result.outcomes)
    assert harness.budget.spend()


def test_at_most_one_call_in_twenty_is_hedged() -> None:
    harness = HedgeHarness({"alpha/one": [slow(5.0)], "beta/two": [slow(4.0)]})
    calls = 2 * CALLS_PER_HEDGE
    for _ in range(calls):
        assert harness.call(A, B).text == "A took its time"
    assert harness.targets.names.count("beta/two") == 1 + calls // CALLS_PER_HEDGE


def test_a_budget_that_nobody_spends_is_bounded() -> None:
    budget = HedgeBudget()
    for _ in range(100 * CALLS_PER_HEDGE):
        budget.earn()
    assert sum(budget.spend() for _ in range(99)) == 10


# Failures in a hedged call


def test_a_target_that_fails_leaves_the_call_to_its_hedge() -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0, DEAD)], "beta/two": [slow(5.0)]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "server"), ("beta/two", "ok")]
    assert result.open_at == [1, 1, 1, 1, 0]
    assert harness.targets.clock == pytest.approx(1007.01)
    assert harness.known("alpha/one")["consecutive_failures"] == 1


def test_a_hedge_that_fails_leaves_the_call_to_the_first() -> None:
    harness = HedgeHarness({"alpha/one": [slow(5.0)], "beta/two": [DEAD], "gamma/three": [say("C")]})
    result = harness.call(A, B, C)
    assert result.outcomes == [("alpha/one", "ok"), ("beta/two", "server")]
    assert harness.targets.clock == pytest.approx(1005.01)


def test_where_both_fail_the_call_goes_on_as_usual() -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0, DEAD), say("A again")], "beta/two": [slow(3.0, DEAD)]})
    result = harness.call(A, B)
    assert result.outcomes == [("alpha/one", "server"), ("beta/two", "server"), ("alpha/one", "ok")]
    assert result.trace.attempts[2].retry


def test_where_all_fail_the_result_names_each() -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0, limited(90.0))], "beta/two": [slow(3.0, Failure("redirect", 301))]})
    result = harness.call(A, B)
    assert result.failed
    assert [(each, failure.kind) for each, failure in result.failed.failures] == [(A, "rate_limit"), (B, "redirect")]
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "redirect")]
    assert not harness.health.ready(A, harness.targets.clock)


def test_a_target_that_is_silent_to_its_limit_times_out_beside_its_hedge() -> None:
    harness = HedgeHarness({"alpha/one": [[Pause()]], "beta/two": [[Pause(40.0), *say("B")]]})
    patient = replace(B, timing=Timing(first_token=90.0))
    result = harness.call(A, patient)
    assert result.outcomes == [("alpha/one", "timeout"), ("beta/two", "ok")]
    assert result.trace.attempts[0].seconds == pytest.approx(20.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 2


def test_silence_on_both_sides_ends_at_the_deadline() -> None:
    harness = HedgeHarness({"alpha/one": [[Pause()]], "beta/two": [[Pause()]]})
    result = harness.call(A, B, deadline=10.0)
    assert result.failed
    assert result.failed.expired
    assert result.outcomes == [("alpha/one", "timeout"), ("beta/two", "timeout")]
    assert harness.targets.clock == pytest.approx(1010.0)


def test_what_the_first_target_refuses_for_good_ends_the_call_and_its_hedge() -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0, BLOCKED)], "beta/two": [slow(9.0)]})
    result = harness.call(A, B)
    assert result.failed
    assert result.failed.final == (A, BLOCKED)
    assert result.outcomes == [("alpha/one", "filter"), ("beta/two", "cancelled")]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_bad_request_of_the_first_target_leaves_its_hedge_running(*, streaming: bool) -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0, BAD)], "beta/two": [slow(9.0)]})
    result = harness.call(A, B, streaming=streaming)
    assert result.outcomes[-1] == ("beta/two", "ok")
    assert result.outcomes == [("alpha/one", "bad_request"), ("beta/two", "ok")]
    harness = HedgeHarness({"alpha/one": [slow(3.0, BAD)], "beta/two": [slow(9.0)]})
    assert harness.call(A, B, failover={"bad_request": False}).failed


@each("refusal", [BAD, Failure("filter", 400), Failure("unsendable")])
def test_what_a_hedge_refuses_does_not_cost_the_first_target_its_answer(refusal: Failure) -> None:
    harness = HedgeHarness({"alpha/one": [slow(5.0)], "beta/two": [refusal]})
    result = harness.call(A, B)
    outcome = "skipped" if refusal.kind == "unsendable" else refusal.kind
    assert result.outcomes == [("alpha/one", "ok"), ("beta/two", outcome)]


def test_what_a_hedge_refused_starts_a_cooldown_even_where_it_may_not_fail_over() -> None:
    harness = HedgeHarness({"alpha/one": [slow(5.0)], "beta/two": [Failure("auth", 401)]})
    assert harness.call(A, B, failover={"auth": False}).text == "A took its time"
    assert not harness.health.ready(B, harness.targets.clock)


def test_a_hedge_that_refused_is_not_asked_again_when_the_first_target_fails() -> None:
    harness = HedgeHarness({"alpha/one": [slow(5.0, DEAD), DEAD], "beta/two": [BAD]})
    result = harness.call(A, B)
    assert harness.targets.names[:2] == ["alpha/one", "beta/two"]
    assert harness.targets.names.count("beta/two") == 1
    assert result.failed
    assert [failure.kind for _, failure in result.failed.failures] == ["server", "bad_request"]
    assert result.failed.final is None


@pytest.mark.parametrize(
    ("who", "outcomes"),
    [
        (A, [("alpha/one", "skipped"), ("beta/two", "ok")]),
        (B, [("alpha/one", "ok"), ("beta/two", "skipped")]),
    ],
)
def test_a_target_that_cannot_be_sent_the_request_is_skipped(who: Target, outcomes: list[tuple[str, str]]) -> None:
    harness = HedgeHarness({"alpha/one": [slow(5.0)], "beta/two": [say("never")]})

    async def ask() -> CallState:
        make = runtime.current().aexchange
        assert make

        def connect(request: Any, target: Target) -> Any:
            if target is who:
                raise ValidationError("no")
            return make(request, target)

        call = harness.prepare(A, B, streaming=False)
        drive = AsyncDriver(prepared(call), connect, runtime.current())
        await drive.advance()
        await drive.close()
        return call

    trace = harness.targets.run(ask).trace
    assert [(attempt.target, attempt.outcome) for attempt in trace.attempts] == outcomes


@pytest.mark.parametrize("who", ["alpha/one", "beta/two"])
def test_a_mistake_that_is_raised_in_a_hedged_call_is_passed_on_and_leaves_nothing(who: str) -> None:
    scripts: dict[str, list[Attempt]] = {"alpha/one": [slow(9.0)], "beta/two": [slow(9.0)]}
    harness = HedgeHarness({**scripts, who: [slow(3.0, ZeroDivisionError())]})
    with pytest.raises(ZeroDivisionError):
        harness.call(A, B)
    assert harness.targets.open == 0
    assert harness.is_free(A, B)


def test_a_mistake_that_is_raised_too_late_to_matter_is_dropped_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    harness = HedgeHarness({"alpha/one": [slow(3.0)], "beta/two": [slow(1.0, ZeroDivisionError())]})
    harness.targets.latency = 0.0
    assert harness.call(A, B).text == "A took its time"
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


# What is left behind


def test_losing_says_nothing_of_health_and_gives_a_probe_back() -> None:
    harness = HedgeHarness({"alpha/one": [DEAD]}, after=None)
    for _ in range(3):
        harness.call(A)
    harness.wait(400.0)
    assert harness.known("alpha/one")["state"] == "half_open"
    harness.targets.scripts = {"alpha/one": [slow(20.0)], "beta/two": [say("B")]}
    harness.after = 2.0
    assert harness.call(A, B).outcomes == [("alpha/one", "cancelled"), ("beta/two", "ok")]
    assert harness.known("alpha/one")["state"] == "half_open"
    assert harness.health.ready(A, harness.targets.clock)


SCRIPT: dict[str, list[Attempt]] = {
    "alpha/one": [slow(5.0, "A ", *say("it is")), say("again")],
    "beta/two": [slow(2.0, DEAD)],
    "gamma/three": [say("C")],
}
WON: dict[str, list[Attempt]] = {"alpha/one": [slow(9.0)], "beta/two": [slow(1.0, "B ", *say("it is"))]}


@pytest.mark.parametrize("scripts", [SCRIPT, WON])
@pytest.mark.parametrize("cancels", [1, 2])
def test_a_hedged_call_can_be_cancelled_at_any_await(scripts: dict[str, list[Attempt]], cancels: int) -> None:
    for turns in range(100):
        harness = HedgeHarness(scripts)
        cancelled = harness.targets.run(partial(_cancel, harness, turns, cancels))
        assert harness.targets.open == 0
        assert harness.is_free(A, B, C)
        if not cancelled:
            break
    assert 15 < turns < 99


async def _cancel(harness: HedgeHarness, turns: int, cancels: int) -> bool:
    call = harness.prepare(A, B, C)
    task = asyncio.create_task(harness._adrain(call))
    harness.targets.at = {harness.targets.turns + turns + n: task.cancel for n in range(1, cancels + 1)}
    await asyncio.wait([task])
    for _ in range(2 * (cancels - 1)):  # whoever is not left the time to wait for the others' end leaves it to them
        await asyncio.sleep(0)
    assert len(call.trace.attempts) == call.attempt_count
    return task.cancelled() or not task.result().text


def test_a_hedged_call_that_nobody_awaits_any_more_is_closed_without_waiting() -> None:
    harness = HedgeHarness(WON)

    async def forget() -> None:
        drive = harness.adrive(harness.prepare(A, B))
        step = drive.advance()
        pending = step.send(None)  # as an event loop would
        assert asyncio.isfuture(pending)
        for _ in range(9):
            await asyncio.sleep(0)
        step.close()
        assert harness.targets.open == 0
        await asyncio.sleep(0)
        finish_without_loop(drive.close)

    harness.targets.run(forget)
    assert harness.is_free(A, B)


def test_what_is_left_of_a_cancelled_hedged_call_can_be_closed_again_on_another_loop() -> None:
    harness = HedgeHarness({"alpha/one": [[Pause()]], "beta/two": [[Pause()]]})

    async def give_up() -> AsyncDriver:
        drive = harness.adrive(harness.prepare(A, B))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await drive.advance()
        return drive

    drive = harness.targets.run(give_up)
    assert harness.targets.names == ["alpha/one", "beta/two"]
    assert harness.targets.open == 0
    asyncio.run(drive.close())
