"""Streams: silence before the first chunk, honesty after it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.policy.conftest import Rooms
from tests.support.policy_harness import Room, target, texts
from tests.support.scripted_targets import Attempt, Pause, in_chunks, say
from unified_llm._client.drivers import END
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import RetryLimits, Timing
from unified_llm.types import LLMChunk, LLMResponse, ToolCallChunk

DEAD = Failure("server", 503)
LAST = Done(LLMChunk(finish_reason="stop"))
A, B = target("alpha/one"), target("beta/two")


@pytest.mark.parametrize(
    "failing",
    [DEAD, [DEAD], [Failure("truncated")], [Failure("malformed")], [Pause()], [Pause(20.0), DEAD]],
    ids=["refused", "error event", "cut", "not json", "silence", "late error"],
)
def test_a_stream_that_fails_before_its_first_chunk_is_replaced_unseen(room: Rooms, failing: Attempt) -> None:
    play = room({"alpha/one": [failing], "beta/two": [say("Hello to you")]})
    result = play.call(A, B, streaming=True)
    assert result.defeat is None
    assert texts(result) == ["Hello ", "to ", "you"]


def test_silence_before_the_first_chunk_ends_at_the_targets_limit(room: Rooms) -> None:
    play = room({"alpha/one": [[Pause(29.0), *say("slow")]], "beta/two": [say("B")]})
    assert play.call(A, B, streaming=True).text == "slow"
    play.world.asked.clear()
    hasty = target(timing=Timing(first_token=10.0))
    result = play.call(hasty, B, streaming=True)
    assert result.text == "B"
    assert result.trace.attempts[0].seconds == pytest.approx(10.0)


@pytest.mark.parametrize(
    "first",
    [
        LLMChunk(content="H"),
        LLMChunk(reasoning="Hm"),
        LLMChunk(tool_calls=(ToolCallChunk(0, "call_1", "look", "{"),)),
    ],
    ids=["text", "reasoning", "tool call"],
)
def test_after_its_first_chunk_a_stream_that_breaks_is_not_replaced(room: Rooms, first: LLMChunk) -> None:
    play = room({"alpha/one": [[first, Failure("connection")]], "beta/two": [say("B")]})
    result = play.call(A, B, streaming=True)
    assert result.values == [first]
    assert result.defeat
    assert result.defeat.committed
    assert result.defeat.final == (A, Failure("connection"))
    assert play.world.names == ["alpha/one"]


def test_a_stream_without_a_chunk_is_complete_if_its_end_was_announced(room: Rooms) -> None:
    result = room({"alpha/one": [[LAST]]}).call(A, streaming=True)
    assert result.values == [LAST]
    assert result.defeat is None


def test_a_stream_that_is_cut_is_never_taken_for_complete(room: Rooms) -> None:
    result = room({"alpha/one": [["Hel", "lo"]]}).call(A, streaming=True)
    assert texts(result) == ["Hel", "lo"]
    assert result.defeat
    assert result.defeat.final
    assert result.defeat.final[1].kind == "truncated"


def test_a_gap_between_chunks_has_a_limit_of_its_own(room: Rooms) -> None:
    patient = target(timing=Timing(first_token=5.0, gap=60.0))
    play = room({"alpha/one": [["a", Pause(59.0), "b", Pause(59.0), "c", Pause(61.0), "d", LAST]]})
    result = play.call(patient, streaming=True)
    assert texts(result) == ["a", "b", "c"]
    assert result.trace.attempts[0].outcome == "timeout"
    assert result.trace.attempts[0].first_token == pytest.approx(0.01)


def test_a_drip_ends_at_the_deadline_of_the_call(room: Rooms) -> None:
    play = room({"alpha/one": [[step for _ in range(99) for step in ("a", Pause(1.0))]]})
    began = play.world.clock
    result = play.call(A, streaming=True, deadline=10.0)
    assert len(result.values) == 10
    assert result.defeat
    assert play.world.clock - began == pytest.approx(10.0)


# What the breaker learns


@pytest.mark.parametrize(
    ("broken", "failures"),
    [("connection", 1), ("timeout", 1), ("server", 1), ("truncated", 1), ("rate_limit", 0), ("filter", 0)],
)
def test_a_break_counts_once_and_only_if_it_tells_of_ill_health(room: Rooms, broken: str, failures: int) -> None:
    play = room({"alpha/one": [DEAD, ["a", Failure(broken)]]})  # type: ignore[arg-type]
    play.call(target(retry=RetryLimits(limit=0)), streaming=True)
    assert play.known("alpha/one")["failures"] == 1
    play.call(A, streaming=True)
    assert play.known("alpha/one")["failures"] == failures


def test_a_stream_that_the_callers_deadline_cut_off_does_not_count(room: Rooms) -> None:
    play = room({"alpha/one": [["a", Pause()]]})
    play.call(A, streaming=True, deadline=10.0)
    assert play.known("alpha/one")["failures"] == 0
    play.call(A, streaming=True, deadline=100.0)
    assert play.known("alpha/one")["failures"] == 1


def test_a_provider_that_breaks_most_of_its_streams_is_found_out(room: Rooms) -> None:
    play = room({"alpha/one": [["a", Failure("connection")]]})
    for _ in range(4):
        play.call(A, streaming=True)
    assert play.known("alpha/one")["state"] == "closed"
    play.call(A, streaming=True)
    assert play.known("alpha/one")["state"] == "open"


def trip(play: Room) -> None:
    for _ in range(2):
        play.call(A)
    assert play.known("alpha/one")["state"] == "open"
    play.wait(40.0)
    assert play.known("alpha/one")["state"] == "half_open"


def test_a_streaming_probe_closes_the_breaker_at_its_first_chunk() -> None:
    play = Room({"alpha/one": [DEAD, DEAD, DEAD, DEAD, DEAD, ["a", "b", LAST]]})
    trip(play)
    with play.world.running():
        probe = play.drive(play.prepare(A, streaming=True))
        assert probe.advance().content == "a"
        assert play.known("alpha/one")["state"] == "closed"
        probe.close()
    assert play.known("alpha/one")["state"] == "closed"


@pytest.mark.case(46)
def test_a_stream_from_before_the_trip_moves_no_half_open_breaker_when_it_breaks() -> None:
    play = Room({"alpha/one": [["a", Failure("connection")], DEAD]})
    with play.world.running():
        early = play.drive(play.prepare(A, streaming=True))
        assert early.advance().content == "a"
        trip(play)
        assert early.advance() is END
        assert play.known("alpha/one")["state"] == "half_open"
        assert play.health.ready(A, play.world.clock)


# Leaving early


def test_a_stream_that_is_closed_early_leaves_nothing_open_and_counts_for_nothing() -> None:
    play = Room({"alpha/one": [say("Hello to you")]})
    with play.world.running():
        call = play.prepare(A, streaming=True)
        drive = play.drive(call)
        drive.advance()
        assert play.world.open == 1
        drive.close()
        drive.close()
        assert play.world.open == 0
        assert drive.advance() is END
    assert [(each.outcome, each.maybe_billed) for each in call.trace.attempts] == [("cancelled", True)]
    assert play.known("alpha/one")["failures"] == 0
    assert play.known("alpha/one")["retry_budget"] == 10.0


def test_a_stream_that_was_never_begun_asks_nobody() -> None:
    play = Room({"alpha/one": [say("Hello")]})
    with play.world.running():
        call = play.prepare(A, streaming=True)
        play.drive(call).close()
    assert play.world.asked == []
    assert call.trace.attempts == []


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_probe_gives_its_permit_back(
    room: Rooms, problem: type[BaseException], *, streaming: bool
) -> None:
    play = room({"alpha/one": [*[DEAD] * 5, [problem()], say("A")]})
    trip(play)
    with pytest.raises(problem):
        play.call(A, streaming=streaming)
    assert play.world.open == 0
    assert play.known("alpha/one")["state"] == "half_open"
    assert play.health.ready(A, play.world.clock)
    assert play.call(A, streaming=streaming).text == "A"
    assert play.known("alpha/one")["state"] == "closed"


async def test_a_driver_that_is_closed_early_closes_its_exchange_in_async_too() -> None:
    play = Room({"alpha/one": [say("Hello to you")]})
    with play.world.running():
        call = play.prepare(A, streaming=True)
        drive = play.adrive(call)
        await drive.advance()
        assert play.world.open == 1
        await drive.close()
        await drive.close()
        assert await drive.advance() is END
    assert play.world.open == 0
    assert [each.outcome for each in call.trace.attempts] == ["cancelled"]


async def test_cancelling_at_any_await_leaves_nothing_open_and_no_permit_held() -> None:
    script: list[Attempt] = [Failure("rate_limit", 429, retry_after=1.0), say("Hello to you")]
    cancelled = 0
    for steps in range(200):
        play = Room({"alpha/one": [*[DEAD] * 5, *script]})
        await asyncio.to_thread(trip, play)
        with play.world.running():
            task = asyncio.create_task(_consume(play))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            ended = await asyncio.wait([task])
        assert play.world.open == 0
        assert play.health.may_retry(A, play.world.clock, free=True)
        if not next(iter(ended[0])).cancelled():
            break
        cancelled += 1
    assert 5 < cancelled < 199


async def _consume(play: Room) -> None:
    drive = play.adrive(play.prepare(A, streaming=True))
    try:
        while await drive.advance() is not END:
            pass
    finally:
        await drive.close()


def test_a_flow_that_is_collected_as_garbage_settles_without_the_registrys_lock() -> None:
    play = Room({"alpha/one": [say("Hello to you")]})
    with play.world.running():
        call = play.prepare(A, streaming=True)
        drive = play.drive(call)
        drive.advance()
        flow = drive._flow
        drive._exchanges.popitem()[1].close()
        with play.health._lock:
            del drive, flow
            gc.collect()
    assert [each.outcome for each in call.trace.attempts] == ["cancelled"]


def test_a_whole_answer_is_handed_out_once_and_as_it_came(room: Rooms) -> None:
    answer = LLMResponse("Hello", response_id="r-9")
    result = room({"alpha/one": [[answer]]}).call(A)
    assert len(result.values) == 1
    assert result.values[0].value.response_id == "r-9"
    assert result.values[0].request_id == "req-1"
    assert [step.content for step in in_chunks(answer)[:-1]] == ["Hello"]  # type: ignore[union-attr]
