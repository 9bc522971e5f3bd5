"""Batches at servers with limits of 60 requests a minute, in fake time."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest

from tests.support.each import each
from tests.support.limited_servers import Kind, LimitedServer, run_batch
from tests.support.policy_harness import target
from tests.support.thorough import some
from unified_llm._core.outcome import Done
from unified_llm._core.target import RetryLimits

KINDS: tuple[Kind, ...] = ("fixed", "sliding", "bucket", "strict")
# Kind of limit, rpm=, Retry-After, headers, instant at which the batch begins, calls at once, seconds of a response.
CASES = [
    *[(kind, 60, False, False, 1000.0, 20, 0.5) for kind in KINDS],
    *[(kind, None, True, False, 1000.0, 20, 0.5) for kind in KINDS],
    *[(kind, None, False, False, 1020.0, 20, 0.05) for kind in KINDS],
    *[(kind, None, True, True, 1020.0, 5, 0.5) for kind in KINDS],
]
ALL_CASES = list(product(KINDS, (None,), (True, False), (True, False), (1000.0, 1020.0), (5, 20, 100), (0.05, 0.5)))


def check(case: tuple[Any, ...]) -> None:
    kind, rpm, tells, headers, start, concurrency, latency = case
    server = LimitedServer(kind, tells=tells, headers=headers, latency=latency)
    batch = run_batch({"alpha/one": server}, [target(rpm=rpm)], 500, concurrency=concurrency, start=start)
    assert batch.served == 500
    assert len(server.refused) <= 0.05 * len(server.received)
    assert batch.seconds <= 540


@each("case", some(CASES, 3))
def test_500_prompts_take_nine_minutes_at_60_a_minute_and_few_are_refused(case: tuple[Any, ...]) -> None:
    check(case)


@pytest.mark.thorough
@pytest.mark.parametrize("case", ALL_CASES)
def test_the_same_holds_for_every_kind_of_server(case: tuple[Any, ...]) -> None:
    check(case)


@each("kind, counts, latency", product(("fixed", "bucket"), ("requests", "tokens"), (0.5, 5.0)))
def test_a_server_that_tells_what_is_left_refuses_none(kind: Kind, counts: str, latency: float) -> None:
    server = LimitedServer(kind, headers=True, counts=counts, tokens=900, latency=latency)
    batch = run_batch({"alpha/one": server}, [target()], 300)
    assert (batch.served, server.refused) == (300, [])
    assert batch.seconds <= 300


def test_slow_responses_take_a_little_longer() -> None:
    for kind, concurrency in some(product(KINDS, (20, 100)), 3):
        server = LimitedServer(kind, latency=5.0)
        batch = run_batch({"alpha/one": server}, [target()], 500, concurrency=concurrency)
        assert batch.served == 500
        assert len(server.refused) <= 0.05 * len(server.received)
        assert batch.seconds <= 640


def test_a_batch_uses_every_target_of_the_chain_as_fast_as_each_accepts() -> None:
    servers = {"alpha/one": LimitedServer(per_minute=60), "beta/two": LimitedServer("fixed", per_minute=120)}
    batch = run_batch(servers, [target("alpha/one"), target("beta/two", rpm=120)], 600, concurrency=50)
    assert batch.served == 600
    assert batch.seconds <= 240
    assert len(servers["beta/two"].refused) == 0


def test_a_server_without_a_limit_is_used_by_as_many_calls_as_there_are() -> None:
    server = LimitedServer(per_minute=1_000_000, latency=1.0)
    batch = run_batch({"alpha/one": server}, [target()], 1000, concurrency=100)
    assert batch.served == 1000
    assert batch.seconds <= 30  # 10 s at 100 at once from the first one on


def test_calls_beyond_those_in_flight_wait_for_a_server_that_has_refused_none() -> None:
    servers = {name: LimitedServer(per_minute=1_000_000, latency=1.0) for name in ("alpha/one", "beta/two")}
    batch = run_batch(servers, [target("alpha/one"), target("beta/two")], 300, concurrency=40)
    assert batch.served == 300
    assert len(servers["beta/two"].received) == 0, "a fallback may cost more"
    assert batch.seconds <= 20


def test_the_same_holds_for_one_that_tells_of_room_for_all_of_them() -> None:
    servers = {name: LimitedServer("bucket", 10_000, headers=True, latency=1.0) for name in ("alpha/one", "beta/two")}
    batch = run_batch(servers, [target("alpha/one"), target("beta/two")], 300, concurrency=100)
    assert (batch.served, len(servers["beta/two"].received)) == (300, 0)


@each("tells, latency, seconds", [(True, 0.02, 150), (False, 0.5, 250)])
def test_a_429_now_and_then_is_no_limit(tells: bool, latency: float, seconds: float) -> None:  # noqa: FBT001
    class Faulty(LimitedServer):
        def _count(self, now: float) -> tuple[bool, int, float, float]:
            return draw.random() >= 0.025, 1000, 1.0, 1.0

    draw = Random(1)  # noqa: S311 - no secret
    names = ("alpha/one", "beta/two", "gamma/three")
    servers = {name: Faulty(tells=tells, latency=latency) for name in names}
    batch = run_batch(servers, [target(name) for name in names], 2000)
    assert batch.served == 2000
    assert batch.seconds <= seconds  # with a pace learned from each of them it would take more than ten minutes


def test_the_wait_for_a_turn_is_not_counted_in_the_deadline() -> None:
    server = LimitedServer()
    batch = run_batch({"alpha/one": server}, [target(rpm=60)], 200, concurrency=100, seconds=5.0)
    assert batch.served == 200
    assert max(state.trace.attempts[-1].waited for state in batch.states) > 60


def test_a_server_that_refuses_everything_ends_each_call_after_ten_minutes() -> None:
    server = LimitedServer(per_minute=0, tells=False)
    batch = run_batch({"alpha/one": server}, [target()], 5)
    assert batch.served == 0
    assert 600 < batch.seconds < 700
    assert len(server.refused) < 60


def test_a_pause_of_more_than_five_minutes_is_not_waited_for() -> None:
    class Daily(LimitedServer):
        def _count(self, now: float) -> tuple[bool, int, float, float]:
            return False, 0, 3600.0, 3600.0

    batch = run_batch({"alpha/one": Daily("sliding")}, [target()], 3, concurrency=1)
    assert batch.served == 0
    assert batch.seconds < 60


def test_an_explicit_number_of_retries_is_kept() -> None:
    server = LimitedServer(per_minute=0)
    run_batch({"alpha/one": server}, [target(retry=RetryLimits(limit=1))], 1)
    assert len(server.refused) == 2


def test_a_single_call_is_not_slowed_by_what_a_batch_learned() -> None:
    server = LimitedServer(per_minute=1000)
    batch = run_batch({"alpha/one": server}, [target()], 300, concurrency=100, queued=False)
    assert batch.served == 300
    assert batch.seconds < 2
    assert all(isinstance(result, Done) for result in batch.results)
