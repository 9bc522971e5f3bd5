"""Processes that share health through a real Redis, which hangs, crashes and restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

import pytest

from integration_tests.support import redis_scale
from integration_tests.support.redis_server import PASSWORD, RedisServer
from integration_tests.support.upstream import KEY, Upstream
from integration_tests.support.waiting import PATIENCE, wait_until
from integration_tests.support.worker import PROMPT, Worker
from unified_llm._policy.health_updates import BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._state.redis.url import REDIS_TIMEOUT

if TYPE_CHECKING:
    import redis

PRIMARY, FALLBACK = "vllm/scripted-large", "llamacpp/scripted-small"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
        secret_free(server)


@pytest.fixture
def start(server: RedisServer, upstream: Upstream, second: Upstream) -> Iterator[Callable[..., Worker]]:
    """Start a process that shares its state."""
    with ExitStack() as running:

        def start(**options: float) -> Worker:
            environment = {"UNIFIED_LLM_STATE": server.url}
            return running.enter_context(Worker(upstream.base_url, second.base_url, KEY, environment, **options))

        yield start


def secret_free(server: RedisServer) -> None:
    """Assert that Redis has no key, prompt, answer or password, only our names, and an expiry for each value."""
    for name, (value, ttl) in server.dump().items():
        assert name.startswith("unified-llm:2:")
        assert 0 < ttl <= 7_200_000
        for secret in (KEY, PROMPT, "CANARY", PASSWORD, "You said"):
            assert secret not in value


def trip(worker: Worker, upstream: Upstream) -> None:
    """Open the breaker of the primary in one process."""
    upstream.status = 503
    for _ in range(5):
        assert worker.do("generate") == [f"{PRIMARY} server", f"{FALLBACK} ok"]
    assert worker.state() == "open"


def test_one_process_learns_of_an_outage_and_of_its_end_from_the_other(
    start: Callable[..., Worker], upstream: Upstream
) -> None:
    one, other = start(cooldown=6.0), start(cooldown=6.0)
    assert other.state() is None
    trip(one, upstream)
    assert wait_until(lambda: other.state() == "open")
    asked = upstream.count()
    assert other.do("generate") == [f"{PRIMARY} skipped", f"{FALLBACK} ok"]
    assert other.do("agenerate") == [f"{PRIMARY} skipped", f"{FALLBACK} ok"]
    assert upstream.count() == asked
    upstream.status = None
    assert wait_until(lambda: one.state() == "half_open")
    assert one.do("generate") == [f"{PRIMARY} ok"]
    assert wait_until(lambda: other.state() == "closed")
    assert upstream.count() == asked + 1
    assert other.do("warnings") == one.do("warnings") == []


def test_a_process_that_starts_later_knows_of_the_outage(start: Callable[..., Worker], upstream: Upstream) -> None:
    trip(start(), upstream)
    late = start()
    assert wait_until(lambda: late.state() == "open")


def test_a_refused_key_is_skipped_by_all_processes(
    start: Callable[..., Worker], upstream: Upstream, server: RedisServer
) -> None:
    one, other = start(), start()
    assert other.do("generate") == [f"{PRIMARY} ok"]  # which gives it a row of health, where cooldowns are seen
    upstream.status = 401
    assert one.do("generate") == [f"{PRIMARY} auth", f"{FALLBACK} ok"]
    assert wait_until(lambda: "unified-llm:2:cooldowns" in server.dump())
    assert wait_until(lambda: any(row["cooldowns"] for row in other.do("health")))
    asked = upstream.count()
    assert other.do("generate") == [f"{PRIMARY} skipped", f"{FALLBACK} ok"]
    assert upstream.count() == asked


def test_a_model_list_is_asked_for_once(start: Callable[..., Worker], upstream: Upstream, server: RedisServer) -> None:
    one, other, third = start(), start(), start()
    models = one.do("list")
    assert models
    assert wait_until(lambda: any(":models:" in name for name in server.dump()))
    assert other.do("list") == third.do("alist") == models
    assert upstream.count("models") == 1
    assert other.do("list again")
    assert upstream.count("models") == 2


def test_when_redis_dies_calls_go_on_and_when_it_is_back_they_share_again(
    start: Callable[..., Worker], upstream: Upstream, server: RedisServer
) -> None:
    one, other = start(), start()
    assert one.do("generate") == other.do("generate") == [f"{PRIMARY} ok"]
    server.kill()
    for _ in range(3):
        assert one.do("generate") == one.do("agenerate") == [f"{PRIMARY} ok"]
        assert one.do("list")
        time.sleep(0.5)
    trip(one, upstream)
    assert other.state() == "closed", "no update can arrive"
    assert [len(worker.do("warnings")) for worker in (one, other)] == [1, 1]
    assert PASSWORD not in f"{one.do('warnings')}"
    server.start()
    assert wait_until(lambda: other.state() == "open")
    assert [len(worker.do("warnings")) for worker in (one, other)] == [1, 1]


def test_a_redis_that_hangs_slows_nothing_down(
    start: Callable[..., Worker], server: RedisServer, record_property: Callable[[str, object], None]
) -> None:
    worker = start()
    worker.do("list")
    usual, usual_stall = worker.do("measure"), worker.do("stall")
    server.suspend()
    try:
        listed = worker.do("list cold")
        hung = worker.do("measure")
        time.sleep(2.5)  # until the next attempt, which fails as well
        stall = worker.do("stall")
        assert worker.do("list cold") < listed + 5.0
        assert len(worker.do("warnings")) == 1
    finally:
        server.resume()
    for name, value in (
        ("median", median(usual)), ("median, hung", median(hung)), ("longest", max(usual)),
        ("longest, hung", max(hung)), ("stall", usual_stall), ("stall, hung", stall), ("list, hung", listed),
    ):  # fmt: skip
        record_property(name, f"{value * 1000:.1f} ms")
    assert min(hung) < min(usual) + REDIS_TIMEOUT, "no call waits for Redis"
    for value, before in ((max(hung), max(usual)), (stall, usual_stall), (listed, max(usual))):
        assert value < before + 5.0, "what waits does so for a moment, though Redis hangs until the end of the test"


def test_a_redis_that_starts_later_is_used_then(
    start: Callable[..., Worker], upstream: Upstream, server: RedisServer
) -> None:
    server.kill()
    one, other = start(), start()
    assert one.do("generate") == [f"{PRIMARY} ok"]
    assert other.do("alist")
    server.start()
    assert wait_until(lambda: one.do("warnings") != [])
    trip(one, upstream)
    assert wait_until(lambda: other.state() == "open")


def test_the_last_update_is_sent_when_a_process_ends(upstream: Upstream, second: Upstream, server: RedisServer) -> None:
    worker = Worker(upstream.base_url, second.base_url, KEY, {"UNIFIED_LLM_STATE": server.url})
    assert worker.do("begin")
    trip(worker, upstream)
    assert worker.end() == 0
    assert "unified-llm:2:breakers" in server.dump()


def test_many_refused_keys_cost_an_idle_worker_little_and_hide_no_breaker(
    record_property: Callable[[str, object], None],
) -> None:
    figures = redis_scale.measure(1_100)
    record_property("figures", f"{figures}")
    assert figures.known == 1_100
    assert figures.commands < redis_scale.MOST_COMMANDS
    assert figures.traffic < 5_000
    # The bar is met on an idle machine; tests run beside others.
    assert max(figures.heard, figures.heard_at_start) < PATIENCE


STRANGE: dict[str, Callable[[redis.Redis, str], object]] = {
    "a text": lambda client, key: client.set(key, "text"),
    "a large text": lambda client, key: client.set(key, b"x" * 64_000_000),
    "a large set": lambda client, key: client.sadd(key, *range(200_000)),
    "a sorted set": lambda client, key: client.zadd(key, {f"{number}": number for number in range(1_000)}),
    "the last identifier": lambda client, key: client.xadd(key, {"a": "b"}, id=f"{2**64 - 1}-{2**64 - 1}"),
    "an identifier of the future": lambda client, key: client.xadd(key, {"a": "b"}, id=f"{10**15}-0"),
    "strange entries": lambda client, key: _add_entries(client, key, 20_000),
    "a large entry": lambda client, key: client.xadd(key, {"update": b"x" * 64_000_000}),
    "an entry that is no text": lambda client, key: client.xadd(key, {b"update": b"\xff\xfe", b"\xff": b""}),
    "many brackets": lambda client, key: client.xadd(key, {"update": "[" * 100_000}),
}


def _add_entries(client: redis.Redis, key: str, count: int) -> None:
    pipe = client.pipeline(transaction=False)
    for _ in range(count):
        pipe.xadd(key, {"update": "junk"})
    pipe.execute()


@pytest.mark.parametrize("strange", STRANGE)
def test_what_others_put_into_our_keys_hides_no_breaker(strange: str, server: RedisServer) -> None:
    learned: list[HealthUpdate] = []
    listener = redis_scale.make_sync(server, learned)
    listener.poll()
    with server.client() as client:
        for stream in ("breakers", "cooldowns"):
            client.delete(f"unified-llm:2:{stream}")
            STRANGE[strange](client, f"unified-llm:2:{stream}")
    redis_scale.publish_cooldowns(server, 1)
    redis_scale.publish_breaker(server)

    def has_learned_both() -> bool:
        listener.poll()
        return len(learned) == 2

    assert wait_until(has_learned_both)
    listener.close()
    assert {type(update) for update in learned} == {BreakerOpened, CooldownStarted}


def test_what_is_too_large_to_be_read_in_time_is_replaced(server: RedisServer) -> None:
    learned: list[HealthUpdate] = []
    sender, listener = (redis_scale.make_sync(server, updates, timeout=0.05) for updates in ([], learned))
    with server.client() as client:
        for _ in range(4):
            client.xadd("unified-llm:2:breakers", {"update": b"x" * 64_000_000})
    key = ("vllm", "http://primary.example:8000", "scripted-large", "fingerprint")
    now = time.monotonic()
    sender.publish(BreakerOpened(key, now, now + 60.0, PRIMARY, 1, 5))

    def has_learned() -> bool:
        sender.poll()
        listener.poll()
        return learned != []

    assert wait_until(has_learned)
    sender.close()
    listener.close()
    assert [type(update) for update in learned] == [BreakerOpened]
