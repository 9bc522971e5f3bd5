"""Many prompts at a server that accepts 60 requests a minute, in fake time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from llama_index.core.async_utils import run_jobs
from llama_index.core.llms import ChatMessage

from tests.support import fake_time_loop
from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU
from tests.support.limited_servers import LimitedServer
from unified_llm import LLMClient
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse

PROMPTS = [f"p{number}" for number in range(500)]


class Exchange:
    """A request to a limited server, which repeats the prompt."""

    def __init__(self, server: LimitedServer, request: LLMRequest) -> None:
        self.server, self.request = server, request

    async def open(self, until: float) -> None:
        self.response = self.server.respond(asyncio.get_running_loop().time())

    async def read(self, until: float) -> Done | Failure:
        await asyncio.sleep(self.server.latency)
        if isinstance(self.response, Failure):
            return self.response
        assert isinstance(self.response.value, LLMResponse)
        text = self.request.messages[-1].text
        if self.request.stream:
            return replace(self.response, value=LLMChunk(text, finish_reason="stop"))
        return replace(self.response, value=replace(self.response.value, content=text))

    async def close(self) -> None:
        pass


def run(main: Any, **servers: LimitedServer) -> Any:
    def connect(request: Any, target: Target) -> Any:
        return Exchange(servers[target.provider], request)

    async def timed() -> tuple[Any, float]:
        begun = asyncio.get_running_loop().time()
        return await main, asyncio.get_running_loop().time() - begun

    return fake_time_loop.run(timed(), aexchange=connect)


async def texts_of(run: Any) -> list[str]:
    return [result.text async for result in run]


@each("rpm", [60, None])
def test_500_prompts_take_nine_minutes_in_order_and_few_are_refused(rpm: int | None) -> None:
    server = LimitedServer()
    client = LLMClient(GPT, api_key="sk-1", rpm=rpm)
    texts, seconds = run(texts_of(client.amap(iter(PROMPTS), concurrency=20)), openai=server)
    assert texts == PROMPTS
    assert 440 <= seconds <= 540
    assert len(server.refused) <= 0.05 * len(server.received)
    assert bool(server.refused) == (rpm is None)


@each("rpm", [60, None])
def test_the_same_holds_for_a_batch_of_langchain(rpm: int | None) -> None:
    server = LimitedServer()
    model = ChatUnified(model=GPT, api_key="sk-1", rpm=rpm)
    messages, seconds = run(model.abatch(list(PROMPTS), config={"max_concurrency": 20}), openai=server)
    assert [message.content for message in messages] == PROMPTS
    assert 440 <= seconds <= 540
    assert len(server.refused) <= 0.05 * len(server.received)


class Room(LimitedServer):
    """A server with room for two requests at a time: that says nothing about a key."""

    running = 0

    def respond(self, now: float) -> Done | Failure:
        if self.running == 2:
            self.refused.append(now)
            return Failure("rate_limit", about_key=False)
        self.running += 1
        asyncio.get_running_loop().call_later(self.latency, self._end)
        return Done(LLMResponse("", "m", "p"))

    def _end(self) -> None:
        self.running -= 1


def test_calls_of_a_batch_wait_for_room_whatever_it_is_that_has_none() -> None:
    """As the queue of a model in this process: its refusals concern no key."""
    room = Room(latency=0.5)
    texts, seconds = run(texts_of(LLMClient(GPT, api_key="sk-1").amap(PROMPTS[:100], concurrency=16)), openai=room)
    assert texts == PROMPTS[:100]
    assert seconds <= 120
    assert len(room.refused) <= 25


def test_a_request_that_is_too_large_for_the_limit_fails_alone() -> None:
    class Small(LimitedServer):
        def respond(self, now: float) -> Done | Failure:
            self.refused.append(now)
            return Failure("rate_limit", about_key=False, try_again=False)

    async def kinds(run: Any) -> list[str]:
        return [type(result.error).__name__ async for result in run]

    small = Small()
    errors, _ = run(kinds(LLMClient(GPT, api_key="sk-1").amap(PROMPTS[:3])), openai=small)
    assert errors == ["RateLimitError"] * 3
    assert len(small.refused) == 3


async def asked_for(llm: UnifiedLLM, prompt: str, way: str) -> str:
    if way == "complete":
        return (await llm.acomplete(prompt)).text
    if way == "stream":
        return "".join([str(chunk.delta) async for chunk in await llm.astream_complete(prompt)])
    return str((await llm.achat([ChatMessage(prompt)])).message.content)


@each("way, show_progress", [("chat", False), ("complete", True), ("stream", False)])
def test_the_same_holds_for_jobs_of_llama_index(*, way: str, show_progress: bool) -> None:
    server = LimitedServer()
    llm = UnifiedLLM(model=GPT, api_key="sk-1")
    jobs = [asked_for(llm, prompt, way) for prompt in PROMPTS[:200]]
    texts, seconds = run(run_jobs(jobs, workers=20, show_progress=show_progress), openai=server)
    assert texts == PROMPTS[:200]
    assert seconds <= 240
    assert len(server.refused) <= 0.1 * len(server.received)


def test_a_single_call_is_no_job_of_llama_index() -> None:
    async def ask() -> Any:
        llm = UnifiedLLM(model=GPT, api_key="sk-1")
        await llm.acomplete("Hello?")
        return llm.health()[0]["rate_limit"]

    assert run(ask(), openai=LimitedServer())[0] is None


def test_a_fallback_gets_what_is_beyond_the_limit() -> None:
    first, second = LimitedServer(), LimitedServer(per_minute=1_000_000)
    client = LLMClient({"model": GPT, "api_key": "sk-1", "rpm": 60}, fallbacks=[{"model": HAIKU, "api_key": "sk-2"}])
    texts, seconds = run(texts_of(client.amap(PROMPTS, concurrency=20)), openai=first, anthropic=second)
    assert texts == PROMPTS
    assert seconds < 60
    assert first.refused == second.refused == []
    assert len(first.accepted) > 0
