"""Streams: silence before the first chunk, honesty after it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.policy.conftest import MakeHarness
from tests.support.each import each
from tests.support.policy_harness import PolicyHarness, target, texts
from tests.support.scripted_targets import Attempt, Pause, in_chunks, say
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import RetryLimits, Timing
from unified_llm._policy.call_state import CallFailed
from unified_llm.types import LLMChunk, LLMResponse, ToolCallChunk

DEAD = Failure("server", 503)
LAST = Done(LLMChunk(finish_reason="stop"))
A, B = target("alpha/one"), target("beta/two")


@each(
    "failing",
    [DEAD, [DEAD], [Failure("truncated")], [Failure("malformed")], [Pause()], [Pause(20.0), DEAD]],
)
def test_a_stream_that_fails_before_its_first_chunk_is_replaced_unseen(
    make_harness: MakeHarness, failing: Attempt
) -> None:
    harness = make_harness({"alpha/one": [failing], "beta/two": [say("Hello to you")]})
    result = harness.call(A, B, streaming=True)
    assert result.failed is None
    assert texts(result) == ["Hello ", "to ", "you"]


def test_silence_before_the_first_chunk_ends_at_the_targets_limit(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[Pause(19.0), *say("slow")]], "beta/two": [say("B")]})
    assert harness.call(A, B, streaming=True).text == "slow"
    harness.targets.asked.clear()
    hasty = target(timing=Timing(first_token=10.0))
    result = harness.call(hasty, B, streaming=True)
    assert result.text == "B"
    assert result.trace.attempts[0].seconds == pytest.approx(10.0)


@each(
    "first",
    [
        LLMChunk(content="H"),
        LLMChunk(reasoning="Hm"),
        LLMChunk(tool_calls=(ToolCallChunk(0, "call_1", "look", "{"),)),
    ],
)
def test_after_its_first_chunk_a_stream_that_breaks_is_not_replaced(make_harness: MakeHarness, first: LLMChunk) -> None:
    harness = make_harness({"alpha/one": [[first, Failure("connection")]], "beta/two": [say("B")]})
    result = harness.call(A, B, streaming=True)
    assert result.values == [first]
    assert result.failed
    assert result.failed.committed
    assert result.failed.final == (A, Failure("connection"))
    assert harness.targets.names == ["alpha/one"]


def test_a_stream_without_a_chunk_is_complete_if_its_end_was_announced(make_harness: MakeHarness) -> None:
    result = make_harness({"alpha/one": [[LAST]]}).call(A, streaming=True)
    assert result.values == [LAST]
    assert result.failed is None


def test_a_stream_that_is_cut_is_never_taken_for_complete(make_harness: MakeHarness) -> None:
    result = make_harness({"alpha/one": [["Hel", "lo"]]}).call(A, streaming=True)
    assert texts(result) == ["Hel", "lo"]
    assert result.failed
    assert result.failed.final
    assert result.failed.final[1].kind == "truncated"


def test_a_gap_between_chunks_has_a_limit_of_its_own(make_harness: MakeHarness) -> None:
    patient = target(timing=Timing(first_token=5.0, gap=60.0))
    harness = make_harness({"alpha/one": [["a", Pause(59.0), "b", Pause(59.0), "c", Pause(61.0), "d", LAST]]})
    result = harness.call(patient, streaming=True)
    assert texts(result) == ["a", "b", "c"]
    assert result.trace.attempts[0].outcome == "timeout"
    assert result.trace.attempts[0].first_token == pytest.approx(0.01)


def test_a_drip_ends_at_the_deadline_of_the_call(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [[step for _ in range(99) for step in ("a", Pause(1.0))]]})
    began = harness.targets.clock
    result = harness.call(A, streaming=True, deadline=10.0)
    assert len(result.values) == 10
    assert result.failed
    assert harness.targets.clock - began == pytest.approx(10.0)


# What the breaker learns


@each(
    ("broken", "failures"),
    [("connection", 1), ("timeout", 1), ("server", 1), ("truncated", 1), ("rate_limit", 0), ("filter", 0)],
)
def test_a_break_counts_once_and_only_if_it_shows_ill_health(
    make_harness: MakeHarness, broken: str, failures: int
) -> None:
    harness = make_harness({"alpha/one": [DEAD, ["a", Failure(broken)]]})  # type: ignore[arg-type]
    harness.call(target(retry=RetryLimits(limit=0)), streaming=True)
    assert harness.known("alpha/one")["consecutive_failures"] == 1
    harness.call(A, streaming=True)
    assert harness.known("alpha/one")["consecutive_failures"] == failures


def test_a_stream_that_the_callers_deadline_cut_off_does_not_count(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [["a", Pause()]]})
    harness.call(A, streaming=True, deadline=10.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 0
    harness.call(A, streaming=True, deadline=100.0)
    assert harness.known("alpha/one")["consecutive_failures"] == 1


def test_a_provider_that_breaks_most_of_its_streams_is_found_out(make_harness: MakeHarness) -> None:
    harness = make_harness({"alpha/one": [["a", Failure("connection")]]})
    for _ in range(4):
        harness.call(A, streaming=True)
    assert harness.known("alpha/one")["state"] == "closed"
    harness.call(A, streaming=True)
    assert harness.known("alpha/one")["state"] == "open"


def trip(harness: PolicyHarness) -> None:
    for _ in range(2):
        harness.call(A)
    assert harness.known("alpha/one")["state"] == "open"
    harness.wait(40.0)
    assert harness.known("alpha/one")["state"] == "half_open"


def test_a_streaming_probe_closes_the_breaker_at_its_first_chunk() -> None:
    harness = PolicyHarness({"alpha/one": [DEAD, DEAD, DEAD, DEAD, DEAD, ["a", "b", LAST]]})
    trip(harness)
    with harness.targets.running():
        probe = harness.drive(harness.prepare(A, streaming=True))
        assert probe.advance() == LLMChunk(content="a")
        assert harness.known("alpha/one")["state"] == "closed"
        probe.close()
    assert harness.known("alpha/one")["state"] == "closed"


@pytest.mark.case(46)
def test_a_stream_from_before_the_trip_moves_no_half_open_breaker_when_it_breaks() -> None:
    harness = PolicyHarness({"alpha/one": [["a", Failure("connection")], DEAD]})
    with harness.targets.running():
        early = harness.drive(harness.prepare(A, streaming=True))
        assert early.advance() == LLMChunk(content="a")
        trip(harness)
        assert isinstance(early.advance(), CallFailed)
        assert harness.known("alpha/one")["state"] == "half_open"
        assert harness.health.ready(A, harness.targets.clock)


# Leaving early


def test_a_stream_that_is_closed_early_leaves_nothing_open_and_counts_for_nothing() -> None:
    harness = PolicyHarness({"alpha/one": [say("Hello to you")]})
    with harness.targets.running():
        call = harness.prepare(A, streaming=True)
        drive = harness.drive(call)
        drive.advance()
        assert harness.targets.open == 1
        drive.close()
        drive.close()
        assert harness.targets.open == 0
    assert [(attempt.outcome, attempt.maybe_billed) for attempt in call.trace.attempts] == [("cancelled", True)]
    assert harness.known("alpha/one")["consecutive_failures"] == 0
    assert harness.known("alpha/one")["retry_budget"] == 10.0


def test_a_stream_that_was_never_begun_asks_nobody() -> None:
    harness = PolicyHarness({"alpha/one": [say("Hello")]})
    with harness.targets.running():
        call = harness.prepare(A, streaming=True)
        harness.drive(call).close()
    assert harness.targets.asked == []
    assert call.trace.attempts == []


@each("streaming", [False, True])
@each("problem", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_probe_gives_its_permit_back(
    make_harness: MakeHarness, problem: type[BaseException], *, streaming: bool
) -> None:
    harness = make_harness({"alpha/one": [*[DEAD] * 5, [problem()], say("A")]})
    trip(harness)
    with pytest.raises(problem):
        harness.call(A, streaming=streaming)
    assert harness.targets.open == 0
    assert harness.known("alpha/one")["state"] == "half_open"
    assert harness.health.ready(A, harness.targets.clock)
    assert harness.call(A, streaming=streaming).text == "A"
    assert harness.known("alpha/one")["state"] == "closed"


async def test_a_driver_that_is_closed_early_closes_its_exchange_in_async_too() -> None:
    harness = PolicyHarness({"alpha/one": [say("Hello to you")]})
    with harness.targets.running():
        call = harness.prepare(A, streaming=True)
        drive = harness.adrive(call)
        await drive.advance()
        assert harness.targets.open == 1
        await drive.close()
        await drive.close()
    assert harness.targets.open == 0
    assert [attempt.outcome for attempt in call.trace.attempts] == ["cancelled"]


async def test_cancelling_at_any_await_leaves_nothing_open_and_no_permit_held() -> None:
    script: list[Attempt] = [Failure("rate_limit", 429, retry_after=1.0), say("Hello to you")]
    cancelled = 0
    for steps in range(200):
        harness = PolicyHarness({"alpha/one": [*[DEAD] * 5, *script]})
        await asyncio.to_thread(trip, harness)
        with harness.targets.running():
            task = asyncio.create_task(_consume(harness))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            ended = await asyncio.wait([task])
        assert harness.targets.open == 0
        assert harness.health.may_retry(A, harness.targets.clock, free=True)
        if not next(iter(ended[0])).cancelled():
            break
        cancelled += 1
    assert 5 < cancelled < 199


async def _consume(harness: PolicyHarness) -> None:
    drive = harness.adrive(harness.prepare(A, streaming=True))
    try:
        while not isinstance(await drive.advance(), Done):
            pass
    finally:
        await drive.close()


def test_a_policy_that_is_collected_as_garbage_records_its_outcome_without_the_registrys_lock() -> None:
    harness = PolicyHarness({"alpha/one": [say("Hello to you")]})
    with harness.targets.running():
        call = harness.prepare(A, streaming=True)
        drive = harness.drive(call)
        drive.advance()
        generator = drive._policy
        drive._exchanges.popitem()[1].close()
        with harness.health._lock:
            del drive, generator
            gc.collect()
    assert [attempt.outcome for attempt in call.trace.attempts] == ["cancelled"]


def test_a_whole_answer_is_handed_out_once_and_as_it_came(make_harness: MakeHarness) -> None:
    answer = LLMResponse("Hello", response_id="r-9")
    result = make_harness({"alpha/one": [[answer]]}).call(A)
    assert len(result.values) == 1
    assert result.values[0].value.response_id == "r-9"
    assert result.values[0].request_id == "req-1"
    assert [step.content for step in in_chunks(answer)[:-1]] == ["Hello"]  # type: ignore[union-attr]
