"""Shared state: switching it on and off, and its effects on calls and model lists."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, configure
from unified_llm._config import process_settings
from unified_llm._core import defaults, runtime
from unified_llm._core.target import Target
from unified_llm._policy.health_updates import BreakerOpened
from unified_llm._state import process_health, sharing
from unified_llm._state.model_list_cache import ModelListCache, Wanted
from unified_llm._state.redis.sync_thread import SyncThread
from unified_llm._state.redis.url import RedisURL
from unified_llm.exceptions import ConfigurationError
from unified_llm.types import ModelInfo

URL = "redis://:sk-CANARY-of-redis@localhost:6379/0"
MODELS, OTHERS = (ModelInfo("one", "alpha"),), (ModelInfo("two", "alpha"),)
KEY = ("alpha", "https://alpha", None)


class SharedLists:
    """Stands in for the model lists that processes share through Redis."""

    def __init__(self) -> None:
        self.there: dict[Hashable, Any] = {}
        self.kept: list[tuple[Hashable, Any, float]] = []
        self.woken = 0

    def wake(self, _: SyncThread) -> None:
        self.woken += 1

    def find(self, _: SyncThread, key: Hashable, ttl: float) -> Any:
        return self.there.get(key)

    async def afind(self, _: SyncThread, key: Hashable, ttl: float) -> Any:
        return self.there.get(key)

    def keep(self, _: SyncThread, key: Hashable, models: Any, ttl: float) -> None:
        self.kept.append((key, models, ttl))


@pytest.fixture(autouse=True)
def lists(monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedLists]:
    lists = SharedLists()
    for name in ("wake", "find", "afind", "keep"):
        method = getattr(lists, name)
        monkeypatch.setattr(SyncThread, name, lambda *arguments, method=method: method(*arguments))
    yield lists
    monkeypatch.delenv("UNIFIED_LLM_STATE", raising=False)
    configure(state=None)


@pytest.fixture(params=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Any:
    """Return a function that reads a cache: sync or async."""

    def get(
        cache: ModelListCache, fetch: Callable[[], Any] = lambda: MODELS, *, at: Callable[[], float] = clock
    ) -> Any:
        async def afetch() -> Any:
            return fetch()

        awaited: Callable[[], Awaitable[Any]] = afetch
        wanted = Wanted(KEY, 300.0, at)
        return cache.get(wanted, fetch) if request.param == "sync" else asyncio.run(cache.aget(wanted, awaited))

    return get


def publisher() -> object:
    """Return the publisher of the registry of this process."""
    return process_health.HEALTH._publisher


def clock() -> float:
    return 1_000.0


def never() -> Any:
    raise AssertionError("no request is needed")


def test_nothing_is_shared_unless_it_is_configured(lists: SharedLists, get: Any) -> None:
    assert sharing.sync_thread() is None
    cache = ModelListCache()
    assert get(cache) == MODELS
    assert (lists.kept, lists.woken) == ([], 0)


def test_configure_switches_it_on_and_off() -> None:
    configure(state=URL)
    first = sharing.sync_thread()
    assert first
    assert publisher() is first
    configure(state=URL)
    assert sharing.sync_thread() is first, "the same address changes nothing"
    configure(state="redis://elsewhere")
    second = sharing.sync_thread()
    assert second
    assert second is not first
    assert [first._over, second._over] == [True, False]
    configure(state=None)
    assert sharing.sync_thread() is None
    assert publisher() is None
    assert [first._over, second._over] == [True, True]


def test_the_environment_switches_it_on_with_the_first_client(
    monkeypatch: pytest.MonkeyPatch, lists: SharedLists
) -> None:
    monkeypatch.setenv("UNIFIED_LLM_STATE", URL)
    assert publisher() is None
    LLMClient("ollama/llama2")
    assert publisher()
    assert lists.woken == 1
    url = sharing._configured_url()
    assert sharing._configured_url() is url, "it is read once"
    monkeypatch.setenv("UNIFIED_LLM_STATE", "")
    LLMClient("ollama/llama2")
    assert publisher() is None


def test_what_is_learned_comes_into_the_registry_of_the_process() -> None:
    configure(state=URL)
    dead = Target("alpha", "one", "scripted", base_url="https://alpha")
    sync_thread = sharing.sync_thread()
    assert sync_thread
    now = runtime.current().now()
    sync_thread._learn(BreakerOpened(dead.health_key, now, now + 30.0, dead.name, 1, 5))
    assert not process_health.HEALTH.ready(dead, runtime.current().now())


@each(
    "url",
    [
        "", " ", "localhost:6379", "http://sk-CANARY@localhost", 6379, True, ["redis://localhost"],
        "redis://:sk-CANARY#1@localhost", "redis://:sk-CANARY/2@localhost:6379", "redis://localhost:port",
        "redis://localhost/0?socket_timeout=sk-CANARY", "redis://localhost/0?no_such_option=sk-CANARY",
        "redis://[sk-CANARY",
    ],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused_and_not_repeated(url: Any) -> None:
    configure(timeout=5)
    with pytest.raises(ConfigurationError, match=r"configure\(state=\.\.\.\)") as refused:
        configure(state=url, timeout=7)
    check(refused.value)
    assert process_settings.without_reading().configured.fields == {"timeout": 5}, "nothing is changed"
    assert sharing.sync_thread() is None


def test_an_address_in_the_environment_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_STATE", "redis:sk-CANARY")
    with pytest.raises(ConfigurationError, match="UNIFIED_LLM_STATE") as refused:
        LLMClient("ollama/llama2")
    check(refused.value)


def check(error: BaseException) -> None:
    """Check that no key is in the traceback, nor in the variables of our frames, which error trackers collect."""
    assert "CANARY" not in "".join(traceback.format_exception(error))
    report = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    frames = [frame for frame in report.stack if "/unified_llm/" in frame.filename]
    assert frames
    assert [frame for frame in frames if "sk-CANARY" in f"{frame.locals}"] == []


def test_an_address_shows_nothing_and_is_never_pickled() -> None:
    address = RedisURL(URL, "here")
    assert f"{address!r}" == "RedisURL('***')"
    assert address == RedisURL(URL, "there") != RedisURL("redis://localhost", "here")
    assert len({address, RedisURL(URL, "there")}) == 1
    with pytest.raises(TypeError, match="never pickled"):
        address.__reduce__()


def test_the_client_of_redis_waits_for_a_moment_unless_the_address_says_otherwise() -> None:
    options = RedisURL(URL, "here").connect().connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (0.05, 0.05)
    assert options["retry"]._retries == 0
    slow = RedisURL(f"{URL}?socket_timeout=0.2", "here").connect().connection_pool.connection_kwargs
    assert slow["socket_timeout"] == 0.2


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._state.redis.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"run pip install 'unified-llm\[redis\]'"):
        configure(state=URL)
    assert sharing.sync_thread() is None


def test_what_scripted_targets_do_is_not_shared() -> None:
    configure(state=URL)
    with ScriptedTargets({}).running():
        assert sharing.sync_thread() is None
    assert sharing.sync_thread()


def test_a_list_that_another_process_asked_for_will_do(lists: SharedLists, get: Any) -> None:
    configure(state=URL)
    lists.there[KEY] = (OTHERS, 100.0)
    cache = ModelListCache()
    assert get(cache, never) == OTHERS
    assert lists.kept == []
    lists.there.clear()
    assert get(cache, never) == OTHERS, "it is cached here, too"
    assert cache._kept[KEY].requested == 900.0, "and its age counts"


def test_a_list_that_was_asked_for_here_is_for_others(lists: SharedLists, get: Any) -> None:
    configure(state=URL)
    cache = ModelListCache()
    assert get(cache) == MODELS
    assert get(cache, never) == MODELS
    assert lists.kept == [(KEY, MODELS, 300.0)]


def test_a_list_that_was_forgotten_is_asked_for_again(lists: SharedLists, get: Any) -> None:
    configure(state=URL)
    lists.there[KEY] = (OTHERS, 100.0)
    cache = ModelListCache()
    for _ in range(2):
        cache.forget([KEY])
        assert get(cache) == MODELS
    assert len(lists.kept) == 2
    cache._kept.clear()
    assert get(cache, never) == OTHERS, "it was requested again once"


def test_a_list_that_cannot_be_had_is_not_shared(lists: SharedLists, get: Any) -> None:
    def fail() -> Any:
        raise ZeroDivisionError

    configure(state=URL)
    with pytest.raises(ZeroDivisionError):
        get(ModelListCache(), fail)
    assert lists.kept == []


def test_many_threads_create_one_sync_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_STATE", URL)
    gate, sync_threads = threading.Barrier(8), list[SyncThread | None]()

    def read() -> None:
        gate.wait()
        sync_threads.append(sharing.sync_thread())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(sync_thread) for sync_thread in sync_threads}) == 1
    assert sync_threads[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize("address", [None, URL])
def test_a_forked_child_has_a_sync_thread_of_its_own_although_a_thread_held_the_lock(address: str | None) -> None:
    configure(state=address)
    parent = sharing.sync_thread()
    inbox = parent._inbox if parent else None
    with sharing._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        signal.alarm(10)  # the child is killed, and the test fails, if it waits
        configure(state="redis://elsewhere")
        fresh = parent is None or (parent._inbox is not inbox and parent._over)
        os._exit(0 if sharing.sync_thread() is not parent and fresh else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sharing.sync_thread() is parent


def test_the_end_of_the_process_stops_the_sync_thread() -> None:
    sharing._finish()
    configure(state=URL)
    sync_thread = sharing.sync_thread()
    assert sync_thread
    sharing._finish()
    assert sync_thread._over


def test_configuring_it_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    configure(state=URL)
    assert "CANARY" not in caplog.text
    assert "CANARY" not in f"{defaults._configured}"
