"""Connection permits over real sockets: a primary that hangs takes no connection from its fallback."""

from __future__ import annotations

import asyncio
import collections
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration_tests.support.fault_harness import KEY, limit_connections, target
from integration_tests.support.fault_responses import FIRST, answer
from integration_tests.support.fault_server import FaultServer, Hang, Send, Sleep
from unified_llm import LLMClient, LLMResponse

CALLERS, PERMITS = 120, 100  # as 1,200 callers and 1,000 permits


def client_of(primary: FaultServer, fallback: FaultServer, **fields: object) -> LLMClient:
    return LLMClient(
        target("first", f"{primary.url}/v1", KEY, **fields), fallbacks=[target("second", f"{fallback.url}/v1", KEY)]
    )


async def test_more_callers_than_connections_are_all_served_while_the_primary_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit_connections(monkeypatch, PERMITS)
    with FaultServer([Hang()]) as primary, FaultServer([Send(answer())]) as fallback:
        client = client_of(primary, fallback, timeout=6.0)
        async with client:
            responses = await asyncio.gather(*(client.agenerate("x") for _ in range(CALLERS)))
        assert [response.content for response in responses] == [FIRST] * CALLERS
        outcomes = collections.Counter(response.attempts[0].outcome for response in responses)
        assert outcomes == {"timeout": PERMITS, "pool": CALLERS - PERMITS}
        assert fallback.settles_at(0)


def test_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_connections(monkeypatch, 10)
    with FaultServer([Hang()]) as primary, FaultServer([Send(answer())]) as fallback:
        with client_of(primary, fallback, timeout=4.0) as client, ThreadPoolExecutor(30) as threads:
            responses = list(threads.map(lambda _: client.generate("x"), range(30)))
        assert [response.content for response in responses] == [FIRST] * 30


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_where_nothing_else_is_left_every_caller_waits_its_turn(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_connections(monkeypatch, 2)
    with FaultServer([Sleep(0.3), Send(answer())]) as server:
        client = LLMClient(target("only", f"{server.url}/v1", KEY, timeout=3.0))
        began = time.monotonic()
        with ThreadPoolExecutor(20) as threads:
            if mode == "sync":
                responses = list(threads.map(lambda _: client.generate("x"), range(20)))
            else:

                async def gather() -> list[LLMResponse]:
                    return list(await asyncio.gather(*(client.agenerate("x") for _ in range(20))))

                responses = asyncio.run(gather())
        assert [response.content for response in responses] == [FIRST] * 20
        assert time.monotonic() - began > 2.5  # ten turns: most had to ask for a connection several times
        client.close()
