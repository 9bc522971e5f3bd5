"""Model lists: one request however many callers need the list, and a cache."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.support.four_ways import GPT, HAIKU, SONAR
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, ModelInfo, configure, health_snapshot
from unified_llm._client.model_lists import PageReader
from unified_llm._core import runtime
from unified_llm._core.outcome import Done, Failure
from unified_llm._state.model_list_cache import ModelListCache, Wanted
from unified_llm.exceptions import (
    AuthenticationError,
    GenerationError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)
from unified_llm.types import ModelsRequest

# A request for the list names no model: its target is the provider alone.
OPENAI, ANTHROPIC = "openai", "anthropic"
MODELS = (ModelInfo("gpt-4o", "openai"), ModelInfo("gpt-4o-mini", "openai"))
OTHERS = (ModelInfo("claude-haiku-4-5", "anthropic"),)


def page(*models: ModelInfo, cursor: str | None = None) -> Attempt:
    return [Done((models, cursor))]


@pytest.fixture(params=["sync", "async"])
def list_models(request: pytest.FixtureRequest) -> Any:
    """Return a function that lists the models of a client: sync or async."""

    def list_models(client: LLMClient, **options: Any) -> list[ModelInfo]:
        if request.param == "sync":
            return client.list_models(**options)
        return asyncio.run(client.alist_models(**options))

    return list_models


@pytest.fixture(params=["sync", "async"])
def healthy(request: pytest.FixtureRequest) -> Any:
    def healthy(client: LLMClient) -> bool:
        return client.health_check() if request.param == "sync" else asyncio.run(client.ahealth_check())

    return healthy


def test_a_list_is_kept_until_its_time_is_over(list_models: Any) -> None:
    targets = ScriptedTargets({OPENAI: [page(*MODELS)]})
    with targets.running():
        client = LLMClient(GPT)
        assert list_models(client) == list(MODELS)
        targets.clock += 299.0
        assert list_models(client) == list(MODELS)
        assert len(targets.asked) == 1
        targets.clock += 2.0
        assert list_models(client) == list(MODELS)
    assert len(targets.asked) == 2
    assert targets.asked[0][1] == ModelsRequest()


def test_the_time_is_the_users_to_choose(list_models: Any) -> None:
    targets = ScriptedTargets({OPENAI: [page(*MODELS)]})
    configure(cache_ttl=5.0)
    with targets.running():
        client, uncached = LLMClient(GPT), LLMClient(GPT, cache_ttl=0)
        for _ in range(2):
            list_models(client)
        assert len(targets.asked) == 1
        targets.clock += 6.0
        list_models(client)
        assert len(targets.asked) == 2
        for _ in range(2):
            list_models(uncached)
    assert len(targets.asked) == 4


def test_a_list_can_be_asked_for_again(list_models: Any) -> None:
    targets = ScriptedTargets({OPENAI: [page(*MODELS)]})
    with targets.running():
        client = LLMClient(GPT)
        list_models(client)
        list_models(client, use_cache=False)
        client.invalidate_cache()
        list_models(client)
    assert len(targets.asked) == 3


def test_every_provider_of_the_chain_is_asked_once_in_its_order(list_models: Any) -> None:
    targets = ScriptedTargets({OPENAI: [page(*MODELS)], ANTHROPIC: [page(*OTHERS)]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU, "openai/gpt-4o-mini"])
        assert list_models(client) == [*MODELS, *OTHERS]
    assert targets.names == [OPENAI, ANTHROPIC]


@pytest.mark.case(55)
def test_a_list_of_several_pages_is_read_to_its_end_but_not_without_end(list_models: Any) -> None:
    targets = ScriptedTargets(
        {OPENAI: [page(MODELS[0], cursor="next"), page(MODELS[1])], ANTHROPIC: [page(*OTHERS, cursor="again")]}
    )
    with targets.running():
        assert list_models(LLMClient(GPT)) == list(MODELS)
        assert [request.cursor for _, request in targets.asked] == [None, "next"]
        assert list_models(LLMClient(HAIKU)) == list(OTHERS) * 100


def test_a_list_of_more_than_100000_models_is_refused(list_models: Any) -> None:
    targets = ScriptedTargets({OPENAI: [page(*[MODELS[0]] * 20_000, cursor="next")]})
    with targets.running(), pytest.raises(GenerationError) as caught:
        list_models(LLMClient(GPT))
    assert caught.value.detail == "More than 100000 models in one list."
    assert len(targets.asked) == 6


def test_a_list_that_is_refused_is_not_looked_up_in_the_tables() -> None:
    page_of_anything: Any = ((object(),) * 100_001, None)
    with pytest.raises(GenerationError):
        PageReader(LLMClient(GPT).targets[0]).read(page_of_anything)


def test_all_pages_of_all_lists_are_read_under_one_deadline(list_models: Any) -> None:
    slow: Attempt = [Pause(0.4), Done((MODELS, "next"))]
    targets = ScriptedTargets({OPENAI: [slow], ANTHROPIC: [slow]})
    with targets.running(), pytest.raises(TimeoutError):
        list_models(LLMClient(GPT, fallbacks=[HAIKU], deadline=1))
    assert targets.names == [OPENAI] * 3


def test_a_provider_that_does_not_answer_is_passed_over_while_another_does(list_models: Any, healthy: Any) -> None:
    targets = ScriptedTargets({OPENAI: [Failure("server", 503)], ANTHROPIC: [page(*OTHERS)]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[SONAR, HAIKU])
        assert list_models(client) == list(OTHERS)
        assert healthy(client)


def test_when_no_provider_answers_the_first_real_failure_is_raised_and_not_kept(list_models: Any, healthy: Any) -> None:
    targets = ScriptedTargets({OPENAI: [Failure("auth", 401), Failure("auth", 401), page(*MODELS)]})
    with targets.running():
        client = LLMClient(SONAR, fallbacks=[GPT])
        with pytest.raises(AuthenticationError):
            list_models(client)
        assert not healthy(client)
        assert list_models(client) == list(MODELS)


def test_a_provider_without_a_list_says_so(list_models: Any) -> None:
    with ScriptedTargets({}).running(), pytest.raises(UnsupportedOperationError, match="list its models"):
        list_models(LLMClient(SONAR))


def test_a_list_that_is_broken_says_nothing_of_the_models(list_models: Any) -> None:
    targets = ScriptedTargets({"openai": [Failure("server", 503)], GPT: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT)
        for _ in range(3):
            with pytest.raises(ServiceUnavailableError):
                list_models(client)
        client.generate("Hello?")
        assert {row["target"]: row["state"] for row in health_snapshot()} == {"openai": "open", GPT: "closed"}


def test_a_client_without_a_model_can_list(list_models: Any) -> None:
    targets = ScriptedTargets({"openai": [page(*MODELS)]})
    with targets.running():
        assert list_models(LLMClient(LLMConfig(provider="openai"))) == list(MODELS)


# Concurrent callers


class Slow:
    """A provider that answers when ``go`` is set, for sync and async callers."""

    def __init__(self, outcome: Any = None) -> None:
        self.asked = 0
        self.go = threading.Event()
        self.begun = threading.Event()
        self.outcome = outcome or Done((MODELS, None))

    @contextmanager
    def running(self) -> Iterator[None]:
        made = replace(
            runtime.Runtime(), exchange=lambda *_: SlowExchange(self), aexchange=lambda *_: SlowAsyncExchange(self)
        )
        with runtime.use(made):
            yield


class SlowExchange:
    def __init__(self, slow: Slow) -> None:
        self.slow = slow

    def open(self, until: float) -> None:
        self.slow.asked += 1
        self.slow.begun.set()

    def read(self, until: float) -> Any:
        assert self.slow.go.wait(60)
        return self.slow.outcome

    def close(self) -> None:
        pass


class SlowAsyncExchange:
    def __init__(self, slow: Slow) -> None:
        self.inner = SlowExchange(slow)

    async def open(self, until: float) -> None:
        self.inner.open(until)

    async def read(self, until: float) -> Any:
        return await asyncio.to_thread(self.inner.read, until)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("leader", ["thread", "task"])
def test_fifty_threads_and_fifty_tasks_of_five_loops_make_one_request(leader: str) -> None:
    slow = Slow()
    with slow.running(), ThreadPoolExecutor(56) as pool:
        client = LLMClient(GPT)

        async def ten() -> list[list[ModelInfo]]:
            return list(await asyncio.gather(*(client.alist_models() for _ in range(10))))

        if leader == "task":
            first: Any = pool.submit(asyncio.run, client.alist_models())
        else:
            first = pool.submit(client.list_models)
        assert slow.begun.wait(60)
        threads = [pool.submit(client.list_models) for _ in range(50)]
        loops = [pool.submit(asyncio.run, ten()) for _ in range(5)]
        time.sleep(0.05)
        slow.go.set()
        lists = [first.result(60), *(thread.result(10) for thread in threads)]
        lists += [models for loop in loops for models in loop.result(60)]
    assert lists == [list(MODELS)] * 101
    assert slow.asked == 1


async def test_when_the_task_that_makes_the_request_is_cancelled_another_makes_it() -> None:
    slow = Slow()
    with slow.running():
        client = LLMClient(GPT)
        leader = asyncio.create_task(client.alist_models())
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(client.alist_models()) for _ in range(3)]
        thread = asyncio.get_running_loop().run_in_executor(None, client.list_models)
        await asyncio.sleep(0.02)
        assert slow.asked == 1
        leader.cancel()
        await asyncio.wait([leader])
        await asyncio.sleep(0.02)
        slow.go.set()
        assert list(await asyncio.gather(*waiting, thread)) == [list(MODELS)] * 4
    assert leader.cancelled()
    assert slow.asked == 2


async def test_one_of_those_who_wait_can_be_cancelled_without_harm_to_the_rest() -> None:
    slow = Slow()
    with slow.running():
        client = LLMClient(GPT)
        leader, one, other = (asyncio.create_task(client.alist_models()) for _ in range(3))
        await asyncio.sleep(0.01)
        one.cancel()
        await asyncio.wait([one])
        slow.go.set()
        assert list(await asyncio.gather(leader, other)) == [list(MODELS)] * 2
    assert one.cancelled()
    assert slow.asked == 1


def test_a_failure_is_raised_for_all_who_wait_and_not_kept() -> None:
    slow = Slow(Failure("server", 503))
    with slow.running(), ThreadPoolExecutor(8) as pool:
        client = LLMClient(GPT, max_retries=0)
        calls = [pool.submit(client.list_models) for _ in range(8)]
        assert slow.begun.wait(60)
        time.sleep(0.02)
        slow.go.set()
        assert {type(call.exception(10)) for call in calls} == {ServiceUnavailableError}
        slow.outcome = Done((MODELS, None))
        assert client.list_models() == list(MODELS)


async def test_a_sync_call_inside_a_loop_does_not_wait_for_a_task_of_that_loop() -> None:
    slow = Slow()
    with slow.running():
        client = LLMClient(GPT)
        leader = asyncio.create_task(client.alist_models())
        await asyncio.sleep(0.01)
        slow.go.set()
        assert client.list_models() == list(MODELS)
        assert await leader == list(MODELS)
    assert slow.asked == 2


def test_when_the_thread_that_makes_the_request_is_interrupted_another_makes_it() -> None:
    cache, begun, go = ModelListCache(), threading.Event(), threading.Event()
    wanted = Wanted("openai", 60.0, float)  # float() is a clock that stays at 0.0

    def interrupted() -> tuple[ModelInfo, ...]:
        begun.set()
        go.wait(60)
        raise KeyboardInterrupt

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            cache.get(wanted, interrupted)

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(lead)
        assert begun.wait(60)
        follower = pool.submit(cache.get, wanted, lambda: MODELS)
        time.sleep(0.02)
        go.set()
        assert follower.result(60) == MODELS
        leader.result(60)


def test_one_list_can_be_forgotten_and_the_others_stay() -> None:
    cache, fetched = ModelListCache(), list[str]()

    def fetch(key: str) -> tuple[ModelInfo, ...]:
        fetched.append(key)
        return MODELS

    for key in ("a", "b", "a", "b"):
        cache.get(Wanted(key, 60.0, float), partial(fetch, key))
        if fetched == ["a", "b"]:
            cache.forget(["a"])
    assert fetched == ["a", "b", "a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    slow = Slow()
    with slow.running():
        client = LLMClient(GPT)
        thread = threading.Thread(target=client.list_models)
        thread.start()
        assert slow.begun.wait(60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer interpreters warn of forks beside threads, which this test is about
            child = os.fork()
        if child == 0:
            signal.alarm(5)  # the child is killed, and the test fails, if it waits
            slow.go.set()
            os._exit(0 if client.list_models() == list(MODELS) else 1)
        slow.go.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
