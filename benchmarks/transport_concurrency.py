"""CPU time of one call, alone and among hundreds of concurrent calls.

    python benchmarks/transport_concurrency.py [--at-once 1 10 100 500] [--calls 2000]

The server runs in a process of its own and responds from memory; only this process is measured. httpx's own pool is
measured too, for the same bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final, cast

import httpx

from unified_llm._backends.http import Transport
from unified_llm._core.codec import AnyRequest, MediaDecoder, StreamedMedia, WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message

EVENTS = 50
BODY = json.dumps({"text": "word " * 100}).encode()
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
EVENT = b'data: {"text": "word "}\n\n'
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"%x\r\n%s\r\n" % (len(EVENT), EVENT)) * EVENTS
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


class Server(asyncio.Protocol):
    """Responds to every request after 10 ms, so that calls overlap."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Collect the bytes of a request; respond when it is complete."""
        self.buffer += data
        head, complete, rest = self.buffer.partition(b"\r\n\r\n")
        if not complete:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self.buffer = rest[length:]
            answer = STREAM if b"/stream" in head else WHOLE
            asyncio.get_running_loop().call_later(0.01, self.transport.write, answer)


def serve(pipe: Connection) -> None:
    """Run the server's process."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Decoder:
    """Decoder of the streams of ``Server``."""

    kept = 0

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Return the chunk of an event, or the end."""
        if event.data == "[DONE]":
            return [Done(LLMChunk(finish_reason="stop"))]
        return [LLMChunk(content=json.loads(event.data)["text"])]

    def finish(self) -> Done | Failure:
        """Return a failure: the terminal event is missing."""
        return Failure("truncated")


class Codec:
    """A minimal format, so that only the transport is measured."""

    framing: Final = "events"

    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        """Write a request."""
        path = "/stream" if isinstance(request, LLMRequest) and request.stream else "/whole"
        return WireRequest("POST", target.base_url + path, [("authorization", "Bearer none")], b"{}")

    def decode(self, request: AnyRequest, target: Target, body: Any) -> Done | Failure:  # noqa: ARG002 - the protocol's signature
        """Read a whole answer."""
        return Done(LLMResponse(content=body["text"]))

    def decoder(self, request: LLMRequest, target: Target) -> Decoder:  # noqa: ARG002 - the protocol's signature
        """Return a decoder."""
        return Decoder()

    def media_decoder(self, request: StreamedMedia, target: Target) -> MediaDecoder:
        """Refuse: there is no stream of media here."""
        raise NotImplementedError

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:  # noqa: ARG002
        """Return a failure by status."""
        return Failure("server", status=status)


def call_transport(url: str, *, stream: bool) -> Callable[[], Awaitable[None]]:
    """Return a function that makes one call through the transport."""
    transport, codec = Transport(), Codec()
    request, target = LLMRequest((Message.user("hello"),), stream=stream), Target("bench", "m", "bench", base_url=url)

    async def call() -> None:
        until = time.monotonic() + 60
        exchange = transport.aexchange(codec, request, target)
        try:
            failure = await exchange.open(until)
            while failure is None and isinstance(event := await exchange.read(until), LLMChunk | Failure):
                failure = event if isinstance(event, Failure) else None
            if failure:
                raise SystemExit(failure)
        finally:
            await exchange.close()

    return call


def call_httpx(url: str, *, stream: bool) -> Callable[[], Awaitable[None]]:
    """Return a function that makes one call through an httpx client with a large pool; it reads and drops the bytes."""
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=1000, max_keepalive_connections=1000), timeout=60)

    async def call() -> None:
        async with client.stream("POST", url + ("/stream" if stream else "/whole"), content=b"{}") as response:
            async for _ in response.aiter_bytes():
                pass

    return call


async def measure(call: Callable[[], Awaitable[None]], calls: int, at_once: int) -> float:
    """Return the CPU milliseconds of a call."""

    async def caller(share: int) -> None:
        for _ in range(share):
            await call()

    await asyncio.gather(*(caller(1) for _ in range(at_once)))  # make the connections
    started = time.process_time()
    await asyncio.gather(*(caller(calls // at_once) for _ in range(at_once)))
    return (time.process_time() - started) / (calls // at_once * at_once) * 1000


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 10, 100, 500])
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}"
    print("CPU ms a call          at once:", *(f"{number:>8}" for number in options.at_once))
    for name, make in (("unified_llm", call_transport), ("httpx", call_httpx)):
        for stream in (False, True):
            kind = f"stream of {EVENTS}" if stream else "whole answer"
            cells: list[str] = []
            for at_once in options.at_once:
                # One at a time, each call takes 10 ms or more, so fewer calls are enough.
                calls = min(options.calls, 300) if at_once == 1 else max(options.calls, at_once * 4)
                cells.append(f"{asyncio.run(measure(make(url, stream=stream), calls, at_once)):8.3f}")
            print(f"{name:<12} {kind:<18}", *cells)
    server.terminate()


if __name__ == "__main__":
    main()
