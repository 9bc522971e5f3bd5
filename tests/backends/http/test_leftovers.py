"""Async exchanges leave no work to their event loop, unless the garbage collector had to close them.

For each unfinished generator that is no longer referenced the event loop creates a task, at some later time.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import httpx
import pytest

from tests.support.echo_format import DONE, EchoCodec, chat_request, target_at, text_event
from tests.support.scripted_server import Network
from tests.support.sync_and_async import summarize
from unified_llm._backends.http import Transport
from unified_llm._backends.http.request import prepare_request
from unified_llm._core.exchange import AsyncExchange
from unified_llm._core.outcome import Failure

URL = "http://model.test:8000/v1"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Tasks:
    """Task factory that counts tasks; each unfinished generator that is no longer referenced costs one."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **fields: Any) -> asyncio.Task[Any]:
        self.made += 1
        return asyncio.Task(work, loop=loop, **fields)


async def read_one(transport: Transport, network: Network) -> AsyncExchange:
    exchange = transport.aexchange(EchoCodec(), chat_request(stream=True), target_at(URL))
    assert await exchange.open(network.clock() + 1) is None
    assert summarize([await exchange.read(network.clock() + 1)])
    return exchange


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        pytest.param([chunk(DONE)], 1, id="after its end, with the rest to come"),
        pytest.param([chunk(text_event("a") + text_event("b"))], 0, id="in the middle"),
        pytest.param([chunk(DONE), *[chunk(text_event("more"))] * 50], 1, id="after its end, with much more to come"),
    ],
)
@pytest.mark.parametrize("first", ["transport", "exchange"])
async def test_no_body_is_left_for_the_event_loop_to_end(
    transport: Transport, network: Network, *, script: list[bytes], kept: int, first: str
) -> None:
    network.add_connection(EVENTS, *script)
    network.add_connection(EVENTS, chunk(DONE), END)
    tasks = Tasks()
    asyncio.get_running_loop().set_task_factory(tasks)
    exchange = await read_one(transport, network)
    if first == "transport":
        await transport.aclose()
        await exchange.close()
    else:
        await exchange.close()
        assert network.open == kept
        await (await read_one(transport, network)).close()
        await transport.aclose()
    del exchange
    gc.collect()
    await asyncio.sleep(0)
    assert tasks.made == 0
    assert network.open == 0


async def test_what_is_closed_by_the_garbage_collector_is_left_to_the_event_loop_in_peace(
    transport: Transport, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network.add_connection(EVENTS, chunk(text_event("a") + text_event("b")))
    closing = (await read_one(transport, network)).close()
    closing.send(None)  # runs until it waits for the first time; it is never resumed
    closing.close()
    del closing
    gc.collect()
    for _ in range(20):
        await asyncio.sleep(0)
    assert network.open == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [record for record in caplog.records if record.name == "asyncio" and record.levelname == "ERROR"] == []


async def test_an_upload_that_breaks_leaves_nothing_for_the_event_loop_to_end(
    transport: Transport, network: Network
) -> None:
    network.add_connection()
    tasks = Tasks()
    asyncio.get_running_loop().set_task_factory(tasks)
    body = prepare_request(EchoCodec().encode(chat_request(), target_at(URL)), stream=False)
    assert not isinstance(body, Failure)
    stream = body[1].stream
    assert isinstance(stream, httpx.AsyncByteStream)
    pieces = aiter(stream)
    assert await anext(pieces)
    del pieces, stream, body
    gc.collect()
    await asyncio.sleep(0)
    assert tasks.made == 0
