"""Cases that need tests of their own: 11 (every connection busy), 14 (addresses), 43 to 59 over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration_tests.support.fault_harness import (
    KEY,
    PROMPT,
    WAYS,
    CallResult,
    Way,
    arun_call,
    limit_connections,
    no_other_task,
    run_call,
    target,
)
from integration_tests.support.fault_responses import FIRST, ROLE, answer, begun, delta, streamed
from integration_tests.support.fault_server import FaultServer, Hang, Send, Step
from integration_tests.support.waiting import PATIENCE
from unified_llm import LLMClient, health_snapshot
from unified_llm._client.stream import AsyncStream, Stream
from unified_llm.exceptions import ConnectionError

HELD = 200
SILENT: list[Step] = [Send(begun(ROLE + delta("more "))), Hang()]


def make_call(client: LLMClient, way: Way) -> CallResult:
    """Make one call in one way, in a new event loop if it is async."""
    mode, _, shape = way.partition(" ")
    if mode == "sync":
        return run_call(client, streaming=shape == "stream")
    return asyncio.run(arun_call(client, streaming=shape == "stream"))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    param: Way = request.param
    return param


# 11: every connection is busy


def check_refused(result: CallResult) -> None:
    assert type(result.error) is ConnectionError
    assert "every connection of this client was busy" in str(result.error)
    assert result.outcomes == [("first", "pool")]
    assert {row["consecutive_failures"] for row in health_snapshot()} == {0}


@pytest.mark.parametrize("shape", ["call", "stream"])
@pytest.mark.case(11, ways=["sync call", "sync stream"])
def test_a_call_beyond_two_hundred_streams_is_refused_without_blame(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_connections(monkeypatch, HELD)
    good = Send(streamed() if shape == "stream" else answer())
    with FaultServer(*[SILENT] * HELD, [good]) as server:
        client = LLMClient(target("first", f"{server.url}/v1", KEY))
        with client, contextlib.ExitStack() as held:
            streams: list[Stream] = [held.enter_context(client.stream(PROMPT)) for _ in range(HELD)]
            assert [next(stream).content for stream in streams] == ["more "] * HELD
            check_refused(run_call(client, streaming=shape == "stream", deadline=0.2))
            assert len(server.requests) == HELD
            streams[7].close()
            assert run_call(client, streaming=shape == "stream").text == FIRST
        assert server.settles_at(0)


@pytest.mark.parametrize("shape", ["call", "stream"])
@pytest.mark.case(11, ways=["async call", "async stream"])
def test_a_call_beyond_two_hundred_streams_of_a_loop_is_refused_without_blame(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_connections(monkeypatch, HELD)

    async def work(server: FaultServer) -> None:
        client = LLMClient(target("first", f"{server.url}/v1", KEY))
        async with client, contextlib.AsyncExitStack() as held:
            streams: list[AsyncStream] = [await held.enter_async_context(client.astream(PROMPT)) for _ in range(HELD)]
            chunks = await asyncio.gather(*(anext(stream) for stream in streams))
            assert [chunk.content for chunk in chunks] == ["more "] * HELD
            check_refused(await arun_call(client, streaming=shape == "stream", deadline=0.2))
            await streams[7].aclose()
            assert (await arun_call(client, streaming=shape == "stream")).text == FIRST
        await no_other_task()

    good = Send(streamed() if shape == "stream" else answer())
    with FaultServer(*[SILENT] * HELD, [good]) as server:
        asyncio.run(work(server))
        assert len(server.requests) == HELD + 1
        assert server.settles_at(0)


# 14: addresses


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/a/deep%20path", "/a/deep%20path/v1/chat/completions"),
        ("/openai/v2/", "/openai/v2/chat/completions"),
    ],
)
@pytest.mark.case(14)
def test_an_address_means_the_same_however_it_is_written(way: Way, written: str, path: str) -> None:
    with FaultServer([Send(streamed() if "stream" in way else answer())]) as server:
        with LLMClient(target("first", server.url + written, KEY)) as client:
            assert make_call(client, way).text == FIRST
        assert [request.path for request in server.requests] == [path]


# 57: loops and threads


@pytest.fixture
def good(way: Way) -> Iterator[FaultServer]:
    with FaultServer([Send(streamed() if "stream" in way else answer())]) as server:
        yield server


@pytest.mark.case(57)
def test_one_client_serves_one_loop_after_the_other(way: Way, good: FaultServer) -> None:
    with LLMClient(target("first", f"{good.url}/v1", KEY)) as client:
        assert [make_call(client, way).text for _ in range(3)] == [FIRST] * 3
    assert good.settles_at(0)


@pytest.mark.case(57)
def test_one_client_serves_eight_threads_each_with_a_loop_of_its_own(way: Way, good: FaultServer) -> None:
    gate = threading.Barrier(8)

    def work(client: LLMClient) -> list[str]:
        gate.wait(PATIENCE)
        return [make_call(client, way).text for _ in range(5)]

    with LLMClient(target("first", f"{good.url}/v1", KEY)) as client, ThreadPoolExecutor(8) as threads:
        answers = [text for texts in threads.map(work, [client] * 8) for text in texts]
    assert answers == [FIRST] * 40
    assert len(good.requests) == 40
    assert good.settles_at(0)


@pytest.mark.parametrize("shape", ["call", "stream"])
@pytest.mark.case(57, ways=["sync call", "sync stream"])
async def test_a_sync_call_works_inside_a_running_loop(shape: str) -> None:
    good = Send(streamed() if shape == "stream" else answer())
    with FaultServer([good]) as server, LLMClient(target("first", f"{server.url}/v1", KEY)) as client:
        assert run_call(client, streaming=shape == "stream").text == FIRST
        assert (await arun_call(client, streaming=shape == "stream")).text == FIRST


# 59: the end of the interpreter

STREAMS = {
    "sync stream": "stream = client.stream('CANARY-prompt'); print(next(stream).content)",
    "async stream": """
async def begin():
    global stream
    stream = client.astream('CANARY-prompt')
    print((await anext(stream)).content)
asyncio.run(begin())""",
}
ENDS = {
    "at the end": "",
    "by sys.exit": "sys.exit(0)",
    "in a cycle": "stream.own = [stream] if hasattr(stream, '__dict__') else None",
}
SCRIPT = """
import asyncio, sys
from unified_llm import LLMClient
client = LLMClient("openai-compatible/first", base_url=sys.argv[1], api_key={key!r}, max_retries=0)
{begin}
{end}
"""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("way", STREAMS)
@pytest.mark.case(59)
def test_the_interpreter_ends_in_peace_with_an_open_stream(way: str, end: str) -> None:
    script = SCRIPT.format(key=KEY, begin=STREAMS[way], end=ENDS[end])
    with FaultServer(SILENT) as server:
        command = [sys.executable, "-W", "error", "-c", script, f"{server.url}/v1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        assert (done.stdout.strip(), done.stderr, done.returncode) == ("more", "", 0)
        assert server.settles_at(0)


@pytest.mark.parametrize("shape", ["call", "stream"])
@pytest.mark.case(59, ways=["sync call", "sync stream", "async call", "async stream"])
def test_the_interpreter_ends_in_peace_with_a_client_that_nobody_closed(shape: str) -> None:
    calls = {
        "call": "print(client.generate('x').content, asyncio.run(client.agenerate('x')).content)",
        "stream": """
async def read():
    return ''.join([chunk.content async for chunk in client.astream('x')])
print(''.join(chunk.content for chunk in client.stream('x')), asyncio.run(read()))""",
    }
    script = SCRIPT.format(key=KEY, begin=calls[shape], end="")
    with FaultServer([Send(streamed() if shape == "stream" else answer())]) as server:
        command = [sys.executable, "-W", "error", "-c", script, f"{server.url}/v1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        assert (done.stdout.strip(), done.stderr, done.returncode) == (f"{FIRST} {FIRST}", "", 0)
        assert server.settles_at(0)
