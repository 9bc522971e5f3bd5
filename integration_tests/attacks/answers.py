"""Hostile answers: each must end by the deadline, within bounds of memory, without keeping other tasks waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from integration_tests.attacks.catalogue import (
    FULL,
    Attack,
    Figure,
    attack,
    megabytes,
    none_of,
    pause,
    register,
    seconds,
)
from integration_tests.attacks.hostile_answer import HostileAnswer
from integration_tests.attacks.hostile_bodies import BODIES
from integration_tests.attacks.hostile_framing import FRAMING
from integration_tests.attacks.hostile_streams import STREAMS
from integration_tests.attacks.measure import Growth, beating
from integration_tests.attacks.servers import OK, Peer, answering_apart, hostile
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm.exceptions import LLMError

SLACK: Final = 0.25
"""Seconds beyond a deadline that a busy machine may need; the unit tests allow none."""


def client_of(url: str, answer: HostileAnswer) -> LLMClient:
    """Make a client whose only target is the hostile server."""
    config = LLMConfig(model=answer.model, base_url=url, api_key="sk-of-the-attacks", max_retries=0)
    return LLMClient(config, deadline=answer.deadline)


def ways(answer: HostileAnswer) -> list[str]:
    """Return the ways in which an answer is asked for."""
    if answer.asks != "chat":
        return ["sync", "async"]
    whole = [] if answer.only_streamed else ["sync", "async"]
    streamed = ["stream", "astream"] if answer.streamed or answer.only_streamed else []
    if streamed and whole and not FULL:
        return ["async", "stream"]
    return whole + streamed


def ask(client: LLMClient, answer: HostileAnswer, way: str) -> Any:
    """Ask in one way; return the response (of a stream, its text) or the error."""
    try:
        match answer.asks, way:
            case "chat", "stream":
                return sum(len(chunk.content) for chunk in client.stream("x"))
            case "vectors", _:
                return client.embed(["a", "b"])
            case "models", _:
                return client.list_models()
            case _:
                return client.generate("x")
    except LLMError as error:
        return error


async def aask(client: LLMClient, answer: HostileAnswer, way: str) -> Any:
    """Ask as ``ask`` does, for async callers."""
    try:
        match answer.asks, way:
            case "chat", "astream":
                return sum([len(chunk.content) async for chunk in client.astream("x")])
            case "vectors", _:
                return await client.aembed(["a", "b"])
            case "models", _:
                return await client.alist_models()
            case _:
                return await client.agenerate("x")
    except LLMError as error:
        return error


async def _aask_beside_another_task(client: LLMClient, answer: HostileAnswer, way: str) -> tuple[Any, float]:
    async with beating() as pauses:
        outcome = await aask(client, answer, way)
    await client.aclose()
    return outcome, pauses.longest


def run(answer: HostileAnswer) -> Iterator[Figure]:
    """Ask in all ways; yield the longest time, the growth, and the longest pause of another task."""
    longest = paused = 0.0
    wrong = 0
    growth = Growth()
    with hostile(answer.script) as url:
        for way in ways(answer):
            reset_health()
            client, started = client_of(url, answer), time.monotonic()
            if way in {"async", "astream"}:
                outcome, longest_pause = asyncio.run(_aask_beside_another_task(client, answer, way))
                paused = max(paused, longest_pause)
            else:
                outcome = ask(client, answer, way)
            longest = max(longest, time.monotonic() - started)
            wrong += not answer.holds(outcome)
            print(way, type(outcome).__name__, str(outcome)[:200])  # noqa: T201 - printed with a red line
            client.close()
    yield seconds(longest, min(answer.limit or answer.deadline, answer.deadline) + SLACK)
    yield megabytes(growth.peak, answer.memory)
    if any(way in {"async", "astream"} for way in ways(answer)):
        yield pause(paused)
    if wrong:
        yield none_of("wrong outcomes", wrong)


def register_answers(area: str, answers: tuple[HostileAnswer, ...]) -> None:
    """Make an attack of each answer."""
    for answer in answers:
        kill_after = 4 * answer.deadline + 12
        register(Attack(area, answer.title, partial(run, answer), kill_after=kill_after, parallel=answer.idle))


register_answers("answers", (*FRAMING, *BODIES, *STREAMS))


@attack("1xx without end at the primary: the fallback answers")
def interim_responses_fail_over() -> Iterator[Figure]:
    """A server that sends interim responses without end is timed out, and the next target asked."""

    def flood(peer: Peer) -> None:
        peer.repeat(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)

    with hostile(flood) as bad, answering_apart(OK) as good:
        fallback = LLMConfig(model="openai-compatible/f", base_url=good, api_key="k", timeout=5)
        unanswered, longest = 0, 0.0
        for way in ("sync", "async"):
            client = LLMClient(
                "openai-compatible/m", base_url=bad, api_key="k", timeout=0.5, deadline=2, fallbacks=[fallback]
            )
            started = time.monotonic()
            response = client.generate("x") if way == "sync" else asyncio.run(client.agenerate("x"))
            longest = max(longest, time.monotonic() - started)
            unanswered += response.content != "hi"
            client.close()
            reset_health()
    yield seconds(longest, 0.5 + SLACK)
    yield none_of("unanswered", unanswered)
