"""What the policy and its drivers add to each chunk of a stream, and to each call.

    python -m benchmarks.policy_overhead

The exchange hands out chunks that are there already, so nothing else is measured: no network, no JSON. "alone" is the
loop around such an exchange, "policy" is ``run_policy`` with ``drivers``, "client" is ``LLMClient.stream`` with all it does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from unified_llm import LLMClient, LLMConfig
from unified_llm._client.drivers import END, AsyncDrive, Drive
from unified_llm._core.codec import AnyRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, current, use
from unified_llm._core.target import Target
from unified_llm._policy.call_state import CallState
from unified_llm._policy.failover import run_policy
from unified_llm._policy.health import Health
from unified_llm._policy.trace import Trace
from unified_llm.types import LLMChunk

MANY = 20_000
ROUNDS = 15
CHUNK = LLMChunk(content="word ")
LAST = Done(LLMChunk(finish_reason="stop"))
TARGET = Target("scripted", "one", "scripted")
CONFIG = LLMConfig(provider="openai-compatible", model="one", base_url="http://127.0.0.1:9/v1", api_key="sk-none")


class Ready:
    """An exchange that has so many chunks ready."""

    def __init__(self, chunks: int) -> None:
        """None has been read."""
        self.left = chunks

    def open(self, until: float) -> Failure | None:  # noqa: ARG002 - the protocol's signature
        """Accepted."""
        return None

    def read(self, until: float) -> LLMChunk | Done:  # noqa: ARG002
        """The next."""
        self.left -= 1
        return CHUNK if self.left >= 0 else LAST

    def close(self) -> None:
        """Nothing to close."""


class AsyncReady:
    """The same for asynchronous callers."""

    def __init__(self, chunks: int) -> None:
        """None has been read."""
        self.ready = Ready(chunks)

    async def open(self, until: float) -> Failure | None:
        """Accepted."""
        return self.ready.open(until)

    async def read(self, until: float) -> LLMChunk | Done:
        """The next."""
        return self.ready.read(until)

    async def close(self) -> None:
        """Nothing to close."""


def question() -> CallState:
    """A call that nobody has made before."""
    now = time.monotonic
    return CallState(
        [TARGET], streaming=True, deadline=now() + 600, health=Health(), now=now, random=float, trace=Trace()
    )


def alone(chunks: int) -> None:
    """The loop that there has to be anyway."""
    exchange = Ready(chunks)
    while exchange.read(0.0) is not LAST:
        pass


async def aalone(chunks: int) -> None:
    """The same."""
    exchange = AsyncReady(chunks)
    while await exchange.read(0.0) is not LAST:
        pass


def policy(chunks: int) -> None:
    """The policy and its driver."""
    drive = Drive(run_policy(question()), lambda _: Ready(chunks), current())
    while drive.advance() is not END:
        pass


async def apolicy(chunks: int) -> None:
    """The same."""
    drive = AsyncDrive(run_policy(question()), lambda _: AsyncReady(chunks), current())
    while await drive.advance() is not END:
        pass


def client(chunks: int) -> None:
    """Everything above the exchange."""
    with use(Runtime(exchange=lambda _ask, _target: Ready(chunks))):
        for _ in CLIENT.stream("Hello?"):
            pass


async def aclient(chunks: int) -> None:
    """The same."""

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
    """Processor time of a call."""
    begun = time.process_time()
    for _ in range(times):
        way(chunks)
    return (time.process_time() - begun) / times


async def aseconds(way: Callable[[int], Awaitable[None]], chunks: int, times: int) -> float:
    """The same."""
    begun = time.process_time()
    for _ in range(times):
        await way(chunks)
    return (time.process_time() - begun) / times


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
    for name, each in chunk.items():
        print(f"{name:<14} {median(each) * 1e6:12.2f} {median(call[name]) * 1e6:24.1f}")


if __name__ == "__main__":
    main()
