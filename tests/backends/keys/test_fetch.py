"""When a callable is called for a key, by whom, and what the others get meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.each import each
from tests.support.set_clock import Clock
from unified_llm._backends.keys.fetch import Fetched, TakenKey, aget_key, get_key
from unified_llm._core import runtime
from unified_llm._core.api_key import Secret
from unified_llm._core.key_callable import KeyCallable, _forget_calls_in_progress
from unified_llm._core.outcome import Failure

Get = Callable[..., Fetched]


def aget(source: KeyCallable, until: float, refused: TakenKey | None = None) -> Fetched:
    return asyncio.run(aget_key(source, until, refused))


BOTH = pytest.mark.parametrize("get", [get_key, aget])


def text(fetched: Fetched) -> str:
    return fetched.reveal() if isinstance(fetched, Secret) else f"{fetched.kind}: {fetched.reason}"


def numbered(seconds: float | None = None) -> Callable[[], Any]:
    """Return a callable that returns key-1, key-2 and so on, each for these seconds."""
    count = iter(range(1, 100))
    return lambda: f"key-{next(count)}" if seconds is None else (f"key-{next(count)}", seconds)


@BOTH
def test_a_key_without_seconds_is_kept(get: Get, clock: Clock) -> None:
    source = KeyCallable(numbered())
    for clock.now in (1000.0, 5000.0, 1e9):
        assert text(get(source, clock.now + 9)) == "key-1"


@BOTH
def test_a_key_with_seconds_is_renewed_a_minute_or_a_tenth_before_its_end(get: Get, clock: Clock) -> None:
    for seconds, renewed in ((3600.0, 3540.0), (100.0, 90.0), (0.0, 0.0)):
        source, clock.now = KeyCallable(numbered(seconds)), 1000.0
        assert text(get(source, clock.now + 9)) == "key-1"
        clock.now += renewed - 0.1 if renewed else 0.0
        assert text(get(source, clock.now + 9)) == ("key-1" if renewed else "key-2")
        clock.now += 0.2
        assert text(get(source, clock.now + 9)) == ("key-2" if renewed else "key-3")


@BOTH
def test_a_key_that_cannot_be_renewed_serves_until_its_end(get: Get, clock: Clock) -> None:
    returned: list[Any] = [("key-1", 100)]
    source = KeyCallable(returned.pop)
    for clock.now in (1000.0, 1095.0, 1099.0):
        assert text(get(source, clock.now + 9)) == "key-1"
    clock.now = 1100.0
    assert text(get(source, clock.now + 9)).endswith("raised IndexError")


@BOTH
def test_a_refused_key_is_asked_for_again_once_for_all_requests_that_sent_it(get: Get, clock: Clock) -> None:
    source = KeyCallable(numbered())
    first = [TakenKey(get(source, 9e9), clock.now) for _ in range(3)]  # type: ignore[arg-type]
    clock.now += 1
    assert [text(get(source, 9e9, taken)) for taken in first] == ["key-2"] * 3
    calls: list[str] = []

    def same_key() -> str:
        calls.append("called")
        return "key-1"

    same = KeyCallable(same_key)
    first = [TakenKey(get(same, 9e9), clock.now) for _ in range(3)]  # type: ignore[arg-type]
    clock.now += 1
    assert [text(get(same, 9e9, taken)) for taken in first] == ["key-1"] * 3
    assert len(calls) == 2


def test_threads_and_loops_share_one_call() -> None:
    release, calls = threading.Event(), list[str]()

    def key() -> str:
        calls.append("called")
        release.wait(60)
        return "key-1"

    until = runtime.current().now() + 5
    sources = [KeyCallable(key) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(get, source, until) for source, get in zip(sources, [get_key, aget] * 4, strict=True)]
        release.set()
        assert {text(each.result()) for each in waiting} == {"key-1"}
    assert len(calls) == 1


def test_loops_share_one_call_of_an_async_callable() -> None:
    calls: list[str] = []

    async def key() -> str:
        calls.append("called")
        await asyncio.sleep(0.02)
        return "key-1"

    source, until = KeyCallable(key), runtime.current().now() + 5
    with ThreadPoolExecutor(6) as pool:
        assert {text(fetched) for fetched in pool.map(lambda _: aget(source, until), range(6))} == {"key-1"}
    assert len(calls) == 1


def test_a_loop_that_ends_in_the_middle_of_a_fetch_leaves_it_to_others() -> None:
    calls: list[str] = []

    async def key() -> str:
        calls.append("called")
        await asyncio.sleep(3600 if len(calls) == 1 else 0)
        return "key-1"

    async def abandon() -> None:
        task = asyncio.create_task(aget_key(source, float("inf")))
        await asyncio.sleep(0)
        assert not task.done()

    source = KeyCallable(key)
    asyncio.run(abandon())  # which cancels the task
    assert text(aget(source, runtime.current().now() + 5)) == "key-1"
    coroutine = aget_key(KeyCallable(lambda: "key-2"), float("inf"))
    with contextlib.suppress(StopIteration):
        coroutine.close()


def test_a_caller_waits_only_a_little_for_a_new_key_while_the_old_one_is_valid(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_llm._backends.keys.fetch._RENEWAL_WAIT", 0.01)
    release, returned = threading.Event(), iter([("key-1", 100.0), ("key-2", 100.0)])

    def key() -> Any:
        pair = next(returned)
        if pair[0] == "key-2":
            release.wait(60)
        return pair

    source = KeyCallable(key)
    assert text(get_key(source, 1009.0)) == "key-1"
    clock.now = 1095.0
    assert [text(get_key(source, 9e9)) for _ in range(3)] == ["key-1"] * 3  # the first starts the call
    release.set()
    clock.now = 1100.0
    assert text(get_key(source, clock.now + 5)) == "key-2"


def test_a_call_that_has_not_returned_for_minutes_is_given_up(clock: Clock) -> None:
    release, answers = threading.Event(), iter(["late", "key-2"])

    def key() -> str:
        answer = next(answers)
        if answer == "late":
            release.wait(60)
        return answer

    source = KeyCallable(key)
    assert text(get_key(source, clock.now)).startswith("timeout: ")
    clock.now += 299.0
    assert text(get_key(source, clock.now)).startswith("timeout: ")
    clock.now += 2.0
    assert text(get_key(source, clock.now + 5)) == "key-2"
    release.set()
    assert text(get_key(source, clock.now + 5)) == "key-2"


def test_failures_of_a_callable_say_nothing_of_the_target_or_the_key() -> None:
    def fail() -> str:
        raise ValueError("secret")

    failure = get_key(KeyCallable(fail), float("inf"))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.scope, failure.about_key) == ("auth", "caller", False)
    assert "secret" not in f"{failure}"


@each("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_others_call_again_where_the_first_caller_was_interrupted(error: type[BaseException]) -> None:
    calls, waits = list[str](), threading.Event()

    def key() -> str:
        calls.append("called")
        if len(calls) == 1:
            waits.wait(60)
            raise error
        return "key-1"

    source, until, ends = KeyCallable(key), runtime.current().now() + 5, list[Any]()

    def first() -> None:
        try:
            ends.append(get_key(source, until))
        except BaseException as raised:  # noqa: BLE001 - it is what the test is about
            ends.append(type(raised))

    leader = threading.Thread(target=first)
    leader.start()
    while not calls:
        pass
    follower = threading.Thread(target=lambda: ends.append(text(get_key(source, until))))
    follower.start()
    waits.set()
    leader.join()
    follower.join()
    assert ends in ([error, "key-1"], ["key-1", error])


def test_a_forked_child_does_not_wait_for_a_call_of_its_parent() -> None:
    release, calls = threading.Event(), list[str]()

    def key() -> str:
        calls.append("called")
        if len(calls) == 1:
            release.wait(60)
        return f"key-{len(calls)}"

    source = KeyCallable(key)
    assert text(get_key(source, 0.0)).startswith("timeout: ")
    _forget_calls_in_progress()  # which a child does first
    assert text(get_key(source, runtime.current().now() + 5)) == "key-2"
    release.set()
