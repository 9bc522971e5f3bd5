"""``HealthSync`` of several processes that share one Redis, in memory and in fake time."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tests.support.policy_harness import target
from tests.support.redis_in_memory import MemoryRedis, ServerError, SimulatedProcess, advance, store
from unified_llm._policy.health_changes import LastFailure
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened
from unified_llm._state.redis.records import Record
from unified_llm.types import ModelInfo

A = target("alpha/one", base_url="https://alpha", vendor_host=True, key="sk-CANARY-of-alpha")
B = target("beta/two", base_url="https://beta")
SAME_KEY = target("alpha/two", base_url="https://elsewhere", vendor_host=True, key="sk-CANARY-of-alpha")
IN_PROCESS = target("mlx/demo")
LISTED, MODELS = ("alpha", "https://alpha", None), (ModelInfo("one", "alpha"),)
BREAKERS, COOLDOWNS = "unified-llm:2:breakers", "unified-llm:2:cooldowns"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def stored(server: MemoryRedis, stream: str) -> list[dict[str, Any]]:
    return [json.loads(fields[b"update"]) for _, fields in server.values[stream]]


def test_an_outage_is_learned_of_within_a_second(one: SimulatedProcess, other: SimulatedProcess) -> None:
    advance(0.0, one, other)
    one.trip(A)
    one.server.clock += 0.11
    one.sync.poll()
    advance(0.91, other)
    assert other.state(A) == "open"
    assert not other.admits(A)
    advance(28.8, other)
    assert not other.admits(A)
    advance(0.3, other)
    assert other.admits(A)


def test_the_first_turn_brings_what_was_known_before(one: SimulatedProcess, server: MemoryRedis) -> None:
    one.trip(A)
    advance(0.0, one)
    advance(10.0, one)
    late = SimulatedProcess(server, offset=5.0)
    late.sync.poll()
    (update,) = late.learned
    assert isinstance(update, BreakerOpened)
    assert (update.opened, update.until) == pytest.approx((late.now - 10.0, late.now + 20.0), abs=0.01)
    assert (update.key, update.name, update.trips, update.failures, update.limit) == (A.health_key, A.name, 1, 5, None)


def test_the_health_of_a_target_shows_what_another_process_published(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    for _ in range(5):
        failure = LastFailure("server", 503, "HTTP 503", one.now)
        permit = one.health.force(A, one.now)
        one.health.record_outcome(A, permit, ok=False, weight=1, now=one.now, draw=0.5, failure=failure)
    one.health.apply_outcomes()
    one.start_cooldown(A, "api_key", 300.0)
    advance(1.0, one, other)
    row, same_key = other.health.snapshot(other.now, [A, SAME_KEY])
    assert (row["state"], row["calls"]) == ("open", 0)
    assert row["last_failure"] == {
        "kind": "server",
        "status": 503,
        "message": "HTTP 503",
        "seconds_ago": pytest.approx(1.0, abs=0.1),
        "elsewhere": True,
    }
    for known in (row, same_key):
        assert [cooldown["scope"] for cooldown in known["cooldowns"]] == ["api_key"]
        assert known["retry_in"] == pytest.approx(299.0, abs=0.1)


def test_a_recovery_is_learned_of_and_ends_the_pause(one: SimulatedProcess, other: SimulatedProcess) -> None:
    one.trip(A)
    advance(1.0, one, other)
    assert not other.admits(A)
    advance(30.0, one)
    one.record_outcomes(A, ok=True)
    advance(1.0, one, other)
    assert other.state(A) == "closed"
    assert other.admits(A)


def test_a_failed_probe_makes_the_pause_longer_for_all(one: SimulatedProcess, other: SimulatedProcess) -> None:
    other.draw = 1.0
    one.trip(A)
    advance(1.0, one, other)
    advance(30.0, one)
    assert not other.admits(A), "one of them probes"
    one.record_outcomes(A, ok=False)
    advance(1.0, one, other)
    advance(40.0, other)
    assert not other.admits(A)
    assert [update.trips for update in other.learned if isinstance(update, BreakerOpened)] == [1, 2]


def test_a_cooldown_of_a_refused_key_is_shared_by_all_its_targets(
    one: SimulatedProcess, other: SimulatedProcess
) -> None:
    one.start_cooldown(A, "api_key", 300.0)
    advance(1.0, one, other)
    assert not other.admits(SAME_KEY)
    assert other.admits(B)
    advance(298.0, other)
    assert not other.admits(SAME_KEY)
    advance(1.1, other)
    assert other.admits(SAME_KEY)


def test_what_comes_from_this_process_is_not_learned_again(one: SimulatedProcess) -> None:
    one.trip(A)
    advance(1.0, one)
    advance(1.0, one)
    assert one.learned == []


def test_each_update_is_learned_once(one: SimulatedProcess, other: SimulatedProcess) -> None:
    one.trip(A)
    one.start_cooldown(B, "api_key", 300.0)
    for _ in range(5):
        advance(1.0, one, other)
    assert sorted(type(update).__name__ for update in other.learned) == ["BreakerOpened", "CooldownStarted"]
    other.record_outcomes(A, ok=True)
    advance(1.0, other, one)
    assert other.state(A) == one.state(A) == "closed"
    advance(1.0, other, one)
    assert other.state(A) == one.state(A) == "closed"


def test_of_two_updates_about_one_target_the_last_is_published(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    one.trip(A)
    one.record_outcomes(A, ok=True)
    advance(1.0, one, other)
    assert [type(update) for update in other.learned] == [BreakerClosed]
    assert len(server.values[BREAKERS]) == 1


def test_updates_of_its_own_go_before_older_updates_of_others(one: SimulatedProcess, other: SimulatedProcess) -> None:
    one.trip(A)
    one.record_outcomes(A, ok=True)
    advance(1.0, one)
    other.trip(A)
    advance(1.0, other, one)
    assert other.state(A) == one.state(A) == "open"


def test_what_concerns_one_process_alone_is_not_published(one: SimulatedProcess, server: MemoryRedis) -> None:
    one.trip(IN_PROCESS)
    advance(1.0, one)
    assert server.values == {}
    assert one.sync.due == one.now + 1.0


def test_updates_are_sent_at_once_and_then_ten_times_a_second(one: SimulatedProcess, server: MemoryRedis) -> None:
    advance(0.0, one)
    advance(0.9, one)
    assert server.round_trips == 1, "it is polled once a second"
    advance(0.1, one)
    assert server.round_trips == 2
    one.trip(A)
    assert one.sync.due == pytest.approx(one.now + 0.1)
    advance(0.05, one)
    one.trip(B)
    assert server.round_trips == 2
    advance(0.06, one)
    assert server.round_trips == 4, "one to read, and one to write"
    assert len(server.values[BREAKERS]) == 2
    assert one.sync.due == pytest.approx(one.now + 1.0)


def test_everything_in_redis_ends_by_itself(one: SimulatedProcess, server: MemoryRedis) -> None:
    one.trip(A)
    one.start_cooldown(A, "rate_limit", 90.0)
    one.sync.keep(LISTED, MODELS, 300.0)
    advance(1.0, one)
    assert len(server.values) == 3
    assert set(server.expires_at) == set(server.values)
    advance(7_200.1, one)
    one.sync.find(LISTED)
    assert server.values == {}


def test_a_redis_that_fails_is_not_asked_for_some_seconds(one: SimulatedProcess, server: MemoryRedis) -> None:
    server.error = OSError()
    advance(1.0, one)
    assert server.round_trips == 1
    assert one.sync.due == one.now + 5.0
    advance(4.9, one)
    assert one.sync.find(LISTED) is None
    one.sync.keep(LISTED, MODELS, 300.0)
    assert server.round_trips == 1
    server.error = None
    advance(0.2, one)
    one.sync.keep(LISTED, MODELS, 300.0)
    assert one.sync.find(LISTED) == (MODELS, 0.0)


def test_after_a_first_timeout_the_next_poll_is_a_second_later(one: SimulatedProcess, server: MemoryRedis) -> None:
    server.error = TimeoutError()
    advance(1.0, one)
    assert one.sync.due == one.now + 1.0
    advance(1.0, one)
    assert one.sync.due == one.now + 5.0
    server.error = None
    advance(5.0, one)
    server.error = TimeoutError()
    advance(1.0, one)
    assert one.sync.due == one.now + 1.0


def test_updates_of_meanwhile_are_published_later_if_they_are_still_true(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    server.error = TimeoutError()
    one.trip(A)
    one.start_cooldown(B, "api_key", 4.0)
    advance(1.0, one)
    server.error = None
    advance(6.0, one, other)
    (update,) = other.learned
    assert isinstance(update, BreakerOpened)
    assert (update.opened, update.until) == pytest.approx((other.now - 7.0, other.now + 23.0), abs=0.01)
    assert (update.key, update.name, update.trips, update.failures, update.limit) == (A.health_key, A.name, 1, 5, None)


def test_there_is_one_warning_and_a_log_line_when_it_is_over(
    one: SimulatedProcess, server: MemoryRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.error = ConnectionError("redis://:CANARY@host")
    for _ in range(10):
        advance(5.0, one)
    assert warnings(caplog) == ["shared state: Redis failed (ConnectionError); calls go on without it, next try in 5 s"]
    assert sum(record.levelno == logging.DEBUG for record in caplog.records) == 9
    server.error = None
    for _ in range(3):
        advance(5.0, one)
    assert caplog.messages.count("shared state: Redis answers again") == 1
    assert "CANARY" not in caplog.text


def test_a_redis_that_fails_now_and_then_is_mentioned_every_ten_minutes(
    one: SimulatedProcess, server: MemoryRedis, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(130):
        server.error = ConnectionError() if number % 2 == 0 else None
        advance(5.0, one)
    assert len(warnings(caplog)) == 2


def test_a_write_that_is_refused_is_a_failure(
    one: SimulatedProcess, server: MemoryRedis, caplog: pytest.LogCaptureFixture
) -> None:
    one.trip(A)
    advance(1.0, one)
    server.unwritable = {BREAKERS}
    one.record_outcomes(A, ok=True)
    caplog.set_level(logging.INFO)
    for _ in range(3):
        advance(5.0, one)
        assert one.sync.due == one.now + 5.0
    assert caplog.messages == ["shared state: Redis failed (ServerError); calls go on without it, next try in 5 s"]
    server.unwritable = set()
    advance(5.0, one)
    assert caplog.messages[-1] == "shared state: Redis answers again"
    assert one.sync.due == one.now + 1.0
    assert [update["is"] for update in stored(server, BREAKERS)] == ["open", "closed"]
    with pytest.raises(ServerError):
        MemoryRedis(unwritable={"k"}).set("k", b"", px=1)


def test_the_last_updates_are_published_at_the_end(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    advance(1.0, one)
    one.trip(A)
    one.sync.close()
    assert server.closed
    advance(1.0, other)
    assert other.state(A) == "open"
    round_trips = server.round_trips
    other.sync.close()
    assert server.round_trips == round_trips, "there was nothing to publish"


def test_a_model_list_is_found_with_its_age(one: SimulatedProcess, other: SimulatedProcess) -> None:
    assert other.sync.find(LISTED) is None
    one.sync.keep(LISTED, MODELS, 300.0)
    one.server.clock += 20.0
    models = other.sync.find(LISTED)
    assert models
    assert models[0] == MODELS
    assert models[1] == pytest.approx(20.0)
    assert other.sync.find(("mlx", "", None)) is None
    one.sync.keep(("mlx", "", None), MODELS, 300.0)
    one.server.clock += 281.0
    assert other.sync.find(LISTED) is None


def test_a_list_of_another_shape_in_its_place_is_ignored(one: SimulatedProcess, server: MemoryRedis) -> None:
    one.sync.keep(LISTED, MODELS, 300.0)
    (name,) = server.values
    store(server).put(Record(name, "{}", 300.0))
    assert one.sync.find(LISTED) is None
    del server.expires_at[name]
    assert store(server).get(name) is None, "it would never expire"
