"""Exceptions of signal handlers, as Celery's soft time limit raises them, in the middle of real calls."""

from __future__ import annotations

import gc
import random
import signal
from types import FrameType
from typing import NoReturn

import pytest

from integration_tests.support.fault_harness import KEY, target
from integration_tests.support.fault_responses import FIRST, answer, streamed
from integration_tests.support.fault_server import FaultServer, Send
from unified_llm import LLMClient

CALLS = 3000


class SoftTimeLimitExceeded(Exception):
    pass


def interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise SoftTimeLimitExceeded


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("shape", ["call", "stream"])
def test_thousands_of_interruptions_lose_no_connection_permit(shape: str) -> None:
    generator, interrupted = random.Random(7), 0
    before = signal.signal(signal.SIGALRM, interrupt)
    with FaultServer([Send(streamed() if shape == "stream" else answer())]) as server:
        client = LLMClient(target("first", f"{server.url}/v1", KEY))

        def call() -> str:
            if shape == "call":
                return client.generate("x").content
            return "".join(chunk.content for chunk in client.stream("x"))

        call()
        try:
            for _ in range(CALLS):
                try:
                    signal.setitimer(signal.ITIMER_REAL, generator.uniform(5e-5, 4e-3))
                    call()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except SoftTimeLimitExceeded:
                    interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert interrupted > 100
        transport = client._backends._http
        assert transport
        assert transport._sync_pool
        assert transport._sync_pool.permits.in_use() == {}
        assert call() == FIRST
        client.close()
        gc.collect()
        assert server.settles_at(0)
