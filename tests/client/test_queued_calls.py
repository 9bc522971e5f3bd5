from __future__ import annotations

import asyncio
from contextvars import copy_context
from threading import Thread

from unified_llm._client.queued_calls import is_queued, queued_calls


def test_calls_are_queued_in_the_block_and_in_the_threads_and_tasks_that_begin_there() -> None:
    seen: list[bool] = []

    async def look() -> None:
        async def in_task() -> None:
            seen.append(is_queued())

        with queued_calls():
            task = asyncio.create_task(in_task())
        await task
        await in_task()

    with queued_calls():
        thread = Thread(target=copy_context().run, args=(lambda: seen.append(is_queued()),))
        with queued_calls():
            pass
        seen.append(is_queued())
    thread.start()
    thread.join()
    seen.append(is_queued())
    asyncio.run(look())

    assert seen == [True, True, False, True, False]
