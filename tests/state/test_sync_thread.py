"""The thread that exchanges updates with Redis while calls go on. Threads are real here, and wait for events."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, NoReturn

import pytest

from tests.support.policy_harness import target
from tests.support.redis_in_memory import MemoryRedis, Pipeline
from tests.support.scripted_targets import ScriptedTargets
from unified_llm._core import runtime
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._state.redis.sync_thread import SyncThread
from unified_llm._state.redis.url import RedisURL
from unified_llm.types import ModelInfo

A = target("alpha/one", base_url="https://alpha")
LISTED, MODELS = ("alpha", "https://alpha", None), (ModelInfo("one", "alpha"),)
PATIENCE = 30.0


class GatedRedis(MemoryRedis):
    """Redis in memory that answers while ``gate`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = time.time()
        self.gate = threading.Event()
        self.gate.set()
        self.written = threading.Event()

    def run(self, commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        self.received.set()
        assert self.gate.wait(PATIENCE)
        answers = super().run(commands)
        if any(name == "xadd" for name, _, _ in commands):
            self.written.set()
        return answers


Learned = list[HealthUpdate]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatedRedis]:
    server = GatedRedis()
    monkeypatch.setattr(RedisURL, "connect", lambda _: server)
    yield server
    server.gate.set()


@pytest.fixture
def make(server: GatedRedis) -> Iterator[Callable[..., SyncThread]]:
    sync_threads: list[SyncThread] = []

    def make(
        learn: Callable[[HealthUpdate], None] = lambda _: None, catch_up: Callable[[], None] = lambda: None
    ) -> SyncThread:
        sync_threads.append(SyncThread(RedisURL("redis://localhost", "here"), learn, catch_up))
        return sync_threads[-1]

    yield make
    server.gate.set()
    for sync_thread in sync_threads:
        sync_thread.stop()
        if sync_thread._thread:
            sync_thread._thread.join(PATIENCE)


def opened(seconds: float = 30.0) -> BreakerOpened:
    now = time.monotonic()
    return BreakerOpened(A.health_key, now, now + seconds, A.name, 1, 5)


def test_nothing_is_started_before_the_first_call(make: Any, server: GatedRedis) -> None:
    sync_thread: Any = make()
    before = threading.active_count()
    sync_thread.publish(opened())
    assert threading.active_count() == before
    assert not server.received.is_set()
    sync_thread.wake()
    assert server.written.wait(PATIENCE)
    thread = sync_thread._thread
    assert thread.daemon
    sync_thread.wake()
    assert sync_thread._thread is thread


def test_many_threads_start_one(make: Any) -> None:
    sync_thread, gate, before = make(), threading.Barrier(8), threading.active_count()

    def wake() -> None:
        gate.wait()
        sync_thread.wake()

    threads = [threading.Thread(target=wake) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert threading.active_count() == before + 1


def test_what_one_publishes_the_other_learns(make: Any, server: GatedRedis) -> None:
    learned, received = Learned(), threading.Event()

    def learn(update: HealthUpdate) -> None:
        learned.append(update)
        received.set()

    one = make()
    one.publish(opened())
    one.publish(CooldownStarted(("alpha", "abc"), time.monotonic() + 0.5, "over too soon", wait=True))
    one.wake()
    assert server.written.wait(PATIENCE)
    make(learn).wake()
    assert received.wait(PATIENCE)
    assert [type(update) for update in learned] == [BreakerOpened]
    assert learned[0].until == pytest.approx(time.monotonic() + 30.0, abs=5.0)


def test_what_a_registry_put_off_is_published_without_another_call(make: Any, server: GatedRedis) -> None:
    put_off = [opened()]

    def catch_up() -> None:
        if put_off:
            sync_thread.publish(put_off.pop())

    sync_thread: SyncThread = make(catch_up=catch_up)
    sync_thread.wake()
    assert server.written.wait(PATIENCE)


def test_a_queue_that_is_never_empty_delays_no_poll(make: Any, server: GatedRedis) -> None:
    sync_thread: SyncThread = make()
    pending = threading.Event()

    class Endless(SimpleQueue[Any]):
        """A queue that always has a job."""

        def get(self, *_: object, **__: object) -> Any:
            return None if pending.is_set() else opened()

    sync_thread._inbox = Endless()
    sync_thread.wake()
    assert server.written.wait(PATIENCE)
    pending.set()


def test_a_model_list_comes_from_whoever_asked_for_it(make: Any) -> None:
    one, other = make(), make()
    assert other.find(LISTED, 300.0) is None
    one.keep(LISTED, MODELS, 300.0)
    models = one.find(LISTED, 300.0)  # queued behind the job that keeps it, so it is there
    assert models
    assert models[0] == MODELS
    assert other.find(LISTED, 300.0) == models
    assert asyncio.run(other.afind(LISTED, 300.0)) == models
    assert other.find(LISTED, 0.0) is None, "too old for a caller that needs a new one"


def test_whoever_looks_for_a_list_waits_for_a_moment_at_most(make: Any, server: GatedRedis) -> None:
    sync_thread = make()
    server.gate.clear()
    started = time.monotonic()
    assert sync_thread.find(LISTED, 300.0) is None
    assert asyncio.run(sync_thread.afind(LISTED, 300.0)) is None
    assert 0.1 <= time.monotonic() - started < PATIENCE
    server.gate.set()
    sync_thread.keep(LISTED, MODELS, 300.0)
    assert sync_thread._request_models(LISTED).result(PATIENCE)


async def test_a_task_that_is_cancelled_while_it_looks_for_a_list_harms_no_other(make: Any, server: GatedRedis) -> None:
    sync_thread = make()
    server.gate.clear()
    looking = asyncio.create_task(sync_thread.afind(LISTED, 300.0))
    await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    server.gate.set()
    sync_thread.keep(LISTED, MODELS, 300.0)
    assert sync_thread._request_models(LISTED).result(PATIENCE)


def test_whoever_stopped_learns_nothing_more_and_starts_nothing(make: Any, server: GatedRedis) -> None:
    learned, one = Learned(), make()
    one.publish(opened())
    one.wake()
    assert server.written.wait(PATIENCE)
    server.gate.clear()
    server.received.clear()
    other = make(learned.append)
    other.wake()
    assert server.received.wait(PATIENCE)
    other.stop()
    server.gate.set()
    other._thread.join(PATIENCE)
    assert learned == []
    assert server.closed
    thread = other._thread
    other.wake()
    assert other._thread is thread
    assert other.find(LISTED, 300.0) is None
    make().finish()  # one that was never started


def test_the_end_of_a_process_waits_for_the_last_update(make: Any, server: GatedRedis) -> None:
    sync_thread = make()
    sync_thread.wake()
    assert server.received.wait(PATIENCE)
    sync_thread.publish(opened())
    sync_thread.finish()
    assert not sync_thread._thread.is_alive()
    assert server.written.is_set()


def test_the_end_of_a_process_does_not_wait_for_a_server_that_hangs(make: Any, server: GatedRedis) -> None:
    sync_thread = make()
    server.gate.clear()
    sync_thread.wake()
    assert server.received.wait(PATIENCE)
    started = time.monotonic()
    sync_thread.finish()
    assert 0.2 <= time.monotonic() - started < PATIENCE


def test_where_no_thread_can_be_started_calls_go_on(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    sync_thread = make()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        sync_thread.wake()
        sync_thread.wake()
        assert sync_thread.find(LISTED, 300.0) is None
        sync_thread.finish()
    sync_thread._thread = None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_scripted_targets_do_is_not_published(make: Any, server: GatedRedis) -> None:
    sync_thread = make()
    with ScriptedTargets({}).running():
        sync_thread.publish(opened())
        sync_thread.keep(LISTED, MODELS, 300.0)
        assert sync_thread.find(LISTED, 300.0)
    sync_thread.publish(BreakerClosed(A.health_key, runtime.current().now() + 60.0))
    assert sync_thread._request_models(LISTED).result(PATIENCE)
    sync_thread.finish()
    ((_, fields),) = server.values["unified-llm:2:breakers"]
    assert b"closed" in fields[b"update"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_has_a_thread_of_its_own(make: Any, server: GatedRedis) -> None:
    sync_thread = make()
    sync_thread.wake()
    assert server.received.wait(PATIENCE)
    with sync_thread._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer interpreters warn of forks beside threads, which this test is about
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        sync_thread.renew()
        server.written.clear()
        sync_thread.publish(opened())
        sync_thread.wake()
        os._exit(0 if server.written.wait(PATIENCE) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.values == {}, "the memory is the child's own"


def test_the_pipeline_of_these_tests_counts_as_the_real_one_does(server: GatedRedis) -> None:
    assert len(Pipeline(server).time().time()) == 2
