"""Connection permits: so many for each origin, in order, and none is lost."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.each import each
from unified_llm._backends.http import exchange_async, exchange_sync
from unified_llm._backends.http.permits import Permit, Permits, seconds_to_wait

HERE, THERE = ("http", "a.test", 80), ("http", "b.test", 80)


def test_so_many_are_granted_for_each_origin_and_the_next_one_waits() -> None:
    permits = Permits(3)
    held = [permits.request(HERE) for _ in range(4)]
    assert [permit.granted for permit in held] == [True, True, True, False]
    assert permits.request(THERE).granted
    held[1].release()
    assert held[3].granted
    assert permits.in_use() == {HERE: 3}


def test_they_are_granted_in_the_order_in_which_they_were_requested() -> None:
    permits = Permits(1)
    held = [permits.request(HERE) for _ in range(4)]
    held[2].release()  # one that gives up
    held[0].release()
    assert [permit.granted for permit in held[1::2]] == [True, False]
    held[1].release()
    assert held[3].granted


def test_a_permit_that_nothing_refers_to_is_free() -> None:
    permits = Permits(1)
    permit: Permit | None = permits.request(HERE)
    waits = permits.request(HERE)
    assert permit
    assert not waits.granted
    permit = None
    assert waits.granted


def test_a_permit_in_a_garbage_cycle_is_free_once_it_is_collected() -> None:
    permits = Permits(1)
    cycle: list[object] = [permits.request(HERE)]
    cycle.append(cycle)
    waits = permits.request(HERE)
    del cycle
    gc.collect()
    assert waits.granted


def test_releasing_twice_frees_one() -> None:
    permits = Permits(1)
    first, second, third = (permits.request(HERE) for _ in range(3))
    first.release()
    first.release()
    assert (second.granted, third.granted) == (True, False)


@pytest.mark.thorough
def test_origins_do_not_accumulate() -> None:
    permits = Permits(1000)
    busy = [permits.request(("https", "busy.test", port)) for port in range(50)]
    for number in range(100_000):
        permits.request(("https", f"{number}.test", 443)).release()
    assert len(permits) <= 200
    assert len(permits.in_use()) == len(busy)


def test_threads_never_hold_more_than_there_are_and_all_get_one() -> None:
    permits, holding, most = Permits(3), [0], [0]
    lock = threading.Lock()

    def work(_: int) -> bool:
        permit = permits.request(HERE)
        granted = exchange_sync._wait_for(permit, 30.0)
        with lock:
            holding[0] += 1
            most[0] = max(most[0], holding[0])
        with lock:
            holding[0] -= 1
        permit.release()
        return granted

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(work, range(2000)))
    assert most[0] <= 3
    assert permits.in_use() == {}


async def test_tasks_never_hold_more_than_there_are_and_all_get_one() -> None:
    permits, holding, most = Permits(3), [0], [0]

    async def work() -> bool:
        permit = permits.request(HERE)
        granted = await exchange_async._wait_for(permit, 30.0)
        holding[0] += 1
        most[0] = max(most[0], holding[0])
        await asyncio.sleep(0)
        holding[0] -= 1
        permit.release()
        return granted

    assert all(await asyncio.gather(*(work() for _ in range(500))))
    assert most[0] == 3
    assert permits.in_use() == {}


async def test_a_task_that_is_cancelled_while_it_waits_is_no_longer_in_line() -> None:
    permits = Permits(1)
    first = permits.request(HERE)

    async def wait() -> bool:
        permit = permits.request(HERE)
        try:
            return await exchange_async._wait_for(permit, 30.0)
        finally:
            permit.release()

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    assert permits.in_use() == {HERE: 3}
    first.release()
    assert await asyncio.gather(*tasks[1:]) == [True, True]


def test_a_wait_that_is_in_vain_ends() -> None:
    permits = Permits(1)
    first, second = permits.request(HERE), permits.request(HERE)
    assert first.granted
    assert not exchange_sync._wait_for(second, 0.01)
    assert not asyncio.run(exchange_async._wait_for(second, 0.01))


@each(("left", "waits"), [(-1.0, 0.0), (0.1, 0.1), (3.0, 1.5), (10.0, 5.0), (600.0, 5.0)])
def test_half_of_the_time_that_is_left_is_kept_for_the_request(left: float, waits: float) -> None:
    assert seconds_to_wait(left) == waits
