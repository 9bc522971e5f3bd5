"""What a call adds to the time of its server, and many calls at once: NF1 and NF3 of the requirements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from integration_tests.support.fault_harness import target
from integration_tests.support.fault_responses import FIRST, answer
from integration_tests.support.fault_server import FaultServer, Send, Until
from integration_tests.support.upstream import KEY, MODELS, Upstream
from unified_llm import LLMClient

MODEL = MODELS[0]
MOST = 0.010
"""Seconds that a call may take beyond those of its provider."""


@pytest.fixture(name="upstream")
def _upstream() -> Iterator[Upstream]:
    with Upstream(delay=0.02) as upstream:
        yield upstream


def client_for(upstream: Upstream) -> LLMClient:
    return LLMClient(f"openai-compatible:{MODEL}", base_url=upstream.base_url, api_key=KEY)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize("way", ["whole", "stream"])
def test_a_call_takes_at_most_ten_milliseconds_more_than_its_server(upstream: Upstream, way: str) -> None:
    """The server's own time is that of a bare request of httpx for the same body."""
    url, headers = f"{upstream.base_url}/chat/completions", {"Authorization": f"Bearer {KEY}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}], "stream": way == "stream"}
    with httpx.Client() as plain, client_for(upstream) as client:
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(30):  # in turn, so that both meet the same load of the machine
            bare.append(seconds(lambda: plain.post(url, headers=headers, json=body).raise_for_status()))
            call = (lambda: list(client.stream("Hello?"))) if way == "stream" else (lambda: client.generate("Hello?"))
            ours.append(seconds(call))
    assert min(ours) - min(bare) < MOST, "of each the quickest, which met the least load"


def test_a_hundred_and_fifty_calls_run_at_once() -> None:
    async def ask(server: FaultServer) -> list[str]:
        async with LLMClient(target("m", f"{server.url}/v1", KEY)) as client:
            responses = await asyncio.gather(*(client.agenerate("Hello?") for _ in range(150)))
            return [response.content for response in responses]

    with FaultServer([Until(lambda: len(server.requests) == 150), Send(answer())]) as server:
        assert asyncio.run(ask(server)) == [FIRST] * 150
