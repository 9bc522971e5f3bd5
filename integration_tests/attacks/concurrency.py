"""Many callers at once: all are answered, each with its own answer, and nothing is left over."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from integration_tests.attacks.catalogue import (
    Figure,
    all_of,
    at_most,
    attack,
    megabytes,
    none_of,
    scale,
    seconds,
)
from integration_tests.attacks.measure import Growth, descriptors
from integration_tests.attacks.servers import OK, Answering, Request, answering_apart, chat, ok, reply
from unified_llm import BreakerConfig, LLMClient, LLMConfig
from unified_llm.exceptions import LLMError


def target(model: str, url: str, **fields: Any) -> LLMConfig:
    """Make the configuration of a target without retries."""
    return LLMConfig(model=f"openai-compatible/{model}", base_url=url, api_key="sk-of-the-attacks", **fields)


def events(text: str) -> bytes:
    """Return a stream that says this text, a word at a time."""
    words = [f"{word} " for word in text.split(" ")]
    deltas = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
    values = [*deltas, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + b"data: [DONE]\n\n"
    return ok(data, content_type="text/event-stream")


def echo(request: Request) -> bytes:
    """Answer with the prompt, ten times, as it was asked for."""
    prompt = request.json["messages"][-1]["content"]
    text = " ".join([prompt] * 10)
    return events(text) if request.json.get("stream") else reply(chat(f"{text} "))


def right(prompt: str, text: str) -> bool:
    """Return whether a text is the whole answer of ``echo``."""
    return text == f"{prompt} " * 10


@attack("3,000 calls at once", kill_after=60)
def three_thousand_calls() -> Iterator[Figure]:
    """Each of many calls at the same time is answered, and only idle connections up to the limit are kept."""

    async def calls(client: LLMClient) -> tuple[int, int, int]:
        answers = await asyncio.gather(*[client.agenerate("x") for _ in range(3000)], return_exceptions=True)
        idle = descriptors() - before
        await client.aclose()
        await asyncio.sleep(0)
        return sum(getattr(answer, "content", None) == "hi" for answer in answers), idle, descriptors() - before

    before = 0
    with answering_apart(OK) as url:
        client = LLMClient(target("m", url), deadline=60)

        async def run() -> tuple[int, int, int]:
            nonlocal before
            before = descriptors()
            return await calls(client)

        started = time.monotonic()
        answered, idle, left = asyncio.run(run())
    yield all_of("answered", answered, 3000)
    yield seconds(time.monotonic() - started, 30)
    yield at_most("idle sockets", idle, 100)
    yield none_of("sockets left", left)


@attack("24 threads of sync calls, asyncio.run and streams on one client", parallel=True)
def threads_and_loops() -> Iterator[Figure]:
    """One client works in threads and in many short event loops at the same time."""
    answered: list[bool] = []

    async def stream(client: LLMClient, prompt: str) -> str:
        return "".join([chunk.content async for chunk in client.astream(prompt)])

    def work(number: int) -> None:
        for index in range(30):
            prompt = f"{number}/{index}"
            with suppress(LLMError):
                match (number + index) % 3:
                    case 0:
                        answered.append(right(prompt, client.generate(prompt).content))
                    case 1:
                        answered.append(right(prompt, asyncio.run(client.agenerate(prompt)).content))
                    case _:
                        answered.append(right(prompt, asyncio.run(stream(client, prompt))))

    with answering_apart(echo) as url, LLMClient(target("m", url)) as client, ThreadPoolExecutor(24) as pool:
        list(pool.map(work, range(24)))
    yield all_of("answered", sum(answered), 720)


@attack("asyncio.run, again and again, on one client", parallel=True)
def many_loops() -> Iterator[Figure]:
    """The connections of closed loops are closed, and nothing of them is kept."""
    with answering_apart(OK) as url, LLMClient(target("m", url)) as client:
        asyncio.run(client.agenerate("x"))
        before, growth = descriptors(), Growth()
        for _ in range(500):
            asyncio.run(client.agenerate("x"))
        yield at_most("more descriptors", descriptors() - before, 4)
        yield megabytes(growth.now, 3)


@attack("1,200 callers, and a primary that hangs", kill_after=90, parallel=True)
def hanging_primary() -> Iterator[Figure]:
    """Calls that find no connection to a primary that hangs are served by the idle fallback."""

    async def run(hung: str, good: str) -> int:
        client = LLMClient(target("m", hung, timeout=30), fallbacks=[target("f", good)], deadline=80)
        answers = await asyncio.gather(*[client.agenerate("x") for _ in range(1200)], return_exceptions=True)
        await client.aclose()
        return sum(getattr(answer, "content", None) == "hi" for answer in answers)

    with answering_apart(lambda _: None) as hung, answering_apart(OK) as good:
        started = time.monotonic()
        answered = asyncio.run(run(hung, good))
    yield all_of("answered", answered, 1200)
    yield seconds(time.monotonic() - started, 45)


@attack("a primary that flaps every 0.2 s, 8 threads")
def flapping_primary() -> Iterator[Figure]:
    """Every call is answered while the primary comes and goes."""
    times: list[float] = []
    errors: list[Exception] = []
    period = scale(2, 8)

    def flap(_: Request) -> bytes:
        return OK if int(time.monotonic() / 0.2) % 2 else reply({}, status="503 Down")

    def work(client: LLMClient) -> None:
        until = time.monotonic() + period
        while time.monotonic() < until:
            started = time.monotonic()
            try:
                client.generate("x")
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                errors.append(error)
            times.append(time.monotonic() - started)

    with answering_apart(flap) as shaky, answering_apart(OK) as good:
        client = LLMClient(target("a", shaky), fallbacks=[target("b", good)])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, [client] * 8))
    yield Figure("calls", len(times), 200, least=True)
    yield none_of("errors", len(errors))
    yield seconds(sorted(times)[int(len(times) * 0.99)], 0.85, "p99")


@attack("half-open breaker: 100 threads, 200 tasks", parallel=True)
def callers_at_half_open() -> Iterator[Figure]:
    """Of all callers at a half-open breaker, one probes; the others are served by the fallback."""
    breaker = BreakerConfig(failures=1, cooldown=0.2, cooldown_max=0.2)

    def client_of(first: str, good: str) -> LLMClient:
        return LLMClient(target("a", first, max_retries=0, breaker=breaker), fallbacks=[target("b", good)])

    async def tasks(client: LLMClient) -> int:
        answers = await asyncio.gather(*[client.agenerate("x") for _ in range(200)])
        return sum(answer.content == "hi" for answer in answers)

    with Answering(reply({}, status="503 Down"), delay=0.1) as first, answering_apart(OK) as good:
        client = client_of(first.url, good)
        client.generate("x")
        time.sleep(0.3)
        first.requests.clear()
        with ThreadPoolExecutor(100) as pool:
            by_threads = sum(answer.content == "hi" for answer in pool.map(client.generate, ["x"] * 100))
        thread_probes = len(first.requests)
        time.sleep(0.3)
        first.answer = OK
        first.requests.clear()
        by_tasks = asyncio.run(tasks(client))
        task_probes = len(first.requests)
    yield all_of("answered", by_threads + by_tasks, 300)
    yield at_most("probes of threads", thread_probes, 1)
    yield at_most("probes of tasks", task_probes, 1)


@attack("41 hedged streams, slow primary", parallel=True)
def hedged_streams() -> Iterator[Figure]:
    """A hedged stream comes from the target that is fast, and the other attempt is closed."""

    async def one(client: LLMClient) -> str:
        return "".join([chunk.content async for chunk in client.astream("x")])

    async def run(client: LLMClient) -> int:
        fast = sum([right("x", await one(client)) for _ in range(41)])
        await client.aclose()
        return fast

    with Answering(echo, delay=0.3) as slow, answering_apart(echo) as good:
        client = LLMClient(target("a", slow.url), fallbacks=[target("b", good)], hedge_after=0.05)
        answered = asyncio.run(run(client))
        left = slow.settled_open()
    yield all_of("right", answered, 41)
    yield none_of("sockets left", left)


@attack("random faults at random bytes, 3 targets, 4 modes", kill_after=300, parallel=True)
def faults_at_random_bytes() -> Iterator[Figure]:
    """Every complete text is what one target sent, every partial text a prefix of one, and nothing else is raised."""
    from integration_tests.attacks.random_faults import storm

    tally = storm(scale(1500, 12_500))
    yield Figure("calls", tally.calls, scale(1500, 12_500), least=True)
    yield Figure("interrupted", tally.interrupted, 1, least=True)
    yield none_of("wrong texts", tally.wrong)
    yield none_of("odd errors", tally.odd)
