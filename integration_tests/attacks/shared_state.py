"""Redis: dead, silent, absent, full, hostile; calls must not notice, and workers must not ask it too often."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from integration_tests.attacks.catalogue import FULL, Figure, at_most, attack, none_of, seconds
from integration_tests.attacks.servers import OK, answering_apart

_ROOT: Final = Path(__file__).parents[2]

# A worker makes calls and prints p50 and the maximum, in milliseconds, and what its log warned of.
_WORKER: Final = """
import json, sys, time
from unified_llm import LLMClient
client = LLMClient("openai-compatible/m", base_url=sys.argv[1], api_key="k")
for _ in range(20): client.generate("x")
times = []
for _ in range(int(sys.argv[2])):
    started = time.monotonic(); client.generate("x"); times.append(1000 * (time.monotonic() - started))
times.sort()
print(json.dumps([times[len(times) // 2], times[-1]]))
"""


def _latency(url: str, state: str | None, calls: int = 400) -> tuple[float, float]:
    environment = os.environ | ({"UNIFIED_LLM_STATE": state} if state else {})
    command = [sys.executable, "-W", "ignore", "-c", _WORKER, url, f"{calls}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=_ROOT, env=environment, check=False)
    print(run.stderr[-500:])  # noqa: T201
    middle, longest = json.loads(run.stdout)
    return middle, longest


@attack("Redis absent, silent, refusing its password, killed in the middle", kill_after=90)
def broken_redis() -> Iterator[Figure]:
    """Calls take as long as without Redis, whatever it does."""
    from integration_tests.support.redis_server import RedisServer

    figures: dict[str, tuple[float, float]] = {}
    with answering_apart(OK) as url, ExitStack() as stack:
        without = _latency(url, None)
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        figures["absent"] = _latency(url, "redis://127.0.0.1:1/0")
        figures["silent"] = _latency(url, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with RedisServer() as server:
            figures["well"] = _latency(url, server.url)
            figures["refusing"] = _latency(url, server.url.replace("CANARY", "wrong"))
            killer = f"sleep 1.5; kill -9 {server._process.pid}"
            subprocess.Popen(["/bin/sh", "-c", killer])
            figures["killed"] = _latency(url, server.url, 3000)
    print(without, figures)  # noqa: T201
    slower = max(middle - without[0] for middle, _ in figures.values())
    yield at_most("p50 above", slower, 1.5, "ms")
    yield at_most("longest", max(longest for _, longest in figures.values()) - without[1], 500, "ms")


@attack("commands to Redis for each call", kill_after=60)
def commands_of_calls() -> Iterator[Figure]:
    """Calls that succeed send no command of their own."""
    from integration_tests.support.redis_server import RedisServer

    with answering_apart(OK) as url, RedisServer() as server, server.client() as client:
        before = _commands(client)
        started = time.monotonic()
        _latency(url, server.url, 3000)
        lasted, sent = time.monotonic() - started, _commands(client) - before
    yield at_most("for 3,000 calls", sent, 40 + 12 * lasted)


def _commands(client: Any) -> int:
    return int(client.info("stats")["total_commands_processed"])


def _scale_attack(count: int) -> Iterator[Figure]:
    from integration_tests.support import redis_scale

    figures = redis_scale.measure(count)
    yield at_most("commands/s", figures.commands, 50)
    yield seconds(figures.heard, 3.0, "heard after")
    yield seconds(figures.heard_at_start, 3.0, "by a new worker")


def _there() -> bool:
    return (_ROOT / "integration_tests" / "support" / "redis_scale.py").is_file()


@attack("1,100 refused keys, and a breaker that opens", kill_after=90, parallel=True)
def many_cooldowns() -> Iterator[Figure]:
    """An idle worker reads only what is new, and hears of an open breaker whatever else is stored."""
    if not _there():
        yield none_of("not there: redis_scale", 1)
        return
    yield from _scale_attack(1100)


@attack("100,000 refused keys, and a breaker that opens", kill_after=200, parallel=True)
def very_many_cooldowns() -> Iterator[Figure]:
    """The same with the most records that are tested; 10,000 without ``--full``."""
    if not _there():
        yield none_of("not there: redis_scale", 1)
        return
    yield from _scale_attack(100_000 if FULL else 10_000)


_LISTENER: Final = """
import sys, time
from unified_llm import LLMClient, health_snapshot
client = LLMClient("openai-compatible/b", base_url=sys.argv[1], api_key="k", max_retries=0)
until = time.monotonic() + 15
started = time.monotonic()
while time.monotonic() < until:
    if any(row["state"] == "open" for row in health_snapshot()):
        print(time.monotonic() - started); break
    time.sleep(.05)
"""
_OPENER: Final = """
import sys, time
from unified_llm import LLMClient
client = LLMClient("openai-compatible/b", base_url=sys.argv[1], api_key="k", max_retries=0)
for _ in range(6):
    try: client.generate("x")
    except Exception: pass
time.sleep(2)
"""


@attack("hostile values in every key of Redis, and keys of wrong types", kill_after=120, parallel=True)
def hostile_values() -> Iterator[Figure]:
    """Values that are no records change nothing, and the next update is heard all the same."""
    from integration_tests.attacks.servers import reply
    from integration_tests.support.redis_server import RedisServer

    hostile = [
        b"\x80\x04cos\nsystem\n",
        b"x" * (8 << 20),
        b"[" * 100_000,
        b"NaN",
        b'{"until": NaN}',
        b"null",
        b"\xff\xfe",
        b"",
    ]
    deaf = 0
    with answering_apart(reply({}, status="503 Down")) as url, RedisServer() as server, server.client() as client:
        environment = os.environ | {"UNIFIED_LLM_STATE": server.url}

        def start(source: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-W", "ignore", "-c", source, url]
            return subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT, env=environment
            )

        start(_OPENER).communicate(timeout=30)
        names = [name.decode() for name in client.scan_iter()]
        for name in names:
            kind = client.type(name)
            for value in hostile:
                match kind:
                    case b"string":
                        client.set(name, value, ex=60)
                    case b"zset":
                        client.zadd(name, {value[:1000]: time.time() * 1000 + 10_000})
                    case b"stream":
                        client.xadd(name, {b"d": value[:100_000], b"v": value[:1000]})
                    case b"hash":
                        client.hset(name, "x", value)
        deaf += _deaf(start)
        client.flushall()
        for name in names:  # of another type than any reader expects
            client.rpush(name, b"x")
            client.expire(name, 5)
        time.sleep(5.5)
        deaf += _deaf(start)
    yield none_of("not heard", deaf)


def _deaf(start: Any) -> int:
    listener = start(_LISTENER)
    time.sleep(1.5)
    start(_OPENER).communicate(timeout=30)
    output, errors = listener.communicate(timeout=40)
    print(output, errors[-500:])  # noqa: T201
    return int(not output.strip())
