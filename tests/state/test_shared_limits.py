"""Rate limits that several processes share through Redis, in memory and in fake time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.each import each
from tests.support.policy_harness import target
from tests.support.redis_in_memory import MemoryRedis, SimulatedProcess
from unified_llm._core.target import Target
from unified_llm._policy.limit_leases import Usage, lease_of
from unified_llm._policy.rate_limits import HeldTurn, Outcome

PLACE: dict[str, Any] = {"base_url": "https://alpha", "vendor_host": True, "key": "sk-CANARY-of-alpha"}
LIMITED = target("alpha/one", rpm=60, **PLACE)


class Worker(SimulatedProcess):
    """A process that sends a request whenever it may, at most so many a second."""

    def __init__(self, server: MemoryRedis, wants: float, limited: Target = LIMITED, tokens: int = 0) -> None:
        super().__init__(server, offset=17.0 * wants)
        self.wants, self.limited, self.tokens = wants, limited, tokens
        self.sent: list[float] = []
        self._ready = 0.0

    def work(self, seconds: float) -> None:
        self._ready = min(20.0, self._ready + self.wants * seconds)
        while self._ready >= 1:
            asked = self.limits.ask(self.limited, self.tokens, self.now, queued=False)
            if not isinstance(asked, HeldTurn):
                return
            self._ready -= 1
            self.sent.append(self.server.clock)
            self.limits.finish(asked, Outcome(sent=True, tokens=self.tokens, ok=True), self.now)


def run(server: MemoryRedis, workers: Sequence[Worker], seconds: float) -> None:
    draws = random.Random(1)  # noqa: S311
    for step in range(round(seconds * 10)):
        server.clock += 0.1
        for position, worker in enumerate(workers):
            worker.work(0.1)
            if (step + 3 * position) % 10 == 0 or draws.random() < 0.02:
                worker.sync.poll()


def most_in_a_window(workers: Sequence[Worker], weight: int = 1) -> int:
    sent = sorted(instant for worker in workers for instant in worker.sent)
    return max(weight * sum(at <= later < at + 60.0 for later in sent) for at in sent)


def test_processes_stay_within_the_limit_together_and_those_that_want_it_share_it(server: MemoryRedis) -> None:
    workers = [Worker(server, wants) for wants in (2.0, 2.0, 1.0, 0.0)]
    run(server, workers, 400)
    counts = [len(worker.sent) for worker in workers]
    assert most_in_a_window(workers) <= 66
    assert sum(counts) >= 0.85 * 400
    assert counts[3] == 0
    assert counts[0] == pytest.approx(counts[1], rel=0.3)
    assert counts[0] == pytest.approx(counts[2], rel=0.3)


def test_what_one_does_not_use_goes_to_the_others_and_a_newcomer_gets_its_part(server: MemoryRedis) -> None:
    workers = [Worker(server, 3.0), Worker(server, 0.0)]
    run(server, workers, 180)
    assert len(workers[0].sent) >= 150
    workers[1].wants, before = 3.0, len(workers[0].sent)
    run(server, workers, 240)
    assert most_in_a_window(workers) <= 66
    assert len(workers[1].sent) >= 0.35 * (len(workers[0].sent) - before + len(workers[1].sent))


def test_without_redis_each_keeps_its_last_lease(server: MemoryRedis) -> None:
    workers = [Worker(server, 2.0), Worker(server, 2.0)]
    run(server, workers, 120)
    server.error = ConnectionError()
    for worker in workers:
        worker.sent.clear()
    run(server, workers, 300)
    assert most_in_a_window(workers) <= 66
    assert all(len(worker.sent) > 100 for worker in workers)


def test_tokens_are_shared_too(server: MemoryRedis) -> None:
    limited = target("alpha/one", tpm=6000, **PLACE)
    workers = [Worker(server, 2.0, limited, tokens=100) for _ in range(3)]
    run(server, workers, 240)
    assert most_in_a_window(workers, weight=100) <= 6600
    assert 100 * sum(len(worker.sent) for worker in workers) >= 0.8 * 6000 * 4


def test_a_hash_of_another_kind_or_with_other_values_does_no_harm(server: MemoryRedis) -> None:
    worker = Worker(server, 2.0)
    run(server, [worker], 3)
    (key,) = [key for key in server.values if ":limit:" in key]
    server.values[key] = b"something else"
    run(server, [worker], 2)
    server.values[key].update({b"a": b"[1,", b"b": b'{"v": 1}', b"c": b"[1, 1e9, -1, 3, 3]", b"d": b"x" * 9999})
    run(server, [worker], 120)
    assert len(worker.sent) > 100


@each(
    ("usages", "expected"),
    [
        ({"a": Usage(4, 30), "b": Usage(4, 20), "c": Usage(4, 0)}, [20, 20, 6]),
        ({"a": Usage(1, 0), "b": Usage(3, 0)}, [6, 6]),
        ({"a": Usage(9, 60), "b": Usage(9, 0)}, [30, 0]),
        ({"a": Usage(9, 0)}, [6]),
        ({"a": Usage(0, 0), "b": Usage(0, 0), "c": Usage(0, 0)}, [6, 6, 6]),
        ({"a": Usage(1, 30), "b": Usage(1, 28)}, [30, 30]),
        ({name: Usage(1, 0) for name in "abcdefg"}, [6] * 7),
    ],
)
def test_the_leases_of_all_are_no_more_than_the_limit(usages: dict[str, Usage], expected: list[int]) -> None:
    leases = [lease_of(name, usages, 60, None) for name in usages]
    assert [lease.requests for lease in leases] == expected
    assert sum(lease.part for lease in leases) == pytest.approx(1.0)


def test_a_new_process_uses_a_tenth_until_its_first_lease(server: MemoryRedis) -> None:
    worker = Worker(server, 1000.0)
    worker.work(1.0)
    assert len(worker.sent) == 6
    server.error = ConnectionError()
    for _ in range(3):
        server.clock += 10.0
        worker.sync.poll()
    worker.work(1.0)
    assert len(worker.sent) == 26  # there is no Redis to hear from, and the worker makes 20 requests at once
