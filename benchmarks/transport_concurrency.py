"""What one call costs in CPU time, alone and among a hundred others at once.

    python benchmarks/transport_concurrency.py [--at-once 1 10 100 500] [--calls 2000]

The server runs in a process of its own and answers from memory; only this process is measured. httpx's own pool is
measured beside ours, for the same bodies.
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
from unified_llm._core.codec import AnyRequest, WireRequest
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
    """Answers requests without a look at them: 10 ms later, so that calls overlap."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """A request, or a part of one."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self.buffer = rest[length:]
            answer = STREAM if b"/stream" in head else WHOLE
            asyncio.get_running_loop().call_later(0.01, self.transport.write, answer)


def serve(pipe: Connection) -> None:
    """The server's process."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Decoder:
    """Chunks until the last."""

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """One event."""
        if event.data == "[DONE]":
            return [Done(LLMChunk(finish_reason="stop"))]
        return [LLMChunk(content=json.loads(event.data)["text"])]

    def finish(self) -> Done | Failure:
        """The end without an end."""
        return Failure("truncated")


class Codec:
    """A format as small as one can be, so that the transport is what is measured."""

    framing: Final = "events"

    def encode(self, ask: AnyRequest, target: Target) -> WireRequest:
        """A request."""
        path = "/stream" if isinstance(ask, LLMRequest) and ask.stream else "/whole"
        return WireRequest("POST", target.base_url + path, [("authorization", "Bearer none")], b"{}")

    def decode(self, ask: AnyRequest, target: Target, body: Any) -> Done | Failure:  # noqa: ARG002 - the protocol's signature
        """A whole answer."""
        return Done(LLMResponse(content=body["text"]))

    def decoder(self, ask: LLMRequest, target: Target) -> Decoder:  # noqa: ARG002 - the protocol's signature
        """A decoder."""
        return Decoder()

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Failure:  # noqa: ARG002
        """No answer."""
        return Failure("server", status=status)


def ours(url: str, *, stream: bool) -> Callable[[], Awaitable[None]]:
    """One call through the transport."""
    transport, codec = Transport(), Codec()
    ask, target = LLMRequest((Message.user("hello"),), stream=stream), Target("bench", "m", "bench", base_url=url)

    async def call() -> None:
        until = time.monotonic() + 60
        exchange = transport.aexchange(codec, ask, target)
        try:
            refused = await exchange.open(until)
            while refused is None and isinstance(event := await exchange.read(until), LLMChunk | Failure):
                refused = event if isinstance(event, Failure) else None
            if refused:
                raise SystemExit(refused)
        finally:
            await exchange.close()

    return call


def theirs(url: str, *, stream: bool) -> Callable[[], Awaitable[None]]:
    """One call through an httpx client whose pool is large enough; the bytes are read and dropped."""
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=1000, max_keepalive_connections=1000), timeout=60)

    async def call() -> None:
        async with client.stream("POST", url + ("/stream" if stream else "/whole"), content=b"{}") as response:
            async for _ in response.aiter_bytes():
                pass

    return call


async def measure(call: Callable[[], Awaitable[None]], calls: int, at_once: int) -> float:
    """CPU milliseconds a call."""

    async def caller(share: int) -> None:
        for _ in range(share):
            await call()

    await asyncio.gather(*(caller(1) for _ in range(at_once)))  # make the connections
    begun = time.process_time()
    await asyncio.gather(*(caller(calls // at_once) for _ in range(at_once)))
    return (time.process_time() - begun) / (calls // at_once * at_once) * 1000


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 10, 100, 500])
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}"
    print("CPU ms a call          at once:", *(f"{number:>8}" for number in options.at_once))
    for name, make in (("unified_llm", ours), ("httpx", theirs)):
        for stream in (False, True):
            kind = f"stream of {EVENTS}" if stream else "whole answer"
            cells: list[str] = []
            for at_once in options.at_once:
                # One at a time each call takes 10 ms and more, so fewer of them do.
                calls = min(options.calls, 300) if at_once == 1 else max(options.calls, at_once * 4)
                cells.append(f"{asyncio.run(measure(make(url, stream=stream), calls, at_once)):8.3f}")
            print(f"{name:<12} {kind:<18}", *cells)
    server.terminate()


if __name__ == "__main__":
    main()
