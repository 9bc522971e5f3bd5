"""Time that the policy and its drivers add to each chunk of a stream, and to each call.

    python -m benchmarks.policy_overhead

The exchange has all its chunks ready, so nothing else is measured: no network, no JSON. "alone" is the loop around such
an exchange, "policy" is ``run_policy`` with a driver of ``_client.drivers``, "client" is all of ``LLMClient.stream``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from unified_llm import LLMClient, LLMConfig
from unified_llm._client.call import PreparedCall
from unified_llm._client.drivers import AsyncDriver, Driver
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, current, use
from unified_llm._core.target import Target
from unified_llm._policy.call_state import CallState
from unified_llm._policy.health import Health
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMChunk, LLMRequest

MANY = 20_000
ROUNDS = 15
CHUNK = LLMChunk(content="word ")
LAST = Done(LLMChunk(finish_reason="stop"))
REQUEST = LLMRequest(())
TARGET = Target("scripted", "one", "scripted")
CONFIG = LLMConfig(provider="openai-compatible", model="one", base_url="http://127.0.0.1:9/v1", api_key="sk-none")


class Ready:
    """Exchange that has a number of chunks ready."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def open(self, until: float) -> Failure | None:  # noqa: ARG002 - the protocol's signature
        """Accept the request."""
        return None

    def read(self, until: float) -> LLMChunk | Done:  # noqa: ARG002
        """Return the next chunk."""
        self.left -= 1
        return CHUNK if self.left >= 0 else LAST

    def close(self) -> None:
        """Do nothing."""


class AsyncReady:
    """``Ready`` for async callers."""

    def __init__(self, chunks: int) -> None:
        self.ready = Ready(chunks)

    async def open(self, until: float) -> Failure | None:
        """Accept the request."""
        return self.ready.open(until)

    async def read(self, until: float) -> LLMChunk | Done:
        """Return the next chunk."""
        return self.ready.read(until)

    async def close(self) -> None:
        """Do nothing."""


def new_call() -> PreparedCall:
    """Return a new call."""
    now = time.monotonic
    state = CallState(
        [TARGET], streaming=True, deadline=now() + 600, health=Health(), now=now, random=float, trace=Trace()
    )
    return PreparedCall(REQUEST, [TARGET], state, now(), None, None)


def alone(chunks: int) -> None:
    """Read the exchange without the policy."""
    exchange = Ready(chunks)
    while exchange.read(0.0) is not LAST:
        pass


async def aalone(chunks: int) -> None:
    """Read the exchange without the policy."""
    exchange = AsyncReady(chunks)
    while await exchange.read(0.0) is not LAST:
        pass


def policy(chunks: int) -> None:
    """Run the policy and its driver."""
    driver = Driver(new_call(), lambda _request, _target: Ready(chunks), current())
    while driver.advance() is not LAST:
        pass


async def apolicy(chunks: int) -> None:
    """Run the policy and its driver."""
    driver = AsyncDriver(new_call(), lambda _request, _target: AsyncReady(chunks), current())
    while await driver.advance() is not LAST:
        pass


def client(chunks: int) -> None:
    """Stream with a client."""
    with use(Runtime(exchange=lambda _ask, _target: Ready(chunks))):
        for _ in CLIENT.stream("Hello?"):
            pass


async def aclient(chunks: int) -> None:
    """Stream with a client."""

    def exchange(_ask: AnyRequest, _target: Target) -> AsyncReady:
        return AsyncReady(chunks)

    with use(Runtime(aexchange=exchange)):
        async for _ in CLIENT.astream("Hello?"):
            pass


CLIENT = LLMClient(CONFIG)
WAYS: dict[str, tuple[Callable[[int], None], Callable[[int], Awaitable[None]]]] = {
    "alone": (alone, aalone),
    "policy": (policy, apolicy),
    "client": (client, aclient),
}


def seconds(way: Callable[[int], None], chunks: int, times: int) -> float:
    """Return the processor time of a call, in seconds."""
    began = time.process_time()
    for _ in range(times):
        way(chunks)
    return (time.process_time() - began) / times


async def aseconds(way: Callable[[int], Awaitable[None]], chunks: int, times: int) -> float:
    """Return the processor time of a call, in seconds."""
    began = time.process_time()
    for _ in range(times):
        await way(chunks)
    return (time.process_time() - began) / times


def main() -> None:
    """Print a table. The ways take turns, so that a machine that is slow for a moment slows all of them."""
    chunk: dict[str, list[float]] = {}
    call: dict[str, list[float]] = {}
    with asyncio.Runner() as runner:
        for _ in range(ROUNDS):
            for name, (way, away) in WAYS.items():
                chunk.setdefault(f"{name:<8}sync", []).append(seconds(way, MANY, 1) / MANY)
                chunk.setdefault(f"{name:<8}async", []).append(runner.run(aseconds(away, MANY, 1)) / MANY)
                call.setdefault(f"{name:<8}sync", []).append(seconds(way, 1, 200))
                call.setdefault(f"{name:<8}async", []).append(runner.run(aseconds(away, 1, 200)))
    print("                 µs a chunk   µs a call of one chunk")
    for name, times in chunk.items():
        print(f"{name:<14} {median(times) * 1e6:12.2f} {median(call[name]) * 1e6:24.1f}")


if __name__ == "__main__":
    main()
