"""Server of the soak test: an OpenAI-compatible API that fails at random, in a process of its own.

Each path prefix (``/shaky-1/v1``) is a target. All of them but ``well`` fail a share of their requests, each
with one of ``FAULTS``. Every word of an answer names the target, the request's serial number and the question,
so that a mixture of two answers is detected.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import struct
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random
from typing import Any, cast

WORDS = 12
# "nothing" breaks an answer before its first word; "midway" breaks a whole answer (never a stream) within its body.
FAULTS = ("503", "reset", "nothing", "midway", "hang", "429", "malformed")
_RESET = struct.pack("ii", 1, 0)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ROLE = {"role": "assistant", "content": ""}


@dataclass(frozen=True)
class Plan:
    """Behaviour of the server.

    Attributes:
        faulty: The share of requests that fail, for each target but ``well``.
        broken: The share of streams that break after their first words: no failover is possible then.
        pause: Most seconds from a request to the first word; the least is a quarter of it.
        seed: The same seed fails the same requests, as far as they come in the same order.
    """

    faulty: float = 0.15
    broken: float = 0.005
    pause: float = 0.4
    seed: int = 1


class State:
    """State that all connections share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = Random(plan.seed)  # noqa: S311 - chance, not a secret
        self.seen: Counter[str] = Counter()
        self.open: set[ClientConnection] = set()

    def fault(self, target: str, *, stream: bool) -> str | None:
        """Return the fault of this request, or None."""
        if target == "well":
            return None
        draw = self.chance.random()
        if draw < self.plan.faulty:
            return self.chance.choice(FAULTS)
        return "broken" if stream and draw < self.plan.faulty + self.plan.broken else None


class ClientConnection(asyncio.Protocol):
    """One connection, with one request at a time."""

    transport: asyncio.Transport

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.state.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Forget the connection."""
        self.state.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Collect the bytes of a request; respond when it is complete."""
        self.buffer += data
        head, complete, rest = self.buffer.partition(b"\r\n\r\n")
        if not complete:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self.buffer = rest[length:]
            target = head.split(b" ", 2)[1].split(b"/")[1].decode()
            self._respond_later(target, json.loads(rest[:length]))

    def _respond_later(self, target: str, request: dict[str, Any]) -> None:
        state, stream = self.state, bool(request.get("stream"))
        fault = state.fault(target, stream=stream)
        state.seen["requests"] += 1
        state.seen[target] += 1
        state.seen[fault or "good"] += 1
        marker = f"{target}/{state.seen['requests']}/{request['messages'][-1]['content']}"
        pause = state.plan.pause * state.chance.uniform(0.25, 1.0)
        asyncio.get_running_loop().call_later(pause, self._respond, target, marker, fault, stream)

    def _respond(self, target: str, marker: str, fault: str | None, stream: bool) -> None:  # noqa: FBT001 - call_later has no keywords
        if self.transport.is_closing():
            return
        match fault:
            case "503":
                self.transport.write(_whole(b'{"error": {"message": "overloaded"}}', "503 Service Unavailable"))
            case "429":
                self.transport.write(
                    _whole(b'{"error": {"message": "slow down"}}', "429 Too Many Requests", "retry-after-ms: 50\r\n")
                )
            case "malformed":
                self.transport.write(_whole(b"<html>Welcome to the guest network</html>", "200 OK"))
            case "reset":
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.transport.abort()
            case "hang":
                pass  # until the client closes the connection
            case _ if stream:
                self._stream(target, marker, fault)
            case _:
                body = _whole(json.dumps(_completion(target, " ".join([marker] * WORDS))).encode(), "200 OK")
                self.transport.write(body[: len(body) * 2 // 3] if fault else body)
                if fault:
                    self.transport.close()

    def _stream(self, target: str, marker: str, fault: str | None) -> None:
        """Send three parts with pauses, so that the streams of many callers overlap."""
        events = [_event(target, _ROLE), *(_event(target, {"content": marker + " "}) for _ in range(WORDS))]
        end = [_event(target, {}, "stop"), b"data: [DONE]\n\n"]
        parts = [events[:1], events[1 : WORDS // 2], events[WORDS // 2 :] + end]
        if fault:  # "nothing" and "midway" come before the first word, "broken" after some
            parts = parts[:1] if fault != "broken" else parts[:2]
        self.transport.write(_STREAM_HEAD)
        later = asyncio.get_running_loop().call_later
        for number, part in enumerate(parts):
            later(number * self.state.plan.pause / 8, self.transport.write, b"".join(_chunked(event) for event in part))
        if fault:
            later(len(parts) * self.state.plan.pause / 8, self.transport.close)
        else:
            later((len(parts) - 1) * self.state.plan.pause / 8, self.transport.write, b"0\r\n\r\n")


def _whole(body: bytes, status: str, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _completion(target: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": WORDS, "total_tokens": 3 + WORDS}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 0,
        "model": target,
        "choices": [choice],
        "usage": usage,
    }


def _event(target: str, delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {"id": "c-1", "object": "chat.completion.chunk", "created": 0, "model": target, "choices": [choice]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def serve(pipe: Connection, plan: Plan) -> None:
    """Run the server's process: send its port, then its counts for each message that it receives."""

    async def run() -> None:
        state, loop = State(plan), asyncio.get_running_loop()

        def report() -> None:
            pipe.recv()
            pipe.send({**state.seen, "open": len(state.open)})

        server = await loop.create_server(lambda: ClientConnection(state), "127.0.0.1", 0, backlog=1024)
        loop.add_reader(pipe.fileno(), report)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Server:
    """The client's end of the server's process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url = f"http://127.0.0.1:{pipe.recv()}"

    def seen(self) -> Counter[str]:
        """Return the number of requests: all, by target and by fault; and the number of open connections."""
        self._pipe.send("seen?")
        return Counter(self._pipe.recv())


@contextmanager
def serving(plan: Plan) -> Generator[Server]:
    """Run a server until the block ends."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, plan), daemon=True)
    process.start()
    try:
        yield Server(here)
    finally:
        process.terminate()
        process.join()
