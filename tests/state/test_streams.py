"""The streams of updates in Redis: their cost with many records, and strange things that others put there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.policy_harness import target
from tests.support.redis_in_memory import LAST_ID, MemoryRedis, SimulatedProcess, advance, store
from unified_llm._lib.bounded_dict import BoundedDict
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted
from unified_llm._state.redis.outbox import Outbox

pytestmark = pytest.mark.thorough

A = target("alpha/one", base_url="https://alpha", key="sk-CANARY-of-alpha")
B = target("beta/two", base_url="https://beta")
BREAKERS, COOLDOWNS = "unified-llm:2:breakers", "unified-llm:2:cooldowns"
JUNK = {b"update": b"junk"}


def refuse_keys(process: SimulatedProcess, count: int) -> None:
    """Publish the cooldowns of this many refused keys."""
    for number in range(count):
        name = f"key {number}"
        process.sync.publish(CooldownStarted(("alpha", name), process.now + 300.0, "its key was refused", wait=False))


def poll_until_idle(process: SimulatedProcess) -> float:
    """Poll a process as often as is due; return the seconds until nothing is left to send or to read."""
    seconds = 0.0
    while process.sync.due < process.now + 0.2:
        advance(0.101, process)
        seconds += 0.101
    return seconds


def junk(server: MemoryRedis, key: str, count: int) -> None:
    """Add entries that are not ours."""
    first = int(server.clock * 1000)
    entries = server.values.setdefault(key, [])
    entries += [((first, number), JUNK) for number in range(count)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("count", [0, 300, 1_100, 5_000])
def test_an_idle_poll_is_three_commands_whatever_is_stored(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis, count: int
) -> None:
    refuse_keys(one, count)
    poll_until_idle(one)
    assert len(server.values.get(COOLDOWNS, [])) == min(count, 4_096)
    poll_until_idle(other)
    assert len(other.learned) == min(count, 4_096)
    server.commands = server.round_trips = 0
    for _ in range(10):
        advance(1.0, other)
    assert (server.commands, server.round_trips) == (30, 10)


@pytest.mark.parametrize("count", [1_100, 5_000])
def test_an_open_breaker_is_learned_of_at_once_however_many_cooldowns_there_are(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis, count: int
) -> None:
    refuse_keys(one, count)
    advance(1.0, one)
    one.trip(A)
    advance(0.2, one, other)
    assert other.state(A) == "open"
    poll_until_idle(one)
    late = SimulatedProcess(server)
    advance(0.0, late)
    assert late.state(A) == "open"


def test_a_process_that_starts_reads_all_cooldowns_within_a_second(one: SimulatedProcess, server: MemoryRedis) -> None:
    refuse_keys(one, 4_096)
    assert poll_until_idle(one) < 1.0
    late = SimulatedProcess(server)
    assert poll_until_idle(late) < 1.0
    assert len(late.learned) == 4_096


def test_one_poll_writes_and_reads_five_hundred_updates(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    refuse_keys(one, 1_000)
    advance(1.0, one)
    assert len(server.values[COOLDOWNS]) == 500
    assert one.sync.due == pytest.approx(one.now + 0.1, abs=0.01)
    advance(0.101, one)
    advance(0.0, other)
    assert len(other.learned) == 500
    assert other.sync.due == pytest.approx(other.now + 0.1, abs=0.01)
    advance(0.101, other)
    assert len(other.learned) == 1_000
    assert other.sync.due == pytest.approx(other.now + 1.0, abs=0.01)


def test_what_is_over_is_not_read_by_a_process_that_starts(one: SimulatedProcess, server: MemoryRedis) -> None:
    refuse_keys(one, 4_000)
    poll_until_idle(one)
    advance(3_700.0, one)
    one.trip(A)
    advance(1.0, one)
    late = SimulatedProcess(server)
    assert poll_until_idle(late) < 0.4
    assert [type(update) for update in late.learned] == [BreakerOpened]


def test_a_process_that_starts_learns_the_last_change_of_a_breaker_alone(
    one: SimulatedProcess, server: MemoryRedis
) -> None:
    for ok in (False, True, False, True):
        one.record_outcomes(A, ok=ok, times=5)
        advance(1.0, one)
    assert len(server.values[BREAKERS]) == 4
    late = SimulatedProcess(server)
    advance(0.0, late)
    assert [type(update) for update in late.learned] == [BreakerClosed]
    assert late.changes == []


def test_of_two_changes_the_later_one_holds_although_it_was_sent_first(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    advance(0.0, one, other)
    one.trip(A)
    server.error = ConnectionError()
    advance(1.0, one)  # it can send that five seconds later
    server.error = None
    other.trip(A)
    other.record_outcomes(A, ok=True)
    advance(1.0, other)
    third = SimulatedProcess(server)
    advance(0.0, third)
    advance(5.0, one, third, other)
    late = SimulatedProcess(server)
    advance(1.0, late)
    assert len(server.values[BREAKERS]) == 2
    assert [process.state(A) for process in (one, other)] == ["closed", "closed"]
    for process in (third, late):
        assert [type(update) for update in process.learned] == [BreakerClosed]


@pytest.mark.parametrize("key", [BREAKERS, COOLDOWNS])
@pytest.mark.parametrize("value", [b"text", {"a": "hash"}], ids=["text", "hash"])
def test_a_key_of_another_type_is_replaced_with_one_warning(
    server: MemoryRedis, key: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = SimulatedProcess(server, offset=1_000.0), SimulatedProcess(server, offset=77_000.0)
    caplog.set_level(logging.INFO)
    for round_number in range(3):
        server.values[key] = value
        advance(0.0, one, other)
        one.record_outcomes(A, ok=round_number % 2 == 1, times=5)
        one.start_cooldown(B, "api_key", 100.0 + 10 * round_number)
        advance(1.0, one, other)
        assert other.state(A) == one.state(A) == ("closed" if round_number % 2 else "open")
        assert not other.admits(B)
    assert warnings(caplog) == [
        f"shared state: {key} in Redis held data of another program and was replaced; find out which one it is"
    ]
    assert server.expires_at.keys() >= {BREAKERS, COOLDOWNS}
    advance(600.0, one)
    server.values[key] = value
    one.record_outcomes(A, ok=True)
    one.start_cooldown(B, "api_key", 200.0)
    advance(1.0, one)
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize("count", [0, 1, 700])
@pytest.mark.parametrize("last", [LAST_ID, (10**15, 0)], ids=["the last identifier", "one of the far future"])
def test_a_stream_with_identifiers_of_the_future_is_replaced(
    server: MemoryRedis, count: int, last: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = SimulatedProcess(server, offset=1_000.0), SimulatedProcess(server, offset=77_000.0)
    for start in (False, True):
        if start:
            advance(1.0, one, other)
        server.values.setdefault(BREAKERS, []).extend(((last[0], number), JUNK) for number in range(count))
        server.xadd(BREAKERS, JUNK, id=last)
        one.record_outcomes(A, ok=start, times=5)
        for _ in range(3):
            advance(1.0, one, other)
        assert other.state(A) == one.state(A) == ("closed" if start else "open")
    assert len(warnings(caplog)) == 1


def test_a_stream_that_accepts_no_entry_is_replaced_before_all_of_it_was_read(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    junk(server, BREAKERS, 3_000)
    server.xadd(BREAKERS, JUNK, id=LAST_ID)
    one.trip(A)
    advance(1.0, one, other)
    assert other.state(A) == "open"


def test_a_server_whose_clock_was_set_back_is_read_from_then_on(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis
) -> None:
    one.trip(A)
    advance(1.0, one, other)
    server.values.clear()
    server.clock -= 10_000.0
    one.offset += 10_000.0
    other.offset += 10_000.0
    advance(1.0, one, other)
    one.trip(B)
    advance(1.0, one, other)
    assert other.state(B) == "open"


@pytest.mark.parametrize("key", [BREAKERS, COOLDOWNS])
def test_hundreds_of_thousands_of_strange_entries_hide_no_breaker(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis, key: str
) -> None:
    advance(0.0, one)
    junk(server, key, 200_000)
    one.trip(A)
    one.start_cooldown(B, "api_key", 300.0)
    advance(1.0, one)
    assert len(server.values[key]) <= 4_096
    assert poll_until_idle(other) < 1.0
    assert other.state(A) == "open"
    assert not other.admits(B)
    assert poll_until_idle(one) < 1.0


@pytest.mark.parametrize(
    "fields",
    [
        None,
        {},
        {b"other": b"x"},
        {b"update": b"x" * 8_193},
        {b"update": b"\x80\x04\x95"},
        {b"update": b"[" * 100_000},
        {b"update": b"NaN"},
    ],
)
def test_an_entry_that_is_not_ours_is_ignored(
    one: SimulatedProcess, other: SimulatedProcess, server: MemoryRedis, fields: Any
) -> None:
    for key in (BREAKERS, COOLDOWNS):
        server.values[key] = [((int(server.clock * 1000), 0), fields)]
    one.trip(A)
    advance(1.0, one, other)
    assert [type(update) for update in other.learned] == [BreakerOpened]
    assert other.sync.due == pytest.approx(other.now + 1.0, abs=0.01), "nothing failed"


@pytest.mark.parametrize("key", [BREAKERS, COOLDOWNS])
def test_a_stream_that_is_too_large_to_be_read_is_replaced(
    server: MemoryRedis, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = SimulatedProcess(server, offset=1_000.0), SimulatedProcess(server, offset=77_000.0)
    server.longest_answer = 10_000_000
    advance(0.0, one, other)
    server.values[key] = [((int(server.clock * 1000), number), {b"update": b"x" * 20_000_000}) for number in range(4)]
    one.trip(A)
    for _ in range(3):
        advance(1.0, one, other)
    assert other.state(A) == "open"
    assert sum("was replaced" in message for message in warnings(caplog)) == 1


def test_after_a_failure_streams_of_the_usual_size_stay(one: SimulatedProcess, server: MemoryRedis) -> None:
    refuse_keys(one, 4_000)
    poll_until_idle(one)
    server.error = ConnectionError()
    advance(1.0, one)
    server.error = None
    advance(5.0, one)
    server.values[BREAKERS] = b"text"
    server.error = ConnectionError()
    advance(1.0, one)
    server.error = None
    advance(5.0, one)
    assert len(server.values[COOLDOWNS]) == 4_000
    assert one.sync.due == one.now + 1.0


def test_an_error_of_the_server_is_not_taken_for_a_key_of_another_type(server: MemoryRedis) -> None:
    one = SimulatedProcess(server)
    one.trip(A)
    advance(1.0, one)
    server.unwritable = {BREAKERS}
    one.record_outcomes(A, ok=True)
    advance(1.0, one)
    assert len(server.values[BREAKERS]) == 1
    assert one.sync.due == one.now + 5.0


def test_a_stream_that_cannot_be_replaced_is_a_failure(server: MemoryRedis) -> None:
    server.values[BREAKERS] = b"text"
    replaced: Callable[..., Any] = store(server).write
    assert replaced({"breakers": ["{}"]}) == [BREAKERS]
    server.values[BREAKERS] = b"text"
    server.unlink = lambda *_: 0  # type: ignore[method-assign]
    with pytest.raises(Exception, match="WRONGTYPE"):
        replaced({"breakers": ["{}"]})


def test_unsent_breakers_go_first_and_cooldowns_displace_none() -> None:
    outbox = Outbox()
    opened, closed = BreakerOpened(A.health_key, 0.0, 30.0, A.name, 1, 5), BreakerClosed(A.health_key, 60.0)
    outbox.put("a", opened, 1.0)
    for number in range(5_000):
        outbox.put(f"{number}", CooldownStarted((f"{number}",), 300.0, "refused", wait=False), 2.0)
    assert len(outbox) == 4_097
    outbox.put("a", closed, 3.0)
    assert outbox.first(1) == [(closed, 3.0)], "in place of the one before"
    assert [update.key for update, _ in outbox.first(3)][1:] == [("904",), ("905",)], "the oldest were dropped"
    outbox.remove(3)
    assert len(outbox) == 4_094
    outbox.remove(5_000)
    assert not outbox


def test_all_updates_that_are_left_are_sent_at_the_end(one: SimulatedProcess, server: MemoryRedis) -> None:
    refuse_keys(one, 1_200)
    one.sync.close()
    assert len(server.values[COOLDOWNS]) == 1_200
    refuse_keys(one, 1_200)
    server.error, server.round_trips = ConnectionError(), 0
    one.sync.close()
    assert server.round_trips == 2, "it is tried twice"


def test_a_bounded_dict_keeps_what_was_put_last() -> None:
    bounded: BoundedDict[str, int] = BoundedDict(2)
    for name, number in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        bounded.put(name, number)
    assert list(bounded.items()) == [("a", 3), ("c", 4)]
