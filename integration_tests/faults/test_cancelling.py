"""Case 44: cancelled at every await, twice, by a timeout, one of many; nothing is left over.

Each client here is limited to one connection, so that a lost permit fails the next call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from integration_tests.support.cleanup_checks import narrow, no_task_left, nothing_left
from integration_tests.support.fault_harness import KEY, limit_connections, target
from integration_tests.support.fault_responses import FIRST, ROLE, SECOND, answer, begun, delta, refusal, streamed
from integration_tests.support.fault_server import FaultServer, Hang, Send
from integration_tests.support.waiting import PATIENCE
from unified_llm import LLMClient, health_snapshot, reset_health
from unified_llm.exceptions import ConnectionError


@pytest.fixture(autouse=True)
def _one_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_connections(monkeypatch, 1)


class CancelledAt:
    """Runs a coroutine and cancels its own task at one await point.

    Args:
        work: The coroutine.
        at: The number of the await point, from 1.
        times: The number of consecutive await points at which to cancel.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], at: int, times: int = 1) -> None:
        self.work, self.at, self.times = work, at, times

    def __await__(self) -> Generator[Any, Any, Any]:
        task, waits = asyncio.current_task(), 0
        assert task
        steps = self.work.__await__()
        send: Any = steps.__next__
        while True:
            try:
                waited_for = send()
            except StopIteration as end:
                return end.value
            waits += 1
            if self.at <= waits < self.at + self.times:
                task.cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - exceptions thrown into the task belong to the coroutine
                send = lambda error=error: steps.throw(error)  # noqa: E731
            else:
                send = steps.__next__


async def collect(client: LLMClient, *, streaming: bool) -> str:
    if not streaming:
        return (await client.agenerate("CANARY-prompt")).content
    return "".join([chunk.content async for chunk in client.astream("CANARY-prompt")])


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("way", ["async call", "async stream"])
@pytest.mark.case(44)
def test_a_call_can_be_cancelled_at_every_await(way: str, times: int) -> None:
    """Covers connecting, reading, backoff, failover, a slow stream, and closing it."""
    streaming = way == "async stream"
    good = Send(streamed(SECOND) if streaming else answer(SECOND), every=200, pause=0.002)

    async def work() -> int:
        at = 0
        async with no_task_left(), narrow(dead, healthy, max_retries=1, retry_delay=0.02) as client:
            while True:
                at += 1
                reset_health()
                task = asyncio.create_task(run(CancelledAt(collect(client, streaming=streaming), at, times)))
                await asyncio.wait([task])
                assert all(row["consecutive_failures"] <= 2 for row in health_snapshot())
                if not task.cancelled():
                    assert task.result() == SECOND
                    reset_health()
                    return at

    with (
        FaultServer([Send(refusal("503 Busy", b""))]) as dead,
        FaultServer([good]) as healthy,
        nothing_left(dead, healthy),
    ):
        assert asyncio.run(work()) > 6


async def run(cancelled: CancelledAt) -> Any:
    return await cancelled


@pytest.mark.parametrize("way", ["async call", "async stream"])
@pytest.mark.case(44)
def test_a_timeout_of_the_caller_works_around_a_call(way: str) -> None:
    async def work(server: FaultServer) -> None:
        async with no_task_left(), narrow(server) as client:
            for _ in range(2):
                with pytest.raises(TimeoutError) as late:
                    async with asyncio.timeout(0.05):
                        await collect(client, streaming=way == "async stream")
                assert type(late.value) is TimeoutError

    with FaultServer([Hang()]) as server, nothing_left(server):
        asyncio.run(work(server))


@pytest.mark.parametrize("way", ["async call", "async stream"])
@pytest.mark.case(44)
def test_a_permit_that_is_held_is_missed_by_others(way: str) -> None:
    """Check the premise of the tests above: there is one permit, and an open stream uses it."""

    async def work(server: FaultServer) -> None:
        async with no_task_left(), narrow(server) as client, client.astream("CANARY-prompt") as held:
            await anext(held)
            with pytest.raises(ConnectionError, match="every connection of this client was busy"):
                await asyncio.wait_for(client.agenerate("CANARY-prompt", deadline=0.2), PATIENCE)

    with FaultServer([Send(begun(ROLE + delta("more "))), Hang()]) as server, nothing_left(server):
        asyncio.run(work(server))


@pytest.mark.parametrize("way", ["async call", "async stream"])
@pytest.mark.case(44)
def test_one_of_many_calls_can_be_cancelled_without_harm_to_the_others(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_connections(monkeypatch, 10)
    good = [Send(streamed() if way == "async stream" else answer(), every=50, pause=0.02)]

    async def work(server: FaultServer) -> None:
        async with no_task_left(), LLMClient(target("first", f"{server.url}/v1", KEY)) as client:
            tasks = [asyncio.create_task(collect(client, streaming=way == "async stream")) for _ in range(10)]
            assert await asyncio.to_thread(server.has_received, 10)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results[1::2] == [FIRST] * 5
            assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])

    with FaultServer(good) as server, nothing_left(server):
        asyncio.run(work(server))
