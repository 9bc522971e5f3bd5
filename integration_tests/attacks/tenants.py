"""Many tenants in one process: what clients cost and leave, and what must not pass from one tenant to another."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module, util
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
from integration_tests.attacks.concurrency import target
from integration_tests.attacks.measure import Growth, descriptors
from integration_tests.attacks.servers import OK, Request, answering_apart, chat, reply
from unified_llm import LLMClient, LLMConfig, register_provider
from unified_llm.exceptions import LLMError


@attack("1,000 tenants on one loop: own key, own header, half of them wrong", kill_after=180, parallel=True)
def thousand_tenants() -> Iterator[Figure]:
    """Every tenant gets its own answer, or its own refusal."""
    if util.find_spec("integration_tests.support.tenants") is None:
        yield none_of("not there: support/tenants", 1)
        return
    figures: Any = import_module("integration_tests.support.tenants").measure(1000)
    yield all_of("answered", figures.answered, 1500)
    yield all_of("refused", figures.refused, 1500)
    yield none_of("wrong", figures.wrong)
    yield megabytes(figures.megabytes, 20)
    yield at_most("sockets", figures.sockets, 100)
    yield none_of("left", figures.left)


def _tenant_text(request: Request) -> bytes:
    return reply(chat(f"for {request.headers.get('x-tenant')} {request.headers.get('authorization')}"))


@attack("LangChain's cache: keys, headers, callable keys", parallel=True)
def cache_of_langchain() -> Iterator[Figure]:
    """A cached answer is that of the same account and the same headers, whatever differs from request to request."""
    from langchain_core.caches import InMemoryCache
    from langchain_core.globals import set_llm_cache

    from unified_llm.langchain import ChatUnified

    set_llm_cache(InMemoryCache())
    mixed = missed = 0
    with answering_apart(_tenant_text) as url:

        def ask(key: str, tenant: str, **headers: str) -> str:
            model = ChatUnified(
                model="openai-compatible/m", base_url=url, api_key=key, default_headers={"X-Tenant": tenant, **headers}
            )
            return str(model.invoke("q").content)

        for key in ("k1", "k2"):
            for tenant in ("1", "2"):
                mixed += ask(key, tenant) != f"for {tenant} Bearer {key}"
        set_llm_cache(cache := InMemoryCache())
        for header in ("traceparent", "X-Request-Id", "Idempotency-Key"):
            before = len(cache._cache)
            ask("k1", "1", **{header: "1"})
            ask("k1", "1", **{header: "2"})
            missed += len(cache._cache) - before > 1
    set_llm_cache(None)
    yield none_of("another tenant's", mixed)
    yield none_of("missed for the header of a request", missed)


@attack("building clients", memory=4000)
def building() -> Iterator[Figure]:
    """A client costs microseconds, and a thousand of them nothing that stays."""
    from unified_llm.langchain import ChatUnified

    config = LLMConfig(model="openai-compatible/m", base_url="http://127.0.0.1:9", api_key="k")
    LLMClient(config)
    ChatUnified(model="openai-compatible/m", base_url="http://127.0.0.1:9", api_key="k")
    growth, started = Growth(), time.process_time()
    for _ in range(5000):
        LLMClient(config)
    each = (time.process_time() - started) / 5000
    started = time.process_time()
    for _ in range(1000):
        ChatUnified(model="openai-compatible/m", base_url="http://127.0.0.1:9", api_key="k")
    yield at_most("LLMClient", each * 1e6, 500, "us")
    yield at_most("ChatUnified", (time.process_time() - started) * 1e3, 1500, "us")
    yield megabytes(growth.now, 5)


@attack("clients built, called, closed or not, sync and async, distinct keys", kill_after=120)
def built_and_called() -> Iterator[Figure]:
    """Nothing is left of a client: no descriptor, no thread, no memory."""
    count = scale(700, 3000)

    async def many() -> None:
        for index in range(count):
            client = LLMClient(target("m", url))
            await client.agenerate("x")
            if index % 2:
                await client.aclose()

    with answering_apart(OK) as url:
        with LLMClient(target("m", url)) as client:
            client.generate("x")
        gc.collect()
        before, threads, growth, started = descriptors(), threading.active_count(), Growth(), time.monotonic()
        for index in range(count):
            client = LLMClient(LLMConfig(model="openai-compatible/m", base_url=url, api_key=f"key-{index}"))
            client.generate("x")
            client.close()
        each = (time.monotonic() - started) / count
        for _ in range(count):
            LLMClient(target("m", url)).generate("x")
        asyncio.run(many())
        gc.collect()
    yield at_most("build, call, close", each * 1e3, 10, "ms")
    yield none_of("descriptors", descriptors() - before)
    yield none_of("threads", threading.active_count() - threads)
    yield megabytes(growth.now, 8)


@attack("clients without the garbage collector", parallel=True)
def cycles() -> Iterator[Figure]:
    """A client that was used is no part of a reference cycle."""
    with answering_apart(OK) as url:
        for _ in range(3):
            LLMClient(target("m", url)).generate("x")
        gc.collect()
        gc.disable()
        for _ in range(500):
            LLMClient(target("m", url)).generate("x")
        found = gc.collect()
        gc.enable()
    yield none_of("objects in cycles", found)


@attack("models by the thousand: of one client, of a client each", parallel=True)
def distinct_models() -> Iterator[Figure]:
    """The registry does not grow without bound with the names that users make up."""
    count = scale(1500, 3000)
    with answering_apart(OK) as url:
        client = LLMClient(target("m", url))
        client.generate("x")
        growth = Growth()
        for index in range(count):
            client.generate("x", model=f"openai-compatible/one-{index}")
            LLMClient(target(f"each-{index}", url)).generate("x")
    yield megabytes(growth.now, 20)


class _Hanging:
    """A provider object that hangs for a while."""

    def generate(self, request: Any) -> Any:
        del request
        time.sleep(4)
        raise RuntimeError("too late")

    def stream(self, request: Any) -> Any:
        raise RuntimeError(str(request)[:0])


@attack("105 calls, 20 at a time, of a synchronous provider object that hangs", kill_after=60, parallel=True)
def hanging_objects() -> Iterator[Figure]:
    """The threads that are left behind by deadlines are bounded."""
    register_provider("hanging", _Hanging())
    before = threading.active_count()
    times: list[float] = []

    def client() -> LLMClient:
        return LLMClient("hanging/m", max_retries=0, timeout=0.02, deadline=1)

    async def one() -> None:
        started = time.monotonic()
        with suppress(LLMError):
            await client().agenerate("x")
        times.append(time.monotonic() - started)

    async def twenty() -> None:
        await asyncio.gather(*[one() for _ in range(20)])

    loop = asyncio.new_event_loop()
    for _ in range(5):
        loop.run_until_complete(twenty())
    for _ in range(5):
        started = time.monotonic()
        with suppress(LLMError):
            client().generate("x")
        times.append(time.monotonic() - started)
    yield all_of("ended", len(times), 105)
    yield at_most("threads", threading.active_count() - before, 40)
    yield seconds(max(times), 1.25)
