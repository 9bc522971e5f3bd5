"""Measure what shared state costs, and how late an update arrives, with many cooldowns in a real Redis.

Run ``python -m integration_tests.support.redis_scale`` for a table.
A worker, which is a process of its own, shares its state and makes no calls. Other processes are simulated here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from integration_tests.support.redis_server import RedisServer
from integration_tests.support.waiting import PATIENCE
from integration_tests.support.worker import Worker

if TYPE_CHECKING:
    import redis

    from unified_llm._policy.health_updates import HealthUpdate
    from unified_llm._state.redis.sync import HealthSync

COUNTS = (0, 300, 1_100, 10_000, 100_000)
PRIMARY = "vllm/scripted-large"
# A worker's arguments: it sends no requests.
_NOWHERE = ("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "key")
# The bars: commands a second of an idle worker, and seconds until another process learns of an open breaker.
MOST_COMMANDS = 50.0
LONGEST_DELAY = 3.0
# Seconds: until a worker has read what was stored before it started, and for which its traffic is counted.
_SETTLE = 3.0
_COUNTED = 5.0


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        commands: Commands a second of an idle worker.
        traffic: Bytes a second between it and Redis, in both directions.
        known: Cooldowns that a process knows of soon after it starts.
        heard: Seconds from the opening of a breaker to its being open in the idle worker; infinite if it never was.
        heard_at_start: The same for a process that starts later, from its first poll.
    """

    commands: float
    traffic: float
    known: int
    heard: float
    heard_at_start: float


@contextmanager
def running() -> Iterator[RedisServer]:
    """Run a server for the block."""
    with RedisServer() as server:
        yield server


def make_sync(server: RedisServer, learned: list[HealthUpdate], *, timeout: float = 2.0) -> HealthSync:
    """Return the part of a process that exchanges its updates; those that it receives are appended to the list."""
    from unified_llm._state.redis.commands import Store
    from unified_llm._state.redis.sync import HealthSync
    from unified_llm._state.redis.url import RedisURL

    client = RedisURL(f"{server.url}?socket_timeout={timeout}", "the test").connect()
    return HealthSync(Store(client), learned.append, time.monotonic)


def publish_cooldowns(server: RedisServer, count: int) -> None:
    """Publish the cooldowns of this many refused keys, as a process does that has received 401 for them."""
    from unified_llm._policy.health_updates import CooldownStarted

    sync = make_sync(server, [])
    for number in range(count):
        key = ("vllm", f"fingerprint of key {number}")
        sync.publish(CooldownStarted(key, time.monotonic() + 300.0, "its key was refused (auth)", wait=False))
        if number % 500 == 499:
            sync.poll(early=True)
    sync.close()


def publish_breaker(server: RedisServer) -> None:
    """Publish that the breaker of the workers' primary is open."""
    from unified_llm._policy.health_updates import BreakerOpened

    sync = make_sync(server, [])
    key = ("vllm", "http://primary.example:8000", "scripted-large", "fingerprint")
    now = time.monotonic()
    sync.publish(BreakerOpened(key, now, now + 30.0, PRIMARY, 1, 5))
    sync.close()


def idle_cost(server: RedisServer, seconds: float = _COUNTED) -> tuple[float, float]:
    """Count the commands and bytes a second that the server exchanges with its clients."""
    with server.client() as client:
        client.ping()
        first, before = _counters(client), _counters(client)
        started = time.monotonic()
        time.sleep(seconds)
        elapsed, after = time.monotonic() - started, _counters(client)
    # The first two are the cost of reading the counters.
    commands, traffic = (c - b - (b - a) for a, b, c in zip(first, before, after, strict=True))
    return commands / elapsed, traffic / elapsed


def measure(cooldowns: int) -> Figures:
    """Measure with this many cooldowns of refused keys published."""
    with running() as server, Worker(*_NOWHERE, {"UNIFIED_LLM_STATE": server.url}) as idle:
        publish_cooldowns(server, cooldowns)
        time.sleep(_SETTLE)
        commands, traffic = idle_cost(server)
        publish_breaker(server)
        heard = _wait(lambda: idle.state() == "open")
        with Worker(*_NOWHERE, {"UNIFIED_LLM_STATE": server.url}) as late:
            heard_at_start = _wait(lambda: late.state() == "open")
        return Figures(commands, traffic, _known(server), heard, heard_at_start)


def _known(server: RedisServer) -> int:
    """Count the cooldowns that a process learns of until two seconds bring none."""
    from unified_llm._policy.health_updates import CooldownStarted

    learned: list[HealthUpdate] = []
    sync, until = make_sync(server, learned), time.monotonic() + 2.0
    while time.monotonic() < until:
        count = len(learned)
        sync.poll()
        if len(learned) > count:
            until = time.monotonic() + 2.0
        time.sleep(0.01)
    sync.close()
    return len({update.key for update in learned if isinstance(update, CooldownStarted)})


def _counters(client: redis.Redis) -> tuple[int, int]:
    """Return how many commands and bytes the server has processed."""
    counters: Any = client.info("stats")
    traffic = counters["total_net_input_bytes"] + counters["total_net_output_bytes"]
    return counters["total_commands_processed"], traffic


def _wait(condition: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE:
            return float("inf")
        time.sleep(0.02)
    return time.monotonic() - started


def main() -> None:
    """Print a table."""
    sys.stdout.write("cooldowns  commands/s  bytes/s   known   heard s   heard at start s\n")
    for count in COUNTS:
        figures = measure(count)
        sys.stdout.write(
            f"{count:>9,}{figures.commands:>12,.1f}{figures.traffic:>9,.0f}{figures.known:>8,}"
            f"{figures.heard:>10.2f}{figures.heard_at_start:>19.2f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
