"""Targets that ask for time: throttling, and what servers say of retries."""

from __future__ import annotations

import pytest

from tests.policy.conftest import Rooms
from tests.support.policy_harness import DEAD, A, B, limited, target
from tests.support.scripted_targets import say
from unified_llm._core.outcome import Failure
from unified_llm._core.target import RetryLimits

# Throttling


def test_throttling_fails_over_at_once_and_is_no_ill_health(room: Rooms) -> None:
    play = room({"alpha/one": [limited(2.0)], "beta/two": [say("B")]})
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("beta/two", "ok")]
    assert play.world.slept == []
    assert play.known("alpha/one")["failures"] == 0


def test_a_target_that_throttles_is_passed_over_by_other_calls_until_it_may_be_asked(room: Rooms) -> None:
    play = room({"alpha/one": [limited(20.0), say("A")], "beta/two": [say("B")]})
    play.call(A, B)
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "rate limited"
    play.wait(21.0)
    assert play.call(A, B).text == "A"


def test_a_target_that_throttles_is_asked_again_when_all_others_have_failed(room: Rooms) -> None:
    play = room({"alpha/one": [limited(2.0), say("A")], "beta/two": [DEAD]})
    result = play.call(A, B)
    assert result.text == "A"
    assert play.world.names == ["alpha/one", "beta/two", "beta/two", "beta/two", "alpha/one"]


def test_of_two_that_ask_for_patience_the_sooner_is_asked_first(room: Rooms) -> None:
    play = room({"alpha/one": [limited(1.0), say("A")], "beta/two": [limited(50.0)]})
    assert play.call(A, B).text == "A"
    assert sum(play.world.slept) < 2.0


def test_of_several_that_ask_for_patience_the_soonest_is_waited_for_when_the_rest_has_failed(room: Rooms) -> None:
    play = room({"alpha/one": [limited(3.0), say("A")], "beta/two": [limited(9.0)], "gamma/three": [DEAD]})
    assert play.call(A, B, target("gamma/three", retry=RetryLimits(limit=0))).text == "A"
    assert play.world.slept == pytest.approx([3.15], abs=0.05)


def test_a_busy_target_that_asks_for_time_is_not_asked_sooner(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("conflict", 409, retry_after=3.0), say("A")], "beta/two": [DEAD]})
    result = play.call(A, B)
    assert result.text == "A"
    assert play.world.names == ["alpha/one", "beta/two", "beta/two", "beta/two", "alpha/one"]
    assert sum(play.world.slept) == pytest.approx(3.15, abs=0.05)


def test_a_lone_target_that_throttles_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(4.0), say("A")]})
    assert play.call(A).text == "A"
    assert play.world.slept == pytest.approx([4.2])


@pytest.mark.parametrize(("seconds", "slept"), [(60.0, [60.0]), (60.5, [])])
def test_a_wait_of_more_than_a_minute_is_never_begun(room: Rooms, seconds: float, slept: list[float]) -> None:
    play = room({"alpha/one": [limited(seconds), say("A")]})
    play.world.draw = 0.0
    assert play.call(A).text == ("A" if slept else "")
    assert play.world.slept == pytest.approx(slept)


@pytest.mark.parametrize(("held", "slept"), [(60.0, [60.0]), (60.5, [])])
def test_a_target_that_is_held_for_more_than_a_minute_is_asked_rather_than_waited_for(
    room: Rooms, held: float, slept: list[float]
) -> None:
    play = room({"alpha/one": [say("A")]})
    play.world.draw = 0.0
    play.health.hold(A.limit_key, play.world.clock + held, "rate limited", wait=True)
    assert play.call(A).text == "A"
    assert play.world.slept == pytest.approx(slept)


@pytest.mark.parametrize(("deadline", "slept"), [(10.0, []), (10.5, [10.0])])
def test_a_hold_that_ends_with_the_deadline_is_not_waited_for(room: Rooms, deadline: float, slept: list[float]) -> None:
    play = room({"alpha/one": [say("A")]})
    play.world.draw = play.world.latency = 0.0
    play.health.hold(A.limit_key, play.world.clock + 10.0, "rate limited", wait=True)
    assert play.call(A, deadline=deadline).text == "A"
    assert play.world.slept == pytest.approx(slept)


def test_a_hold_that_grew_in_the_meantime_is_waited_for_and_the_waits_add_up(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")]})
    play.world.draw = 0.0
    play.health.hold(A.limit_key, play.world.clock + 2.0, "rate limited", wait=True)
    play.health.hold(A.health_key, play.world.clock + 5.0, "asked to be left alone", wait=True)
    result = play.call(A)
    assert result.text == "A"
    assert play.world.slept == pytest.approx([2.0, 3.0])
    assert result.trace.attempts[0].waited == pytest.approx(5.0)


def test_a_wait_that_would_end_with_the_deadline_is_not_begun(room: Rooms) -> None:
    play = room({"alpha/one": [limited(10.0)]})
    play.world.draw = play.world.latency = 0.0
    assert play.call(A, deadline=10.0).defeat
    assert play.world.slept == []


def test_a_lone_target_that_is_held_for_long_is_asked_all_the_same(room: Rooms) -> None:
    play = room({"alpha/one": [limited(300.0), say("A")]})
    play.call(A)
    assert play.call(A).text == "A"
    assert play.world.slept == []


def test_a_lone_target_that_is_held_for_a_moment_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(300.0), say("A")]})
    play.call(A)
    play.wait(290.0)
    result = play.call(A)
    assert result.text == "A"
    assert result.trace.attempts[0].waited == pytest.approx(10.49, abs=0.02)


@pytest.mark.case(48)
def test_calls_that_wait_for_the_same_limit_do_not_come_back_in_the_same_instant(room: Rooms) -> None:
    waits: list[float] = []
    for draw in (0.0, 0.5, 1.0):
        play = room({"alpha/one": [limited(300.0), say("A")]})
        play.call(A)
        play.wait(280.0)
        play.world.draw = draw
        play.call(A)
        waits += play.world.slept
    assert waits == pytest.approx([20.0, 21.0, 22.0], abs=0.05)


def test_a_rate_limit_belongs_to_the_key_and_the_model(room: Rooms) -> None:
    play = room({"alpha/one": [limited(30.0)], "https://west": [say("west")], "alpha/two": [say("two")]})
    key = "sk-1"
    same, other = target(key=key, base_url="https://west"), target("alpha/two", key=key)
    result = play.call(target(key=key), same, other)
    assert result.outcomes == [("alpha/one", "rate_limit"), ("alpha/one", "skipped"), ("alpha/two", "ok")]


def test_throttling_without_a_hint_is_remembered_for_the_base_delay(room: Rooms) -> None:
    play = room({"alpha/one": [limited(), say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "B"
    assert play.call(A, B).text == "B"
    play.wait(1.0)
    assert play.call(A, B).text == "A"


def test_an_ailing_target_that_asks_for_time_gets_it(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("server", 503, retry_after=3.0), say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "B"
    assert play.world.names == ["alpha/one", "beta/two"]
    result = play.call(A, B)
    assert result.outcomes[0] == ("alpha/one", "skipped")
    assert result.trace.attempts[0].reason == "asked to be left alone"
    play.wait(3.0)
    assert play.call(A, B).text == "A"


def test_a_server_that_says_come_back_now_is_retried_at_once(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("server", 503, headers={"retry-after": "0"}), say("A")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "A"


def test_a_lone_ailing_target_that_asked_for_time_is_waited_for_by_the_next_call(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("server", 503, retry_after=90.0), say("A")]})
    assert play.call(A).defeat
    play.wait(80.0)
    assert play.call(A).text == "A"
    assert play.world.slept == pytest.approx([10.5], abs=0.05)


# What the server says of retries


def test_a_server_that_forbids_a_retry_gets_none(room: Rooms) -> None:
    dead = Failure("server", 500, headers={"x-should-retry": "false"})
    play = room({"alpha/one": [dead], "beta/two": [say("B")]})
    play.call(A, B)
    assert play.world.names == ["alpha/one", "beta/two"]


def test_a_server_that_invites_a_retry_gets_it_and_the_failure_is_still_the_callers(room: Rooms) -> None:
    bad = Failure("bad_request", 400, headers={"x-should-retry": "true", "retry-after": "2"})
    play = room({"alpha/one": [bad], "beta/two": [say("B")]})
    result = play.call(A, B)
    assert play.world.names == ["alpha/one"] * 2
    assert result.defeat
    assert result.defeat.final == (A, bad)


@pytest.mark.parametrize("wait", ["120", "1000"])
def test_an_invitation_that_lies_too_far_ahead_does_not_turn_a_bad_request_into_a_failover(
    room: Rooms, wait: str
) -> None:
    bad = Failure("bad_request", 400, headers={"x-should-retry": "true", "retry-after": wait})
    play = room({"alpha/one": [bad], "beta/two": [say("B")]})
    assert play.call(A, B).defeat
    assert play.world.names == ["alpha/one"]


def test_a_refused_key_is_not_tried_again_even_if_the_server_invites_that(room: Rooms) -> None:
    refused = Failure("auth", 401, headers={"x-should-retry": "true"})
    play = room({"alpha/one": [refused]})
    play.call(A)
    assert play.world.names == ["alpha/one"]
    assert play.world.slept == []
