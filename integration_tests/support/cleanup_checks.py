"""Checks that a call leaves nothing over: no thread, task, connection or permit, and no failure at the breaker."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from integration_tests.support.fault_harness import KEY, OTHER_KEY, no_other_task, target
from integration_tests.support.fault_server import FaultServer
from integration_tests.support.waiting import wait_until
from unified_llm import LLMClient, health_snapshot


def narrow(server: FaultServer, *others: FaultServer, **fields: Any) -> LLMClient:
    """A client of one target or more, without retries by default."""
    return LLMClient(
        target("first", f"{server.url}/v1", KEY, **fields),
        fallbacks=[target("second", f"{each.url}/v1", OTHER_KEY) for each in others],
    )


@contextmanager
def nothing_left(*servers: FaultServer) -> Iterator[None]:
    """Assert that no thread is added, no connection stays open, and no breaker has counted a failure."""
    threads = threading.active_count()
    yield
    gc.collect()
    assert all(server.settles_at(0) for server in servers), "a connection was left open"
    # Those of the servers need a moment to end.
    assert wait_until(lambda: threading.active_count() <= threads), "a thread was left behind"
    assert [row["consecutive_failures"] for row in health_snapshot() if row["consecutive_failures"]] == []


@asynccontextmanager
async def no_task_left(*, turns: int = 0) -> AsyncIterator[None]:
    """Assert that no task runs after so many iterations of the loop: asyncio closes abandoned generators in tasks."""
    yield
    gc.collect()
    for _ in range(turns):
        await asyncio.sleep(0)
    await no_other_task()
