"""``stream`` and ``astream``: their chunks, interruptions, early exits and cancellation."""

from __future__ import annotations

import asyncio
import gc
import pickle
from typing import Any

import pytest

from tests.support.four_ways import CANARY, GPT, HAIKU
from tests.support.scripted_targets import USAGE, Attempt, Pause, ScriptedTargets, say
from unified_llm import LLMClient, health_snapshot, reset_health
from unified_llm._backends.objects.finalize import FinishInBackground, finish_without_loop
from unified_llm._client.stream import AsyncStream, Stream
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ServiceUnavailableError,
    StreamInterruptedError,
    ValidationError,
)
from unified_llm.types import LLMChunk

DEAD = Failure("server", 503)
BROKEN: list[Attempt] = [[f"{CANARY} ", "so far", Failure("connection", detail=CANARY, request_id="req-5")]]


def check_over(stream: Stream) -> None:
    partial = stream.partial
    with pytest.raises(ValidationError, match="already read, or closed"):
        list(stream)
    assert next(stream, None) is None
    assert stream.partial == partial


async def acheck_over(stream: AsyncStream) -> None:
    with pytest.raises(ValidationError, match="already read, or closed"):
        [chunk async for chunk in stream]
    assert await anext(stream, None) is None


def test_nothing_is_sent_before_the_first_chunk_is_asked_for() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    with targets.running():
        stream = LLMClient(GPT).stream("Hello?")
        assert targets.asked == []
        assert iter(stream) is stream
        assert next(stream).content == "Hello "
        assert (stream.partial, stream.attempts) == ("Hello ", ())
        stream.close()


def test_the_last_chunk_alone_carries_what_is_known_at_the_end() -> None:
    targets = ScriptedTargets({GPT: [DEAD], HAIKU: [["Hello", Done(LLMChunk(finish_reason="stop", usage=USAGE))]]})
    with targets.running(), LLMClient(GPT, fallbacks=[HAIKU]).stream("Hello?") as stream:
        *others, last = list(stream)
        check_over(stream)
    assert [(chunk.provider, chunk.model, chunk.usage) for chunk in others] == [(None, None, None)]
    assert (last.provider, last.model, last.usage) == ("anthropic", "claude-haiku-4-5", USAGE)
    assert (last.used_fallback, others[0].used_fallback) == (True, False)
    assert last.attempts == stream.attempts
    assert [attempt.outcome for attempt in last.attempts] == ["server", "server", "ok"]
    assert last.attempts[-1].first_token == pytest.approx(0.01)
    assert stream.partial == "Hello"


def test_partial_holds_no_more_than_the_response_may_have() -> None:
    """Over HTTP such a stream ends; an object that the user gave may go on."""
    targets = ScriptedTargets({GPT: [["x" * 100, "y" * 100, "z", Done(LLMChunk(finish_reason="stop"))]]})
    with targets.running():
        stream = LLMClient(GPT, max_response_bytes=150).stream("Hello?")
        assert "".join(chunk.content for chunk in stream) == "x" * 100 + "y" * 100 + "z"
    assert stream.partial == "x" * 100
    assert repr(stream) == str(stream) == f"Stream({GPT}, 3 chunks so far)"


def check_interrupted(error: StreamInterruptedError) -> None:
    assert error.partial == f"{CANARY} so far"
    assert (error.provider, error.model, error.request_id, error.detail) == ("openai", "gpt-4o", "req-5", CANARY)
    assert [attempt.outcome for attempt in error.attempts] == ["connection"]
    assert CANARY not in str(error)
    assert CANARY not in repr(error)
    assert "the request was not sent again" in str(error)
    assert type(error.__cause__).__name__ == "ConnectionError"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (copy.partial, copy.detail, str(copy)) == ("", None, str(error))


def test_a_stream_that_breaks_raises_with_what_had_arrived_and_then_is_over() -> None:
    targets = ScriptedTargets({GPT: BROKEN, HAIKU: [say("never")]})
    with targets.running():
        stream = LLMClient(GPT, fallbacks=[HAIKU]).stream("Hello?")
        with pytest.raises(StreamInterruptedError) as caught:
            list(stream)
        check_over(stream)
    check_interrupted(caught.value)
    assert (targets.names, targets.open) == ([GPT], 0)
    assert CANARY not in repr(stream)


async def test_a_stream_that_breaks_raises_in_async_too() -> None:
    targets = ScriptedTargets({GPT: BROKEN, HAIKU: [say("never")]})
    with targets.running():
        stream = LLMClient(GPT, fallbacks=[HAIKU]).astream("Hello?")
        with pytest.raises(StreamInterruptedError) as caught:
            async for _ in stream:
                pass
        await acheck_over(stream)
    check_interrupted(caught.value)
    assert (targets.names, targets.open) == ([GPT], 0)


def test_usage_that_came_before_the_break_is_kept() -> None:
    targets = ScriptedTargets({GPT: [[LLMChunk(content="a", usage=USAGE), Failure("connection")]]})
    with targets.running(), pytest.raises(StreamInterruptedError) as caught:
        list(LLMClient(GPT).stream("Hello?"))
    assert caught.value.usage == USAGE


def test_a_stream_that_the_deadline_cuts_off_says_so() -> None:
    targets = ScriptedTargets({GPT: [["a", Pause()]]})
    with targets.running(), pytest.raises(StreamInterruptedError, match="no response came in time") as caught:
        list(LLMClient(GPT).stream("Hello?", deadline=5.0))
    assert caught.value.partial == "a"
    assert type(caught.value.__cause__).__name__ == "TimeoutError"


def test_a_stream_that_never_began_raises_as_a_call_would() -> None:
    targets = ScriptedTargets({GPT: [DEAD], HAIKU: [DEAD]})
    with targets.running():
        with pytest.raises(ServiceUnavailableError):
            next(LLMClient(GPT).stream("Hello?"))
        with pytest.raises(AllTargetsFailedError):
            next(LLMClient(GPT, fallbacks=[HAIKU]).stream("Hello?"))


# Leaving early


def check_left(targets: ScriptedTargets) -> None:
    assert targets.open == 0
    assert health_snapshot()[0]["consecutive_failures"] == 0
    assert health_snapshot()[0]["state"] == "closed"


def test_breaking_out_of_a_stream_closes_its_exchange() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    seen: list[str] = []
    with targets.running():
        for _ in LLMClient(GPT, on_attempt=lambda attempt: seen.append(attempt.outcome)).stream("Hello?"):
            break
        check_left(targets)
    assert seen == ["cancelled"]


def test_an_exception_of_the_consumer_closes_its_exchange() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    with targets.running():
        stream = LLMClient(GPT).stream("Hello?")
        with pytest.raises(ZeroDivisionError), stream:
            raise ZeroDivisionError(next(stream))
        check_left(targets)
        check_over(stream)


def test_a_stream_in_a_cycle_is_closed_by_the_garbage_collector() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    with targets.running():
        stream = LLMClient(GPT).stream("Hello?")
        next(stream)
        cycle: list[Any] = [stream]
        cycle.append(cycle)
        del stream, cycle
        gc.collect()
        check_left(targets)


async def test_breaking_out_of_an_async_stream_closes_its_exchange() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    with targets.running():
        async with LLMClient(GPT).astream("Hello?") as stream:
            async for _ in stream:
                break
        check_left(targets)
        await acheck_over(stream)


async def test_an_async_stream_without_references_is_closed_without_awaiting() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    with targets.running():
        stream = LLMClient(GPT).astream("Hello?")
        await anext(stream)
        assert targets.open == 1
        del stream
        gc.collect()
        check_left(targets)


def test_an_async_stream_is_closed_after_its_loop_has_ended() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    with targets.running():
        streams = [LLMClient(GPT).astream("Hello?")]

        async def first() -> LLMChunk:
            return await anext(streams[0])

        assert asyncio.run(first()).content == "Hello "
        streams.clear()
        gc.collect()
        check_left(targets)


def test_what_would_have_to_wait_is_not_waited_for_in_the_garbage_collector() -> None:
    steps: list[str] = []

    async def close() -> None:
        steps.append("begun")
        try:
            await asyncio.sleep(0)
        finally:
            steps.append("ended")

    finish_without_loop(close)
    assert steps == ["begun", "ended"]


def test_what_is_awaited_to_its_end_is_still_cancelled_and_closed_as_anything_is() -> None:
    steps: list[str] = []

    async def clean_up() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            steps.append("cancelled")
            await asyncio.sleep(0)
            raise
        finally:
            steps.append("ended")

    async def close() -> None:
        await FinishInBackground(clean_up())

    async def cancel() -> None:
        task = asyncio.create_task(close())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert steps == ["cancelled", "ended"]

    async def wait() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            steps.append("closed")

    async def close_without_a_loop() -> None:
        await FinishInBackground(wait())

    finish_without_loop(close_without_a_loop)
    gc.collect()
    assert steps[2:] == ["closed"]


# Cancellation


@pytest.mark.parametrize("way", ["agenerate", "astream"])
@pytest.mark.case(44)
async def test_a_call_can_be_cancelled_at_any_await(way: str) -> None:
    script: list[Attempt] = [DEAD, Failure("rate_limit", 429, headers={"retry-after": "1"}), say("Hello to you")]
    cancelled = 0
    for steps in range(100):
        reset_health()
        targets = ScriptedTargets({GPT: script})
        with targets.running():
            client = LLMClient(GPT)
            task = asyncio.create_task(_ask(client, way))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert targets.open == 0
            if not task.cancelled():
                break
            cancelled += 1
            assert all(row["consecutive_failures"] <= 1 for row in health_snapshot())
    assert 5 < cancelled < 99


async def _ask(client: LLMClient, way: str) -> None:
    if way == "agenerate":
        await client.agenerate("Hello?")
    else:
        async for _ in client.astream("Hello?"):
            pass


async def test_a_call_can_be_cancelled_twice() -> None:
    targets = ScriptedTargets({GPT: [[Pause(1.0)] * 9 + say("Hello")]})
    with targets.running():
        task = asyncio.create_task(LLMClient(GPT).agenerate("Hello?"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert targets.open == 0


def test_an_interrupt_in_a_call_closes_its_exchange_and_is_not_swallowed() -> None:
    targets = ScriptedTargets({GPT: [[KeyboardInterrupt()], say("Hello")]})
    with targets.running():
        client = LLMClient(GPT)
        with pytest.raises(KeyboardInterrupt):
            client.generate("Hello?")
        check_left(targets)
        assert client.generate("Hello?").content == "Hello"


# Taken for another kind of stream


def test_async_code_with_a_sync_stream_is_told_what_to_write() -> None:
    async def wait(stream: Any) -> None:
        await stream

    async def loop(stream: Any) -> None:
        async for _ in stream:
            pass

    async def block(stream: Any) -> None:
        async with stream:
            pass

    async def first(stream: Any) -> None:
        stream[0]

    with ScriptedTargets({GPT: []}).running() as targets:
        for wrong, meant in (
            (wait, r"stream\(\) is not awaited: write `for chunk in client.stream"),
            (loop, r"in async code write `async for chunk in client.astream"),
            (block, r"in async code write `async with client.astream"),
            (first, r"chunks = list\(client.stream"),
        ):
            stream = LLMClient(GPT).stream("Hello?")
            with pytest.raises(TypeError, match=meant):
                asyncio.run(wrong(stream))
            assert stream.partial == ""
        assert targets.asked == []


def test_sync_code_with_an_async_stream_is_told_what_to_write() -> None:
    async def wait(stream: Any) -> None:
        await stream

    def loop(stream: Any) -> None:
        for _ in stream:
            pass

    def block(stream: Any) -> None:
        with stream:
            pass

    as_iterable: Any = list
    as_iterator: Any = next
    with ScriptedTargets({GPT: []}).running() as targets:
        for wrong, meant in (
            (lambda stream: asyncio.run(wait(stream)), r"astream\(\) is not awaited: write `async for chunk in"),
            (
                loop,
                r"write `async for chunk in client.astream.*, or in sync code `for chunk in client.stream",
            ),
            (as_iterable, r"astream\(\) is for async code"),
            (as_iterator, r"write `await anext\(stream\)`"),
            (block, r"write `async with client.astream"),
            (lambda stream: stream[0], r"\[chunk async for chunk in client.astream"),
        ):
            with pytest.raises(TypeError, match=meant):
                wrong(LLMClient(GPT).astream("Hello?"))
        assert targets.asked == []
