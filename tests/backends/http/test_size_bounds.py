"""Bounds of size and time for servers that always have something to send, over the scripted network."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.backends.http.test_exchange import END, EVENTS, HI, URL, chunk, run_call, whole
from tests.support.echo_format import DONE, EchoCodec, EchoDecoder, chat_request, target_at, text_event
from tests.support.scripted_server import Clock, Endless, Network
from tests.support.sync_and_async import Caller, run, summarize
from unified_llm._backends.http import Transport
from unified_llm._backends.http.deadline_socket import HEAD_LIMIT
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.response_limits import OversizedResponseError
from unified_llm._core.target import Target
from unified_llm._lib import bounded_json
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import LLMChunk, LLMRequest

pytestmark = pytest.mark.thorough

GZIP_EVENTS = EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n" * 100


def test_interim_responses_without_end_are_oversized(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(Endless(INTERIM))
    (failure,) = run_call(call, transport, network)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == ("oversized", None)
    assert connection.read_bytes == HEAD_LIMIT
    assert network.open == 0


def test_interim_responses_do_not_prolong_the_deadline(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(Endless(INTERIM, seconds=0.1))
    assert summarize(run_call(call, transport, network, seconds=2)) == ["timeout"]
    assert network.clock() == pytest.approx(1002, abs=0.11)


@pytest.mark.parametrize(("seconds", "kind"), [(0.0, "oversized"), (0.1, "timeout")])
def test_a_proxy_that_never_answers_connect_is_given_up(
    call: Caller,
    transport: Transport,
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    *,
    seconds: float,
    kind: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    connection = network.add_connection(Endless(INTERIM, seconds=seconds))
    assert summarize(run_call(call, transport, network, seconds=2, url="https://api.model.test/v1")) == [kind]
    assert connection.sent.startswith(b"CONNECT api.model.test:443")
    assert network.open == 0


def test_the_bound_of_a_head_holds_for_proxy_and_server_together(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    connected = b"HTTP/1.1 200 Connected\r\n\r\n"
    connection = network.add_connection(INTERIM * 10, connected, Endless(INTERIM))
    assert summarize(run_call(call, transport, network, url="https://api.model.test/v1")) == ["oversized"]
    assert connection.read_bytes == HEAD_LIMIT


# Sizes of responses


def event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stream_without_end_is_oversized(
    call: Caller, transport: Transport, network: Network, *, stream: bool
) -> None:
    connection = network.add_connection(EVENTS, Endless(chunk(text_event("x" * 10_000))))
    events = run_call(call, transport, network, stream=stream)
    assert summarize(events[-1:]) == ["oversized"]
    assert 16 * 2**20 < connection.read_bytes < 17 * 2**20
    assert sum(len(event.content) for event in events if isinstance(event, LLMChunk)) <= 16 * 2**20


@pytest.mark.parametrize("stream", [False, True])
def test_the_target_says_how_large_a_response_may_be(
    call: Caller, transport: Transport, network: Network, *, stream: bool
) -> None:
    network.add_connection(EVENTS, chunk(text_event("x" * 300) * 3 + DONE) + END)
    network.add_connection(EVENTS, chunk(text_event("x" * 300) * 3 + DONE) + END)
    assert summarize(run_call(call, transport, network, stream=stream, max_response_bytes=900))[-1] == "oversized"
    assert summarize(run_call(call, transport, network, stream=stream, max_response_bytes=1000))[-1] != "oversized"


def test_chunks_of_a_few_characters_count_for_more(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(EVENTS, chunk(text_event("x") * 100 + DONE) + END)
    assert summarize(run_call(call, transport, network, max_response_bytes=1000)) == ["oversized"]


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_decoder_keeps_for_the_end_counts_as_well(
    call: Caller, transport: Transport, network: Network, *, stream: bool
) -> None:
    network.add_connection(EVENTS, Endless(chunk(event({"keep": "x" * 10_000}))))
    assert summarize(run_call(call, transport, network, stream=stream)) == ["oversized"]


@pytest.mark.parametrize(
    "body", [b"[" + b"{}," * 500_001 + b"1]", b"[" * 1_000_001, b'{"text": "' + b"," * 10**6 + b',"}']
)
def test_structure_is_bounded_before_it_is_parsed(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch, *, body: bytes
) -> None:
    monkeypatch.setattr(bounded_json, "from_json", None)  # nothing is parsed
    network.add_connection(whole(body))
    assert summarize(run_call(call, transport, network)) == ["oversized"]


def test_a_response_without_much_structure_may_be_large(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(whole(json.dumps({"text": "x" * 5_000_000}).encode()))
    assert summarize(run_call(call, transport, network)) == [("whole", "x" * 5_000_000)]


def test_more_parts_than_a_codec_accepts_are_oversized(call: Caller, transport: Transport, network: Network) -> None:
    class Refusing(EchoCodec):
        def decode(self, request: AnyRequest, target: Target, body: Any) -> Done | Failure:
            raise OversizedResponseError

    network.add_connection(HI)
    exchange = call.exchange(transport, Refusing(), chat_request(), target_at(URL))
    assert summarize(run(exchange, network.clock() + 60)) == ["oversized"]


# Bytes that are decoded without any waiting


def packed_events(count: int) -> bytes:
    """Return a stream of so many events as gzip: a few hundred bytes for thousands of them."""
    return gzip.compress(text_event("a") * count)


@pytest.mark.parametrize("stream", [False, True])
def test_the_clock_is_looked_at_while_buffered_events_are_handed_out(
    call: Caller, transport: Transport, network: Network, *, stream: bool
) -> None:
    """Each event takes 10 ms here, and all of them are in one packet."""
    network.add_connection(GZIP_EVENTS, chunk(packed_events(10_000)))

    class Slow(EchoCodec):
        def decoder(self, request: LLMRequest, target: Target) -> EchoDecoder:
            return SlowDecoder(network.clock)

    exchange = call.exchange(transport, Slow(), chat_request(stream=stream), target_at(URL))
    assert summarize(run(exchange, network.clock() + 20))[-1] == "timeout"
    piece = 16 * 1024 / len(text_event("a")) * 0.01
    assert network.clock() <= 1020 + piece


class SlowDecoder(EchoDecoder):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        self.clock.time += 0.01
        return super().feed(event)


async def turns_while_reading(transport: Transport, *, stream: bool) -> tuple[int, int]:
    """Read a response to its end; return how often another task ran, and the events of the response."""
    exchange = transport.aexchange(EchoCodec(), chat_request(stream=stream), target_at(URL))
    turns = events = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert await exchange.open(2000) is None
    while isinstance(await exchange.read(2000), LLMChunk):
        events += 1
    await exchange.close()
    task.cancel()
    return turns, events


@pytest.mark.parametrize("stream", [False, True])
def test_another_task_runs_after_each_16_kib_of_gzip(transport: Transport, network: Network, *, stream: bool) -> None:
    network.add_connection(GZIP_EVENTS, chunk(packed_events(20_000)) + END)
    turns, _ = asyncio.run(turns_while_reading(transport, stream=stream))
    assert turns >= len(text_event("a")) * 20_000 // (32 * 1024)


@pytest.mark.parametrize("stream", [False, True])
def test_another_task_runs_while_chunks_of_one_byte_are_read(
    transport: Transport, network: Network, *, stream: bool
) -> None:
    tiny = b"".join(chunk(text_event("a")[index : index + 1]) for index in range(len(text_event("a"))))
    network.add_connection(EVENTS, tiny * 100 + END)
    turns, _ = asyncio.run(turns_while_reading(transport, stream=stream))
    assert turns >= len(text_event("a")) * 100 // 64


def test_a_connection_whose_old_body_never_ends_is_not_used_again(
    call: Caller, transport: Transport, network: Network
) -> None:
    first = network.add_connection(EVENTS, chunk(text_event("a") + DONE), Endless(b"0" * 1000))
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "."]
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert first.closed
    assert first.read_bytes < 200_000
