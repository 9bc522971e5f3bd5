"""Calls that are cancelled, interrupted by signals, or dropped: nothing is lost or left over."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from integration_tests.attacks.catalogue import (
    Figure,
    at_most,
    attack,
    none_of,
    scale,
)
from integration_tests.attacks.concurrency import echo, right, target
from integration_tests.attacks.servers import OK, Answering, Request, answering_apart, head, reply
from unified_llm import BreakerConfig, LLMClient, health_snapshot, reset_health
from unified_llm.exceptions import LLMError

PERMITS: Final = 1000
"""Connections to one origin that may be busy at the same time."""


def faulty_echo(request: Request) -> bytes | None:
    """Answer as ``echo`` does, in 85 of 100 requests; else fail."""
    draw = random.random()
    if draw < 0.05:
        return reply({}, status="503 Down")
    if draw < 0.10:
        return head("Content-Length: 100", "Connection: close") + b'{"choi'
    if draw < 0.15:
        return None
    return echo(request)


@attack("calls cancelled at random instants, hedged, 15 % faults", kill_after=120, parallel=True)
def random_cancellations() -> Iterator[Figure]:
    """A cancelled call leaves no task, socket, permit or probe behind, and the others get their own answers."""
    tally = {"wrong": 0, "odd": 0, "cancelled": 0}
    complaints: list[Any] = []

    async def run(count: int, first: Answering, second: Answering) -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        fallback = target("b", second.url, timeout=2)
        client = LLMClient(target("a", first.url, timeout=2), fallbacks=[fallback], deadline=5, hedge_after=0.02)
        for start in range(0, count, 50):
            tasks = [asyncio.create_task(_may_be_cancelled(client, start + index, tally)) for index in range(50)]
            for task in tasks:
                if random.random() < 0.85:
                    delay = random.uniform(0, 0.08)
                    loop.call_later(delay, task.cancel)
                    if random.random() < 0.2:
                        loop.call_later(delay + 0.001, task.cancel)
            await asyncio.wait(tasks)
        await asyncio.sleep(0)
        tasks_left = len(asyncio.all_tasks()) - 1
        lost = await alost_permits(client, first)
        await client.aclose()
        return tasks_left, lost

    with Answering(faulty_echo, 0.005) as first, Answering(faulty_echo, 0.005) as second:
        tasks_left, lost = asyncio.run(run(scale(1000, 5000), first, second))
        left = first.settled_open() + second.settled_open()
    yield none_of("wrong", tally["wrong"])
    yield none_of("odd errors", tally["odd"])
    yield none_of("tasks left", tasks_left)
    yield none_of("permits lost", lost)
    yield none_of("sockets left", left)
    yield none_of("complaints", len(complaints))
    yield Figure("cancelled", tally["cancelled"], 100, least=True)


async def _may_be_cancelled(client: LLMClient, index: int, tally: dict[str, int]) -> None:
    prompt = f"p{index}"
    try:
        if index % 2:
            text = "".join([chunk.content async for chunk in client.astream(prompt)])
        else:
            text = (await client.agenerate(prompt)).content
        tally["wrong"] += not right(prompt, text)
    except asyncio.CancelledError:
        tally["cancelled"] += 1
    except LLMError:
        pass
    except Exception:  # noqa: BLE001 - that is what is looked for
        tally["odd"] += 1


async def alost_permits(client: LLMClient, server: Answering) -> int:
    """Return how many of as many calls as there are permits do not reach the first target at the same time."""
    reset_health()
    server.requests.clear()
    server.answer = lambda _: None
    holding = [
        asyncio.create_task(client.agenerate("x", timeout=15, deadline=20, hedge_after=15)) for _ in range(PERMITS)
    ]
    until = time.monotonic() + 4
    while len(server.requests) < PERMITS and time.monotonic() < until:
        await asyncio.sleep(0.02)
    arrived = len(server.requests)
    for call in holding:
        call.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    return PERMITS - arrived


def lost_permits(client: LLMClient, server: Answering) -> int:
    """Return the same for sync calls, each in a thread."""
    reset_health()
    server.requests.clear()
    server.answer = lambda _: None

    def hold() -> None:
        with suppress(LLMError):
            client.generate("x", timeout=8, deadline=8)

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(PERMITS)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 4
    while len(server.requests) < PERMITS and time.monotonic() < until:
        time.sleep(0.02)
    return PERMITS - len(server.requests)


@attack("half-open probes cancelled", parallel=True)
def cancelled_probes() -> Iterator[Figure]:
    """A probe that is cancelled is given back: the next call probes, and closes the breaker."""
    count = scale(200, 500)
    breaker = BreakerConfig(failures=1, cooldown=0.001, cooldown_max=0.001)

    async def run(first: Answering, good: str) -> tuple[int, int]:
        client = LLMClient(
            target("a", first.url, max_retries=0, breaker=breaker), fallbacks=[target("b", good)], deadline=20
        )
        first.answer = reply({}, status="503 Down")
        await client.agenerate("x")
        first.answer, arrived = (lambda _: None), len(first.requests)
        for index in range(count):
            await asyncio.sleep(0.0015)
            probe = asyncio.create_task(client.agenerate("x"))
            if index % 2:  # cancelled while it waits for the answer
                until = time.monotonic() + 1
                while len(first.requests) == arrived and time.monotonic() < until:
                    await asyncio.sleep(0.0005)
            else:  # at any instant before
                await asyncio.sleep(random.uniform(0, 0.002))
            arrived = len(first.requests)
            probe.cancel()
            await asyncio.wait([probe])
        first.answer = OK
        await asyncio.sleep(0.005)
        served_by = (await client.agenerate("x")).attempts[-1].target
        closed = [state for state in health_snapshot() if state["target"].endswith("/a") and state["state"] == "closed"]
        return int(not served_by.endswith("/a")), int(not closed)

    with Answering() as first, answering_apart(OK) as good:
        lost, still_open = asyncio.run(run(first, good))
        probed = len(first.requests)
    yield Figure("probes", probed, count / 2, least=True)
    yield none_of("lost", lost)
    yield none_of("not closed", still_open)


@attack("sync streams dropped: closed, deleted, in a cycle", parallel=True)
def dropped_streams() -> Iterator[Figure]:
    """A stream that nobody reads any more gives its connection and its permit back."""
    gc.collect()
    with Answering(echo) as server, LLMClient(target("m", server.url)) as client:
        for index in range(1000):
            stream: Any = client.stream("x")
            next(iter(stream))
            if index % 3 == 0:
                stream.close()
            elif index % 3 == 1:
                cycle = [stream]
                cycle.append(cycle)
                del cycle
            del stream
        gc.collect()
        left = server.settled_open(1)
        lost = lost_permits(client, server)
    yield at_most("sockets", left, 1)
    yield none_of("permits lost", lost)


class _Interrupted(Exception):  # noqa: N818 - what a library's soft time limit raises
    """Raised by a signal."""


@attack("sync calls interrupted by exceptions of signals", kill_after=90, parallel=True)
def signal_exceptions() -> Iterator[Figure]:
    """An exception of a signal at any line loses no permit, and no probe for longer than an attempt may last."""

    def interrupt(*_: object) -> None:
        raise _Interrupted

    signal.signal(signal.SIGALRM, interrupt)
    breaker = BreakerConfig(failures=1, cooldown=1e-4, cooldown_max=1e-4)
    interrupted = 0
    with Answering(reply({}, status="503 Down")) as first, answering_apart(OK) as good:
        primary = target("h", first.url, max_retries=0, breaker=breaker, timeout=0.5)
        client = LLMClient(primary, fallbacks=[target("o", good)])
        client.generate("x")
        for _ in range(scale(2000, 15_000)):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-5, 4e-3))
                client.generate("x")
                signal.setitimer(signal.ITIMER_REAL, 0)
            except _Interrupted:
                interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        first.answer = OK
        time.sleep(1)  # twice as long as an attempt may last
        used = [client.generate("x").used_fallback for _ in range(5)]
        gc.collect()
        lost = lost_permits(client, first)
    yield Figure("interrupted", interrupted, 100, least=True)
    yield none_of("probes lost", int(used[-1]))
    yield none_of("permits lost", lost)
