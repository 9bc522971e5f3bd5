"""Targets that are left alone: refused keys, windows that are too small, open breakers."""

from __future__ import annotations

import pytest

from tests.policy.conftest import Rooms
from tests.support.policy_harness import DEAD, A, B, C, limited, target, trip
from tests.support.scripted_targets import Step, say
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import BreakerConfig, RetryLimits, Target
from unified_llm.types import LLMResponse

# Credentials


@pytest.mark.parametrize("kind", ["auth", "permission", "quota"])
def test_a_refused_key_holds_every_target_that_shares_it(room: Rooms, kind: str) -> None:
    failure = Failure(kind, 401)  # type: ignore[arg-type]
    play = room({"alpha/one": [failure, say("A")], "alpha/two": [say("two")], "beta/two": [say("B")]})
    one, two, other = target(key="sk-1"), target("alpha/two", key="sk-1"), target("alpha/two", key="sk-2")
    result = play.call(one, two, B)
    assert result.outcomes == [("alpha/one", kind), ("alpha/two", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[1].reason == "the same key was refused"
    later = play.call(two, B)
    assert later.outcomes == [("alpha/two", "skipped"), ("beta/two", "ok")]
    assert later.trace.attempts[0].reason == f"its key was refused ({kind})"
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
    assert play.call(target(retry=RetryLimits(delay=8.0), breaker=hasty)).text == "A"
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


# What an answer, or the middle of one, says of calls to come

SPENT = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20s"}


def answer(text: str, headers: dict[str, str]) -> list[Step]:
    return [Done(LLMResponse(text), headers=headers)]


def test_a_target_whose_answer_used_up_its_limit_is_passed_over_until_that_recovers(room: Rooms) -> None:
    play = room({"alpha/one": [answer("A", SPENT), say("A again")], "beta/two": [say("B")]})
    assert play.call(A, B).text == "A"
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == "its rate limit is used up"
    play.wait(20.0)
    assert play.call(A, B).text == "A again"


def test_a_used_up_limit_is_that_of_the_key_and_the_model(room: Rooms) -> None:
    play = room({name: [answer("A", SPENT), say("again")] for name in ("alpha/one", "alpha/two")})
    play.call(target(key="sk-1"))
    assert play.call(target(key="sk-1"), target("alpha/two", key="sk-1")).outcomes[-1] == ("alpha/two", "ok")
    assert play.call(target(key="sk-2"), target("alpha/two", key="sk-1")).outcomes == [("alpha/one", "ok")]


def test_no_call_waits_for_a_limit_that_is_only_said_to_be_used_up(room: Rooms) -> None:
    play = room({"alpha/one": [answer("A", SPENT), say("A at once")]})
    play.call(A)
    assert play.call(A).text == "A at once"
    assert play.world.slept == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "20"},
        {**SPENT, "x-ratelimit-remaining-tokens": "7"},
        {**SPENT, "x-ratelimit-reset-tokens": "soon"},
        {**SPENT, "x-ratelimit-reset-tokens": "0s"},
    ],
)
def test_an_answer_that_leaves_room_or_talks_nonsense_holds_nothing(room: Rooms, headers: dict[str, str]) -> None:
    play = room({"alpha/one": [answer("A", headers)]})
    play.call(A, B)
    assert play.call(A, B).outcomes == [("alpha/one", "ok")]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (limited(20.0), "rate limited"),
        (Failure("auth", 401), "its key was refused (auth)"),
        (Failure("server", 503, retry_after=20.0), "asked to be left alone"),
    ],
)
def test_a_failure_in_the_middle_of_a_stream_is_remembered_too(room: Rooms, failure: Failure, reason: str) -> None:
    play = room({"alpha/one": [["A ", failure]], "beta/two": [say("B")]})
    assert play.call(A, B, streaming=True).defeat
    assert play.world.slept == []
    result = play.call(A, B)
    assert result.outcomes == [("alpha/one", "skipped"), ("beta/two", "ok")]
    assert result.trace.attempts[0].reason == reason


def test_a_model_that_is_gone_is_told_of(room: Rooms) -> None:
    gone: list[Target] = []
    play = room({"alpha/one": [Failure("model_not_found", 404)], "beta/two": [say("B")]})
    with play.world.running():
        call = play.prepare(A, B)
        call.unlist = gone.append
        play.drive(call).advance()
    assert gone == [A]
    assert play.call(A, B).text == "B"
