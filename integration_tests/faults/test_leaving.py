"""Cases 42 and 43, and more of 38: consumers that stop early or are slow, and the cleanup after them.

Each client here is limited to one connection, so that a lost permit fails the next call.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from integration_tests.support.cleanup_checks import narrow, no_task_left, nothing_left
from integration_tests.support.fault_harness import limit_connections
from integration_tests.support.fault_responses import END, ROLE, begun, delta
from integration_tests.support.fault_server import LAST_CHUNK, FaultServer, Hang, Repeat, Send, Step, chunk
from unified_llm import LLMClient

Leaving = Literal["breaks out", "raises", "forgets", "closes"]
LEAVING: tuple[Leaving, ...] = ("breaks out", "raises", "forgets", "closes")
ENDLESS: list[Step] = [Send(begun(ROLE)), Repeat(chunk(delta("more ")), pause=0.005)]
SILENT: list[Step] = [Send(begun(ROLE + delta("more "))), Hang()]


class _ConsumerError(Exception):
    """An error of the consumer."""


@pytest.fixture(autouse=True)
def _one_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_connections(monkeypatch, 1)


def leave(client: LLMClient, how: Leaving) -> None:
    """Read one chunk, and stop."""
    stream = client.stream("CANARY-prompt")
    match how:
        case "breaks out":
            for _ in stream:
                break
        case "raises":
            with contextlib.suppress(_ConsumerError):
                for _ in stream:
                    raise _ConsumerError
        case "closes":
            with stream:
                assert next(stream).content
        case "forgets":
            assert next(stream).content
            cycle: list[Any] = [stream]
            cycle.append(cycle)
            del cycle
    del stream
    gc.collect()


async def aleave(client: LLMClient, how: Leaving) -> None:
    """Async version of ``leave``. The task continues, so that its end cannot have caused the cleanup."""
    stream = client.astream("CANARY-prompt")
    match how:
        case "breaks out":
            async for _ in stream:
                break
        case "raises":
            with contextlib.suppress(_ConsumerError):
                async for _ in stream:
                    raise _ConsumerError
        case "closes":
            async with stream:
                assert (await anext(stream)).content
        case "forgets":
            assert (await anext(stream)).content
            cycle: list[Any] = [stream]
            cycle.append(cycle)
            del cycle
    del stream
    gc.collect()


@pytest.mark.parametrize("script", [ENDLESS, SILENT], ids=["while more comes", "while nothing comes"])
@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.case(42, ways=["sync stream"])
def test_a_consumer_that_leaves_gives_everything_back(how: Leaving, script: list[Step]) -> None:
    with FaultServer(script) as server, nothing_left(server):
        client = narrow(server)
        for left in range(1, 4):
            leave(client, how)
            assert server.settles_at(0)
            assert len(server.requests) == left
        client.close()


@pytest.mark.parametrize("script", [ENDLESS, SILENT], ids=["while more comes", "while nothing comes"])
@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.case(42, ways=["async stream"])
def test_an_async_consumer_that_leaves_gives_everything_back(how: Leaving, script: list[Step]) -> None:
    async def work(server: FaultServer) -> None:
        async with no_task_left(turns=20), narrow(server) as client:
            for left in range(1, 4):
                await aleave(client, how)
                assert await asyncio.to_thread(server.settles_at, 0)
                assert len(server.requests) == left

    with FaultServer(script) as server, nothing_left(server):
        asyncio.run(work(server))


@pytest.mark.parametrize("script", [ENDLESS, SILENT], ids=["while more comes", "while nothing comes"])
@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.case(42, ways=["async stream"])
def test_leaving_may_be_the_last_that_a_loop_sees(
    how: Leaving, script: list[Step], caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with FaultServer(script) as server, nothing_left(server):
        asyncio.run(aleave(narrow(server), how))
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio" and record.levelno > 20] == []
    assert list(recwarn) == []


@pytest.mark.case(42, ways=["async stream"])
def test_a_stream_that_outlives_its_loop_leaves_nothing(recwarn: pytest.WarningsRecorder) -> None:
    with FaultServer(SILENT) as server, nothing_left(server):
        streams = [narrow(server).astream("CANARY-prompt")]

        async def begin() -> str:
            return (await anext(streams[0])).content

        assert asyncio.run(begin()) == "more "
        streams.clear()
        gc.collect()
    assert list(recwarn) == []


@pytest.mark.case(42, ways=["sync stream", "async stream"])
def test_a_stream_that_is_never_read_sends_no_request() -> None:
    async def never(client: LLMClient) -> None:
        async with no_task_left(), client.astream("CANARY-prompt"):
            pass

    with FaultServer(SILENT) as server, nothing_left(server):
        client = narrow(server)
        with client.stream("CANARY-prompt"):
            pass
        asyncio.run(never(client))
        assert server.accepted == 0


# A slow consumer, and a stream with many events

BIG = "x" * 10_000


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    """Assert that memory stays below so many bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.case(43, ways=["sync stream"])
def test_a_slow_consumer_slows_the_server_down() -> None:
    with (
        FaultServer([Send(begun(ROLE)), Repeat(chunk(delta(BIG)))]) as server,
        nothing_left(server),
        narrow(server) as client,
        client.stream("CANARY-prompt") as stream,
    ):
        assert next(stream).content == BIG
        with little_memory(3_000_000):
            for _ in range(20):
                assert next(stream).content == BIG
                time.sleep(0.01)


@pytest.mark.case(43, ways=["async stream"])
async def test_a_slow_async_consumer_slows_the_server_down() -> None:
    with FaultServer([Send(begun(ROLE)), Repeat(chunk(delta(BIG)))]) as server, nothing_left(server):
        async with no_task_left(), narrow(server) as client, client.astream("CANARY-prompt") as stream:
            assert (await anext(stream)).content == BIG
            with little_memory(3_000_000):
                for _ in range(20):
                    assert (await anext(stream)).content == BIG
                    await asyncio.sleep(0.01)


MANY = 200
TINY = Repeat(chunk(delta("x") * 500), times=MANY)


@pytest.mark.case(38, ways=["sync stream"])
def test_memory_stays_flat_over_very_many_events() -> None:
    with FaultServer([Send(begun(ROLE)), TINY, Send(chunk(END) + LAST_CHUNK)]) as server, nothing_left(server):
        with narrow(server) as client, client.stream("CANARY-prompt") as stream:
            next(stream)
            with little_memory(3_000_000):
                count = sum(1 for _ in stream)
        assert count == MANY * 500


@pytest.mark.case(38, ways=["async stream"])
async def test_memory_stays_flat_over_very_many_events_in_async_too() -> None:
    with FaultServer([Send(begun(ROLE)), TINY, Send(chunk(END) + LAST_CHUNK)]) as server, nothing_left(server):
        async with no_task_left(), narrow(server) as client, client.astream("CANARY-prompt") as stream:
            await anext(stream)
            count = 0
            with little_memory(3_000_000):
                async for _ in stream:
                    count += 1
        assert count == MANY * 500
