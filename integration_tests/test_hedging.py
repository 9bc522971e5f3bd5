"""Hedged calls to two real servers: the slower attempt is cancelled, its connection closed, and nothing is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from integration_tests.support.fault_server import CHUNKED, FaultServer, Hang, Send, Sleep, Step, Until, chunk, head, ok
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import AllTargetsFailedError

CHOICE: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
WHOLE = ok(json.dumps({"choices": [{**CHOICE, "message": {"role": "assistant", "content": "quick"}}]}).encode())
BROKEN = ok(b"{}", status="503 Service Unavailable")


def event(**choice: Any) -> bytes:
    return chunk(b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n")


STREAM = head(CHUNKED) + event(delta={"content": "quick"}) + event(delta={}, finish_reason="stop")
STREAM += chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
# The slow server: no response at all, only headers, or only comments.
SILENCES: dict[str, list[Step]] = {
    "nothing": [Hang()],
    "headers": [Send(head(CHUNKED)), Hang()],
    "comments": [Send(head(CHUNKED) + chunk(b": alive\n\n")), Hang()],
}


@asynccontextmanager
async def racing(slow: FaultServer, quick: FaultServer, after: float = 0.1) -> AsyncIterator[LLMClient]:
    configs = [
        LLMConfig(provider="openai-compatible", model=name, base_url=server.url)
        for name, server in (("slow", slow), ("quick", quick))
    ]
    async with LLMClient(configs[0], fallbacks=configs[1:], hedge_after=after) as client:
        yield client
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others


async def text(client: LLMClient, way: str) -> tuple[str, tuple[str, ...]]:
    if way == "agenerate":
        answer = await client.agenerate("Hello?")
        return answer.content, tuple(attempt.outcome for attempt in answer.attempts)
    stream = client.astream("Hello?")
    content = "".join([piece.content async for piece in stream])
    return content, tuple(attempt.outcome for attempt in stream.attempts)


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("way", ["agenerate", "astream"])
async def test_the_slow_server_is_left_and_its_connection_closed(way: str, silence: str) -> None:
    quick_says = WHOLE if way == "agenerate" else STREAM
    with FaultServer(SILENCES[silence]) as slow, FaultServer([Send(quick_says)]) as quick:
        async with racing(slow, quick) as client:
            assert await text(client, way) == ("quick", ("cancelled", "ok"))
            assert slow.settles_at(0)
            assert len(slow.requests) == len(quick.requests) == 1
            assert quick.open == 1  # kept for the next call


async def test_a_race_that_the_first_server_wins_closes_the_second() -> None:
    with FaultServer([Hang()]) as quick, FaultServer([Until(lambda: quick.requests != []), Send(STREAM)]) as slow:
        async with racing(slow, quick) as client:
            assert await text(client, "astream") == ("quick", ("ok", "cancelled"))
            assert quick.settles_at(0)


async def test_a_race_that_both_lose_goes_on_as_usual() -> None:
    with (
        FaultServer([Sleep(0.3), Send(BROKEN)], [Send(BROKEN)]) as quick,
        FaultServer([Until(lambda: quick.requests != []), Send(BROKEN)], [Send(BROKEN)]) as slow,
    ):
        async with racing(slow, quick) as client:
            with pytest.raises(AllTargetsFailedError) as caught:
                await text(client, "agenerate")
            assert {attempt.outcome for attempt in caught.value.attempts} == {"server"}
            assert len(slow.requests) >= 2


@pytest.mark.parametrize("way", ["agenerate", "astream"])
async def test_a_cancelled_race_closes_both_connections(way: str) -> None:
    with FaultServer([Hang()]) as slow, FaultServer([Hang()]) as quick:
        async with racing(slow, quick, after=0.05) as client:
            task = asyncio.create_task(text(client, way))
            assert await asyncio.to_thread(quick.has_received, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert slow.settles_at(0)
            assert quick.settles_at(0)
