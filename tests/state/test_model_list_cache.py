"""Model lists of the process: whose list it is, old lists while a request runs, and bounds."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, LLMConfig, ModelInfo
from unified_llm._core.outcome import Done, Failure
from unified_llm._state import model_list_cache
from unified_llm._state.model_list_cache import ModelListCache, Models, Wanted
from unified_llm._state.model_list_files import LONGEST_STALE
from unified_llm.exceptions import (
    AuthenticationError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)
from unified_llm.testing import outage

OPENAI = "openai"
OLD, NEW = (ModelInfo("gpt-4o", "openai"),), (ModelInfo("gpt-5", "openai"),)
STALE = [ModelInfo("gpt-4o", "openai", stale=True)]


@pytest.fixture(params=["sync", "async"])
def listed(request: pytest.FixtureRequest) -> Any:
    def listed(client: LLMClient, **options: Any) -> list[ModelInfo]:
        if request.param == "sync":
            return client.list_models(**options)
        return asyncio.run(client.alist_models(**options))

    return listed


# Whose list it is


def test_clients_of_one_account_share_a_list_and_those_of_another_do_not(listed: Any) -> None:
    targets = ScriptedTargets({OPENAI: [[Done((OLD, None))]], "https://eu.example/v1": [[Done((OLD, None))]]})
    with targets.running():
        first = LLMClient(GPT, api_key="sk-one")
        for same in (
            first,
            LLMClient("openai/gpt-5", api_key="sk-one"),
            LLMClient(HAIKU, fallbacks=[LLMConfig(model=GPT, api_key="sk-one")]),
        ):
            assert listed(same, provider="openai") == list(OLD)
        assert targets.names == [OPENAI]
        others = (
            LLMClient(GPT, api_key="sk-two"),
            LLMClient(GPT, api_key="sk-one", default_headers={"OpenAI-Project": "p"}),
            LLMClient(GPT, api_key="sk-one", base_url="https://eu.example/v1"),
        )
        for number, other in enumerate(others, 2):
            listed(other)
            assert len(targets.asked) == number


def test_invalidating_drops_the_lists_of_the_chain_alone(listed: Any) -> None:
    targets = ScriptedTargets({OPENAI: [[Done((OLD, None))]], "anthropic": [[Done((OLD, None))]]})
    with targets.running():
        both, one = LLMClient(GPT, fallbacks=[HAIKU]), LLMClient(HAIKU)
        listed(both)
        one.invalidate_cache()
        listed(LLMClient(GPT))
        assert targets.names == [OPENAI, "anthropic"]
        listed(both)
        assert targets.names == [OPENAI, "anthropic", "anthropic"]


def test_a_simulated_outage_neither_sees_nor_leaves_a_list() -> None:
    targets = ScriptedTargets({OPENAI: [[Done((OLD, None))]]})
    with targets.running():
        client = LLMClient(GPT)
        client.list_models()
        with outage("openai"), pytest.raises(ServiceUnavailableError):
            client.list_models()
        assert client.list_models() == list(OLD)
        assert targets.names == [OPENAI]


# Old lists


def test_an_old_list_is_returned_where_a_new_one_cannot_be_requested_for_a_day_at_most(listed: Any) -> None:
    targets = ScriptedTargets({OPENAI: [[Done((OLD, None))], Failure("connect")]})
    with targets.running():
        client = LLMClient(GPT)
        assert listed(client) == list(OLD)
        targets.clock += 301.0
        assert listed(client) == STALE
        with pytest.raises(ConnectionError):
            listed(client, use_cache=False)
        assert not client.health_check()
        assert listed(client) == STALE, "the failure dropped nothing"
        assert listed(LLMClient(GPT, cache_ttl=1e6)) == list(OLD), "each client has its own time"
        targets.clock += LONGEST_STALE - 320.0
        assert listed(client) == STALE
        targets.clock += 30.0
        with pytest.raises(ConnectionError):
            listed(client)
        targets.scripts = {OPENAI: [[Done((NEW, None))]]}
        assert listed(client) == list(NEW)


def test_a_client_that_keeps_no_list_is_given_no_old_one(listed: Any) -> None:
    targets = ScriptedTargets({OPENAI: [[Done((OLD, None))], Failure("server", 503)]})
    with targets.running():
        client = LLMClient(GPT, cache_ttl=0)
        assert listed(client) == list(OLD)
        with pytest.raises(ServiceUnavailableError):
            listed(client)


@each(
    "failure, error",
    [
        (Failure("auth", 401), AuthenticationError),
        (Failure("permission", 403), PermissionDeniedError),
        (Failure("unsupported", 400), UnsupportedOperationError),
    ],
)
def test_a_failure_that_is_about_the_account_is_not_hidden_by_an_old_list(failure: Any, error: Any) -> None:
    targets = ScriptedTargets({OPENAI: [[Done((OLD, None))], failure]})
    with targets.running():
        client = LLMClient(GPT)
        client.list_models()
        targets.clock += 301.0
        with pytest.raises(error):
            client.list_models()
        with pytest.raises(error):
            asyncio.run(client.alist_models())


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Slow:
    """A cache with an old list, and a request for a new one that ends when ``go`` is set."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cache = ModelListCache()
        self.wanted = Wanted(("openai", "https://alpha", "me"), 300.0, self.clock)
        self.cache.get(self.wanted, lambda: OLD)
        self.clock.time += 301.0
        self.go, self.begun, self.requests = threading.Event(), threading.Event(), 0

    def fetch(self) -> Models:
        self.requests += 1
        self.begun.set()
        assert self.go.wait(60)
        return NEW

    async def afetch(self) -> Models:
        return await asyncio.to_thread(self.fetch)

    def get(self, fetch: Callable[[], Models] | None = None) -> list[ModelInfo]:
        return list(self.cache.get(self.wanted, fetch or self.fetch))

    async def aget(self) -> list[ModelInfo]:
        return list(await self.cache.aget(self.wanted, self.afetch))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr(model_list_cache, "PATIENCE", 0.02)
    return Slow()


def never() -> Models:
    raise AssertionError("it was requested")


def test_threads_and_tasks_get_the_old_list_while_one_request_runs(slow: Slow) -> None:
    async def ten() -> list[list[ModelInfo]]:
        return list(await asyncio.gather(*(slow.aget() for _ in range(10))))

    assert slow.get() == STALE
    with ThreadPoolExecutor(8) as pool:
        assert [task.result() for task in [pool.submit(slow.get) for _ in range(20)]] == [STALE] * 20
    assert asyncio.run(ten()) == [STALE] * 10
    assert slow.requests == 1
    slow.go.set()
    for thread in threading.enumerate():
        if thread.name == "unified-llm-models":
            thread.join(60)
    assert slow.get(never) == list(NEW)


async def test_a_task_that_is_cancelled_does_not_end_the_request_of_the_others(slow: Slow) -> None:
    first = asyncio.create_task(slow.aget())
    await asyncio.sleep(0.005)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert await slow.aget() == STALE
    slow.go.set()
    await asyncio.gather(*slow.cache._tasks)
    assert slow.requests == 1
    assert slow.get(never) == list(NEW)


async def test_a_sync_call_inside_a_loop_gets_the_old_list_at_once(slow: Slow) -> None:
    task = asyncio.create_task(slow.aget())
    await asyncio.sleep(0)
    assert slow.get(never) == STALE
    slow.go.set()
    assert await task in (STALE, list(NEW))


def test_a_request_that_ends_with_its_event_loop_is_made_by_the_next_caller(slow: Slow) -> None:
    async def cut_off() -> None:
        assert await slow.aget() == STALE
        slow.go.set()  # for the thread; the task is cancelled before it notices

    asyncio.run(cut_off())
    assert slow.get(lambda: NEW) == list(NEW)


def test_a_request_whose_event_loop_was_closed_under_it_is_made_by_the_next_caller(slow: Slow) -> None:
    slow.cache.forget([slow.wanted.key])
    loop = asyncio.new_event_loop()

    async def forever() -> Models:
        await asyncio.Event().wait()
        return OLD

    task = loop.create_task(slow.cache.aget(slow.wanted, forever))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert slow.get(lambda: NEW) == list(NEW)
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_list_that_was_dropped_while_it_was_requested_is_not_kept(slow: Slow) -> None:
    assert slow.get() == STALE
    slow.cache.forget([slow.wanted.key])
    assert slow.get(lambda: NEW) == list(NEW)
    slow.go.set()
    assert slow.get(never) == list(NEW)


def test_an_unexpected_error_of_the_request_is_raised_although_there_is_an_old_list(slow: Slow) -> None:
    def fail() -> Models:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        slow.get(fail)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_makes_the_request_that_a_thread_of_its_parent_makes(slow: Slow) -> None:
    assert slow.get() == STALE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if slow.get(lambda: NEW) == list(NEW) else 1)
    slow.go.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Bounds


def test_lists_and_models_are_bounded_and_the_oldest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_list_cache, "_MOST_MODELS", 1000)
    cache = ModelListCache()
    for number in range(400):
        cache.get(Wanted(number, 300.0, float), lambda: OLD)
    assert list(cache._kept) == list(range(144, 400))
    cache.get(Wanted("long", 300.0, float), lambda: OLD * 990)
    assert list(cache._kept) == [*range(390, 400), "long"]
    cache.get(Wanted("longer", 300.0, float), lambda: OLD * 2000)
    assert list(cache._kept) == ["longer"]
    cache.forget(range(1000))
    assert len(cache._dropped) == 256
