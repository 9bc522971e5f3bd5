"""Targets that are left alone: refused keys, windows that are too small, open breakers."""

from __future__ import annotations

import pytest

from tests.policy.conftest import Rooms
from tests.policy.playing import DEAD, A, B, C, limited, target, trip
from tests.scripts import say
from unified_llm.outcome import Failure
from unified_llm.target import BreakerConfig, Retry

# Credentials


@pytest.mark.parametrize("kind", ["auth", "permission", "quota"])
def test_a_refused_key_holds_every_target_that_shares_it(room: Rooms, kind: str) -> None:
    failure = Failure(kind, 401)  # type: ignore[arg-type]
    play = room({"alpha/one": [failure, say("A")], "alpha/two": [say("two")], "beta/two": [say("B")]})
    one, two, other = target(key="sk-1"), target("alpha/two", key="sk-1"), target("alpha/two", key="sk-2")
    result = play.call(one, two, B)
    assert result.outcomes == [("alpha/one", kind), ("alpha/two", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[1].reason == "the same key was refused"
    assert play.call(two, B).outcomes == [("alpha/two", "skipped"), ("beta/two", "ok")]
    assert play.call(other, B).text == "two"
    play.wait(300.0)
    assert play.call(one, B).text == "A"


def test_a_lone_target_whose_key_was_refused_is_asked_at_every_call(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("auth", 401), say("A")]})
    assert play.call(target(key="sk-1")).defeat
    result = play.call(target(key="sk-1"))
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "ok")]


def test_a_refused_key_is_never_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("auth", 401), say("A")]})
    play.call(A)
    play.wait(290.0)
    assert play.call(A).text == "A"
    assert play.world.slept == []


def test_targets_without_a_key_share_no_credentials(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("auth", 401)], "alpha/two": [say("two")]})
    assert play.call(A, target("alpha/two")).text == "two"


# Context windows


@pytest.mark.parametrize("kind", ["context", "too_large"])
def test_a_prompt_that_is_too_long_goes_only_to_larger_windows(room: Rooms, kind: str) -> None:
    names = ["beta/two", "gamma/three", "delta/four"]
    play = room({"alpha/one": [Failure(kind, 400)], **{name: [say(name)] for name in names}})  # type: ignore[arg-type]
    chain = [
        target(context_window=8_000),
        target("beta/two", context_window=8_000),
        target("gamma/three"),
        target("delta/four", context_window=16_000),
    ]
    result = play.call(*chain)
    assert play.world.names == ["alpha/one", "delta/four"]
    assert [outcome for _, outcome in result.outcomes] == [kind, "skipped", "skipped", "ok"]


def test_a_prompt_that_is_too_long_everywhere_is_the_callers_to_shorten(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("context", 400)], "beta/two": [say("B")]})
    result = play.call(target(context_window=8_000), B)
    assert result.defeat
    assert [failure.kind for _, failure in result.defeat.failures] == ["context"]
    assert play.world.names == ["alpha/one"]


def test_a_window_that_is_not_known_counts_as_smaller_than_any_that_is(room: Rooms) -> None:
    play = room({"alpha/one": [Failure("context", 400)], "beta/two": [say("B")], "gamma/three": [say("C")]})
    assert play.call(A, C, target("beta/two", context_window=4_000)).text == "B"


# Breakers, and the rule that someone is always asked


def test_a_target_whose_breaker_is_open_is_passed_over_and_the_trace_says_why(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")], "beta/two": [say("B")]})
    trip(play, "alpha/one")
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "breaker open"
    assert result.trace.asked == 1


def test_a_lone_target_is_asked_although_its_breaker_is_open(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")]})
    trip(play, "alpha/one")
    result = play.call(A)
    assert result.outcomes == [("alpha/one", "ok")]
    assert play.known("alpha/one")["state"] == "closed"


def test_a_breaker_whose_cooldown_ends_within_the_back_off_lets_the_retry_through_as_its_probe(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD, say("A")]})
    hasty = BreakerConfig(failures=1, cooldown=0.1, cooldown_max=0.1)
    assert play.call(target(retry=Retry(delay=8.0), breaker=hasty)).text == "A"
    assert play.known("alpha/one")["state"] == "closed"


def test_with_every_breaker_open_the_targets_are_asked_in_order_once_each(room: Rooms) -> None:
    play = room({"alpha/one": [DEAD], "beta/two": [DEAD]})
    trip(play, "alpha/one", "beta/two")
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "server"), ("beta/two", "server")]


def test_a_call_does_not_fail_while_a_target_was_never_asked(room: Rooms) -> None:
    play = room({"alpha/one": [say("A")], "beta/two": [DEAD]})
    trip(play, "alpha/one")
    result = play.call(A, B)
    assert result.text == "A"
    assert result.outcomes == [("alpha/one", "skipped"), *[("beta/two", "server")] * 3, ("alpha/one", "ok")]
    assert play.world.names == ["beta/two"] * 3 + ["alpha/one"]


def test_an_ailing_target_is_asked_before_a_limited_one_is_waited_for(room: Rooms) -> None:
    play = room({"alpha/one": [limited(300.0), say("A")], "beta/two": [say("B")]})
    play.call(A)
    trip(play, "beta/two")
    play.wait(5.0)
    result = play.call(A, B)
    assert result.text == "B"
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "rate limited"


def test_a_target_that_failed_in_this_call_is_not_also_told_to_be_left_alone(room: Rooms) -> None:
    play = room({"alpha/one": [limited(), say("A")], "beta/two": [DEAD]})
    play.world.draw, play.world.latency = 0.1, 0.3
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "rate_limit"), *[("beta/two", "server")] * 3, ("alpha/one", "ok")]
