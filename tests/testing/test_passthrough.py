"""Real attempts on targets that are up, during an outage: over the real HTTP code and a scripted network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, WAYS, Way, outcome_of
from tests.support.scripted_server import Network
from unified_llm import LLMClient
from unified_llm._core import runtime
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import TimeoutError
from unified_llm.testing import outage
from unified_llm.testing._clock import Clock
from unified_llm.testing._passthrough import AsyncPassthroughExchange, PassthroughExchange

LLAMA = "llamacpp/llama2"
EVERY_WAY = pytest.mark.parametrize("way", WAYS)

WHOLE = {"choices": [{"message": {"content": "Hello from the network"}, "finish_reason": "stop"}]}
PIECE = {"choices": [{"delta": {"content": "Hello from the network"}}]}
LAST = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def answer(way: Way) -> bytes:
    if "stream" in way:
        kind, body = "text/event-stream", "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in (PIECE, LAST))
        body += "data: [DONE]\n\n"
    else:
        kind, body = "application/json", json.dumps(WHOLE)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    made = Network(monkeypatch)
    with runtime.use(runtime.Runtime(now=made.clock)):
        yield made


def client() -> LLMClient:
    return LLMClient(GPT, fallbacks=[LLAMA])


@EVERY_WAY
def test_it_has_all_its_own_time_after_others_have_hung(way: Way, network: Network) -> None:
    network.add_connection(200.0, answer(way))  # a local server may take 300 s
    with outage("openai", "hang") as seen:
        result = outcome_of(way, client())
        assert result.content == "Hello from the network"
    assert seen.attempts[-1].seconds == 200
    assert seen.seconds == seen.attempts[0].seconds + 200 == network.clock() - 1000 + seen.attempts[0].seconds
    assert network.open == 0, "the connections of an outage end with it"


@EVERY_WAY
def test_its_own_time_ends_when_it_would(way: Way, network: Network) -> None:
    network.add_connection()
    with outage("openai", "hang"):
        assert outcome_of(way, client(), timeout=20).error is not None
    assert network.clock() == 1020


def test_one_that_hangs_for_real_takes_its_time(network: Network) -> None:
    network.add_connection()
    with outage("openai", "503", allow_unused=True) as seen, pytest.raises(TimeoutError):
        LLMClient(LLAMA, max_retries=0).generate("Hello?", timeout=20)
    assert seen.seconds == 20
    assert network.clock() == 1020


@EVERY_WAY
def test_connections_are_kept_within_an_outage(way: Way, network: Network) -> None:
    network.add_connection(answer("generate"), answer("generate"))
    asked = client()
    with outage("openai", "503") as seen:
        asked.generate("Hello?")
        asked.generate("Hello?")
    assert seen.asked.count(LLAMA) == 2
    assert len(network.made) == 1


class RecordingExchange:
    """An exchange that records its deadlines."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []
        self.closed = 0

    def open(self, until: float) -> None:
        self.deadlines.append(until)

    def read(self, until: float) -> Failure:
        self.deadlines.append(until)
        return Failure("timeout")

    def close(self) -> None:
        self.closed += 1


class AsyncRecordingExchange:
    def __init__(self, inner: RecordingExchange) -> None:
        self.inner = inner

    async def open(self, until: float) -> None:
        self.inner.open(until)

    async def read(self, until: float) -> Failure:
        return self.inner.read(until)

    async def close(self) -> None:
        self.inner.close()


def test_an_instant_does_not_move_when_others_put_the_clock_forward() -> None:
    # The timeout of another attempt must not become that of a running exchange.
    clock, recording, arecording = Clock(lambda: 100.0), RecordingExchange(), RecordingExchange()
    clock.skip(110.0)
    real, areal = (
        PassthroughExchange(recording, clock),
        AsyncPassthroughExchange(AsyncRecordingExchange(arecording), clock),
    )
    steps = [(140.0, 200.0), (140.0, 200.0), (260.0, 260.0)]

    async def go(until: float, forward: float) -> None:
        await (areal.open(until) if not arecording.deadlines else areal.read(until))
        clock.skip(forward)

    for until, forward in steps:
        _ = real.open(until) if not recording.deadlines else real.read(until)
        asyncio.run(go(until, forward))
    real.close()
    asyncio.run(areal.close())
    assert recording.deadlines == arecording.deadlines == [130.0, 130.0, 160.0]
    assert recording.closed == arecording.closed == 1


@each("real_time", [0.1, 1.0, 1000.0, 6044.0956, 1e9 / 3])
@each("wait", [1e-9, 0.1, 1 / 3, 7.0, 599.9999])
def test_a_wait_that_was_skipped_is_over(real_time: float, wait: float) -> None:
    clock = Clock(lambda: real_time)
    for _ in range(100):
        until = clock.now() + wait
        clock.skip(until)
        assert clock.now() >= until
    before = clock.now()
    clock.skip(before - 5)
    assert clock.now() == before, "no clock goes back"
